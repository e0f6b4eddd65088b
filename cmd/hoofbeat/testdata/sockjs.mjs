// sockjs-client 1.6.1 with stompjs 2.3.3 against `hoofbeat serve`, over each transport.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { patience } from '../../../broker/internal/script/pages.mjs';
import { assert, cleanup, run, target, test, unique, until, within } from '../../../broker/sockjs/clients/harness.mjs';

const require = createRequire(new URL('../../../broker/sockjs/package.json', import.meta.url));
const SockJS = require('sockjs-client');
const Stomp = require('stompjs');

// open connects as a page of Spring's does, and gives the socket up with the test.
// Without a timeout sockjs-client gives a transport up that takes 0.6 s.
function open(url, options, headers = {}) {
  const socket = new SockJS(url, undefined, { timeout: patience, ...options });
  cleanup(() => socket.close());
  const client = Stomp.over(socket);
  client.debug = null;
  return within(new Promise((resolve, reject) => {
    client.connect(headers, (frame) => resolve({ client, socket, frame }),
      (e) => reject(new Error(String(e?.headers?.message ?? e))));
  }), 'CONNECTED');
}

// settled resolves when everything that a client has sent is in force.
function settled(client) {
  return within(new Promise((resolve) => {
    client.onreceipt = resolve;
    client.subscribe(unique('/topic/settled'), () => {}, { receipt: 'settled' });
  }), 'the receipt');
}

async function admin(path, body, address = target.admin, token = target.token) {
  const answer = await fetch(address + path, {
    method: 'POST', body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
  });
  assert.ok(answer.ok, `${path}: HTTP ${answer.status}`);
  return answer.json();
}

for (const transport of ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling']) {
  const options = { transports: [transport] };
  const url = transport === 'websocket' ? target.url : target.proxied;

  test(`${transport}: topics, user destinations, broadcast queues, selectors`, async () => {
    const { client, socket, frame } = await open(url, options, { login: transport, passcode: 'any' });
    assert.equal(socket.transport, transport);
    assert.equal(frame.headers['user-name'], transport);
    const other = await open(target.url, options);
    const topic = unique('/topic/greetings');
    const queue = unique('/queue/news');
    const got = { all: [], english: [], mine: [], one: [], two: [] };
    const into = (list) => (m) => list.push(m.body);
    client.subscribe(topic, into(got.all));
    client.subscribe(topic, into(got.english), { selector: "headers.lang == 'en'" });
    client.subscribe('/user/queue/reply', into(got.mine));
    client.subscribe(queue, into(got.one));
    other.client.subscribe(queue, into(got.two));
    await settled(client);
    await settled(other.client);
    const bodies = ['hello', 'moin 🐎 100 % "\\"', 'x'.repeat(40000)]; // C-4
    bodies.forEach((body, i) => other.client.send(topic, { lang: i === 1 ? 'de' : 'en' }, body));
    await admin(`/api/v1/users/${transport}/messages`, { destination: '/queue/reply', body: 'for you' });
    other.client.send(queue, {}, 'for all');
    await until('all messages', () => got.all.length + got.english.length + got.mine.length + got.one.length + got.two.length >= 8);
    assert.deepEqual(got, {
      all: bodies, english: [bodies[0], bodies[2]], mine: ['for you'], one: ['for all'], two: ['for all'],
    });
  });

  test(`${transport}: the pages of Web Flow (E-2, W-1, W-5, W-11)`, async () => {
    const { client, socket } = await open(url, options, { 'X-CSRF-TOKEN': 't' }); // C-7
    const operation = unique('login');
    const webSocketId = createHash('sha512').update(operation).digest('hex'); // W-7
    const got = [];
    const received = (m) => got.push([m.headers.destination, JSON.parse(m.body)]);
    client.subscribe('/user/topic/registration', received);
    client.send('/app/registration', {}, JSON.stringify({ webSocketId }));
    await until('the answer', () => got.length > 0);
    assert.deepEqual(got[0], ['/user/topic/registration', { webSocketId, registrationSucceeded: true }]);
    client.subscribe('/user/topic/authorization', received);
    client.unsubscribe('/user/topic/authorization'); // C-3: an id that never was
    await admin(`/api/v1/operations/${operation}/result`, { result: 'CONTINUE' });
    await until('the result', () => got.length > 1);
    assert.deepEqual(got[1], ['/user/topic/authorization', { webSocketId, authResult: 'CONTINUE' }]);
    const { stdout } = await promisify(execFile)(target.hoofbeat, ['notify', operation, 'DONE'], {
      env: { HOOFBEAT_ADMIN_URL: target.admin, HOOFBEAT_ADMIN_TOKEN: target.token },
    });
    assert.equal(stdout, 'delivered\n');
    await until('the end', () => got.length > 2);
    assert.deepEqual(got[2], ['/user/topic/authorization', { webSocketId, authResult: 'DONE' }]);
    assert.equal(socket.readyState, SockJS.OPEN);
    await within(new Promise((resolve) => client.disconnect(resolve)), 'disconnect');
  });

  test(`${transport}: one ticket, one session (T-15)`, async () => {
    const { ticket } = await admin('/api/v1/tickets', { user: 'ann' }, target.ticketsAdmin, target.ticketsToken);
    const { client, frame } = await open(`${target.tickets}?ticket=${ticket}`, options);
    assert.equal(frame.headers['user-name'], 'ann');
    const got = [];
    client.subscribe('/user/queue/a', (m) => got.push(m.body));
    await settled(client);
    await admin('/api/v1/users/ann/messages', { destination: '/queue/a', body: 'for ann' }, target.ticketsAdmin, target.ticketsToken);
    await until('the message', () => got.includes('for ann'));
    // sockjs-client learns of a refused EventSource by its timer alone.
    const again = open(`${target.tickets}?ticket=${ticket}`, { ...options, timeout: 5_000 });
    await assert.rejects(again, /lost connection/i);
  });
}

test('a proxy breaks WebSocket: sockjs-client falls back by itself', async () => {
  const { client, socket } = await open(target.proxied);
  assert.equal(socket.transport, 'xhr-streaming');
  const got = [];
  client.subscribe('/topic/fallback', (m) => got.push(m.body));
  client.send('/topic/fallback', {}, 'here');
  await until('the message', () => got.length > 0);
});

run();
