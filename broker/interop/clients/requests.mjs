// @stomp/stompjs 7 with requests: with the code of docs/request-reply.md, and as
// clients of RabbitMQ and ActiveMQ do it.

import { Client } from '@stomp/stompjs';
import { assert, cleanup, run, target, test, unique, within } from './harness.mjs';
import { answer, Requester } from './requester.mjs';
import { bodies, open } from './stompjs7.mjs';

// asking connects a client and its Requester.
async function asking() {
  const client = new Client({ brokerURL: target.url, heartbeatIncoming: 0, heartbeatOutgoing: 0, reconnectDelay: 10 });
  cleanup(() => client.deactivate());
  let connected;
  const open = new Promise((resolve) => (connected = resolve));
  client.onConnect = () => connected();
  const requester = new Requester(client);
  client.activate();
  await within(open, 'CONNECTED');
  return requester;
}

test('answers come to the request that they are for, in any order', async () => {
  const queue = unique('/queue/upper');
  const server = await open(target.url);
  const held = [];
  answer(server.client, queue, (m) => new Promise((resolve) => {
    held.push(() => resolve(m.body.toUpperCase()));
    if (held.length === 3) held.reverse().forEach((f) => f());
  }));
  const [one, two] = [await asking(), await asking()];
  const answers = [one.request(queue, 'a'), two.request(queue, 'b'), one.request(queue, 'c')];
  assert.deepEqual(bodies(await within(Promise.all(answers), 'the answers')), ['A', 'B', 'C']);
  assert.equal(one.waiting.size + two.waiting.size, 0);
});

test('a request without an answer ends with its time, or with the connection', async () => {
  const one = await asking();
  await assert.rejects(one.request(unique('/queue/nobody'), '', { timeout: 50 }), /no answer within 50 ms/);
  const lost = one.request(unique('/queue/nobody'), '');
  one.client.forceDisconnect();
  await assert.rejects(within(lost, 'the end'), /the connection was lost/);
});

test('who answers goes on when a client has gone', async () => {
  const queue = unique('/queue/late');
  const server = await open(target.url);
  const inbox = await server.subscribe(queue);
  const gone = await open(target.url);
  await gone.send(queue, 'x', { 'reply-to': '/temp-queue/a' });
  const to = (await inbox.next()).headers['reply-to'];
  await gone.client.deactivate();
  for (;;) { // the broker may see the end a little later
    const receipt = await server.receipted((h) => server.client.publish({ destination: to, body: 'late', headers: h }));
    if (receipt.headers.unroutable === 'true') break;
  }
});

test('as with RabbitMQ, no SUBSCRIBE is needed', async () => {
  const queue = unique('/queue/rabbit');
  const server = await open(target.url);
  const inbox = await server.subscribe(queue);
  const s = await open(target.url);
  const came = new Promise((resolve) => (s.client.onUnhandledMessage = resolve));
  await s.send(queue, 'ping', { 'reply-to': '/temp-queue/foo' });
  const to = (await inbox.next()).headers['reply-to'];
  assert.match(to, /^\/reply-queue\//);
  await server.send(to, 'pong');
  const m = await within(came, 'the answer');
  assert.equal(m.body, 'pong');
  assert.equal(m.headers.subscription, '/temp-queue/foo');
});

test('as with ActiveMQ, a SUBSCRIBE comes first', async () => {
  const queue = unique('/queue/active');
  const server = await open(target.url);
  const requests = await server.subscribe(queue);
  const s = await open(target.url);
  const inbox = await s.subscribe('/temp-queue/foo');
  await s.send(queue, 'ping', { 'reply-to': '/temp-queue/foo' });
  await server.send((await requests.next()).headers['reply-to'], 'pong');
  const m = await inbox.next();
  assert.equal(m.body, 'pong');
  assert.equal(m.headers.destination, '/temp-queue/foo');
});

await run();
