// @stomp/rx-stomp 2.4.

import { RxStomp, RxStompState } from '@stomp/rx-stomp';
import { filter, firstValueFrom, map, take, toArray } from 'rxjs';
import { assert, cleanup, Mailbox, run, target, test, unique, within } from './harness.mjs';
import { ended, open as open7 } from './stompjs7.mjs';
import { WebSocket } from './tap.mjs';

globalThis.WebSocket = WebSocket;

function start(config = {}) {
  const rx = new RxStomp();
  rx.configure({ brokerURL: target.url, heartbeatIncoming: 0, heartbeatOutgoing: 0, reconnectDelay: 20, ...config });
  rx.activate();
  cleanup(() => rx.deactivate());
  return rx;
}

const state = (rx, wanted) =>
  within(firstValueFrom(rx.connectionState$.pipe(filter((s) => s === wanted))), `state ${RxStompState[wanted]}`);

const headers = (rx) => within(firstValueFrom(rx.serverHeaders$), 'the headers of CONNECTED');

// watch subscribes, waits for the receipt and returns a mailbox of bodies.
async function watch(rx, destination, subHeaders = {}) {
  const inbox = new Mailbox(`a MESSAGE of ${destination}`);
  const receipt = unique('watching');
  const subscribed = rx.asyncReceipt(receipt);
  inbox.subscription = rx.watch({ destination, subHeaders: { ...subHeaders, receipt } }).subscribe(inbox.put);
  await within(subscribed, 'the RECEIPT of SUBSCRIBE');
  return inbox;
}

async function publish(rx, destination, body, more = {}) {
  const receipt = unique('published');
  const done = rx.asyncReceipt(receipt);
  rx.publish({ destination, body, headers: { ...more, receipt } });
  await within(done, 'the RECEIPT of SEND');
}

test('connects, watches and publishes', async () => {
  const rx = start({ connectHeaders: { login: 'alice' } });
  await state(rx, RxStompState.OPEN);
  const connected = await headers(rx);
  assert.equal(connected.version, '1.2');
  assert.equal(connected['user-name'], 'alice');
  const topic = unique('/topic/rx');
  const inbox = await watch(rx, topic);
  await publish(rx, topic, '{"n":1}', { 'content-type': 'application/json' });
  const m = await inbox.next();
  assert.deepEqual(JSON.parse(m.body), { n: 1 });
  assert.equal(m.headers['content-type'], 'application/json');
  inbox.subscription.unsubscribe();
  await publish(rx, topic, 'nobody listens');
  inbox.empty();
});

test('two observers of one watch, messages in order', async () => {
  const rx = start();
  const topic = unique('/topic/rx-order');
  const marked = await watch(rx, topic);
  const hundred = firstValueFrom(rx.watch(topic).pipe(map((m) => Number(m.body)), take(100), toArray()));
  await publish(rx, unique('/topic/other'), 'the second SUBSCRIBE is through');
  for (let i = 0; i < 100; i++) rx.publish({ destination: topic, body: `${i}` });
  const numbers = Array.from({ length: 100 }, (_, i) => i);
  assert.deepEqual(await within(hundred, '100 messages'), numbers);
  assert.deepEqual((await marked.take(100)).map((m) => Number(m.body)), numbers);
});

test('what was published before the connection is sent when it is there', async () => {
  const listener = await open7(target.url);
  const topic = unique('/topic/rx-early');
  const inbox = await listener.subscribe(topic);
  const rx = new RxStomp();
  rx.configure({ brokerURL: target.url, reconnectDelay: 20 });
  rx.publish({ destination: topic, body: 'early 1' });
  rx.publish({ destination: topic, body: 'early 2' });
  rx.activate();
  cleanup(() => rx.deactivate());
  assert.deepEqual((await inbox.take(2)).map((m) => m.body), ['early 1', 'early 2']);
});

test('after a reconnect it watches again, and what was published meanwhile is sent', async () => {
  const controller = await open7(target.url);
  const rx = start();
  const errors = new Mailbox('ERROR');
  rx.stompErrors$.subscribe(errors.put);
  const topic = unique('/topic/rx-reconnect');
  const inbox = await watch(rx, topic);
  await controller.send(topic, 'before');
  assert.equal((await inbox.next()).body, 'before');
  const { session } = await headers(rx);

  const closed = state(rx, RxStompState.CLOSED);
  await controller.send('/app/control/disconnect', session);
  assert.equal((await errors.next()).headers.message, 'ended by the test');
  await closed;
  rx.publish({ destination: topic, body: 'kept while disconnected' });
  await state(rx, RxStompState.OPEN);
  assert.equal(await ended(controller, session), 'kicked');
  assert.notEqual((await headers(rx)).session, session);

  assert.equal((await inbox.next()).body, 'kept while disconnected');
  await controller.send(topic, 'after');
  assert.equal((await inbox.next()).body, 'after');
  inbox.empty();
});

test('acknowledges', async () => {
  const rx = start();
  const queue = unique('/queue/rx');
  await publish(rx, queue, 'a');
  const inbox = await watch(rx, queue, { ack: 'client-individual' });
  (await inbox.next()).nack();
  const again = await inbox.next();
  assert.equal(again.headers.redelivered, 'true');
  again.ack();
  await publish(rx, queue, 'b');
  assert.equal((await inbox.next()).body, 'b');
});

test('deactivate() resolves', async () => {
  const controller = await open7(target.url);
  const rx = start();
  const { session } = await headers(rx);
  await within(rx.deactivate(), 'deactivate()');
  await state(rx, RxStompState.CLOSED);
  assert.equal(await ended(controller, session), 'disconnect');
});

await run();
