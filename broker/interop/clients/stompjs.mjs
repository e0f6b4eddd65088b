// @stomp/stompjs 7 against the broker: connecting, sending, receiving, ending.
// Its acknowledgements and transactions are in stompjs-ack.mjs.

import { assert, run, target, test, unique, within } from './harness.mjs';
import { bodies, ended, open, Session } from './stompjs7.mjs';
import { Tap } from './tap.mjs';

// Sub-protocols and versions: each alone, and what the library offers by default.
for (const { versions, protocol, version } of [
  { versions: ['1.0'], protocol: 'v10.stomp', version: '1.0' },
  { versions: ['1.1'], protocol: 'v11.stomp', version: '1.1' },
  { versions: ['1.2'], protocol: 'v12.stomp', version: '1.2' },
  { versions: ['1.0', '1.1'], protocol: 'v11.stomp', version: '1.1' },
  { versions: ['1.0', '1.1', '1.2'], protocol: 'v12.stomp', version: '1.2' },
  { versions: ['1.2', '1.1', '1.0'], protocol: 'v12.stomp', version: '1.2' },
]) {
  test(`trap 41: versions ${versions}`, async () => {
    const s = new Session(target.url, { versions, connectHeaders: { login: 'alice', passcode: 'a:b\\c' } });
    const { headers } = await s.open();
    assert.equal(s.socket.protocol, protocol);
    assert.equal(s.client.connectedVersion, version);
    assert.equal(headers.version, version);
    assert.equal(headers['heart-beat'], '10000,10000');
    assert.equal(headers['user-name'], 'alice');
    assert.match(headers.server, /^hoofbeat/);
    assert.match(headers.session, /^[a-z2-7]{32}$/);

    const topic = unique('/topic/versions');
    const inbox = await s.subscribe(topic);
    await s.send(topic, 'Příliš žluťoučký 🐎', { 'content-type': 'text/plain', 'x-empty': '' });
    const m = await inbox.next();
    assert.equal(m.body, 'Příliš žluťoučký 🐎');
    assert.equal(m.headers.destination, topic);
    assert.equal(m.headers.subscription, inbox.subscription.id);
    assert.equal(m.headers['content-type'], 'text/plain');
    assert.equal(m.headers['x-empty'], '');
    assert.equal(m.headers['content-length'], String(Buffer.byteLength(m.body)));
    assert.ok(m.headers['message-id']);
    assert.equal(m.headers.receipt, undefined, 'trap 15: the receipt header of a SEND is not forwarded');
    await inbox.unsubscribe();
    await s.send(topic, 'nobody listens');
    inbox.empty();
    assert.deepEqual(s.unhandled, []);
  });
}

test('trap 17: no version in common', async () => {
  const s = new Session(target.url, { versions: ['3.0'], protocols: ['v12.stomp'] });
  s.client.activate();
  const error = await s.errors.next();
  assert.equal(error.headers.version, '1.0,1.1,1.2');
  assert.match(error.headers.message, /1\.0,1\.1,1\.2/);
  assert.equal((await s.closed.next()).code, 1002);
});

test('headers are escaped in 1.2', async () => {
  const s = await open(target.url);
  const topic = unique('/topic/escapes');
  const inbox = await s.subscribe(topic);
  const value = 'back\\slash:colon\nline\rreturn';
  await s.send(topic, 'x', { 'x-odd': value, 'x-url': 'wss://example.org:8443/ws?a=b' });
  const m = await inbox.next();
  assert.equal(m.headers['x-odd'], value);
  assert.equal(m.headers['x-url'], 'wss://example.org:8443/ws?a=b');
});

test('receipts come for every frame, in order', async () => {
  const s = await open(target.url);
  const topic = unique('/topic/receipts');
  const order = [];
  const watch = (id) => {
    s.client.watchForReceipt(id, (f) => order.push(f.headers['receipt-id']));
    return { receipt: id };
  };
  // The library forgets the callback as soon as it sends UNSUBSCRIBE.
  const noted = (m) => order.push(`message ${m.body}`);
  s.client.onUnhandledMessage = noted;
  s.client.subscribe(topic, noted, { id: 'mine', ...watch('subscribed') });
  for (let i = 0; i < 5; i++) s.client.publish({ destination: topic, body: `${i}`, headers: watch(`sent ${i}`) });
  s.client.unsubscribe('mine', watch('unsubscribed'));
  await s.send(topic, 'late');
  assert.deepEqual(order.filter((o) => !o.startsWith('message')),
    ['subscribed', 'sent 0', 'sent 1', 'sent 2', 'sent 3', 'sent 4', 'unsubscribed']);
  assert.deepEqual(order.filter((o) => o.startsWith('message')), [0, 1, 2, 3, 4].map((i) => `message ${i}`));
  assert.equal(order[0], 'subscribed', 'trap 32: the receipt of SUBSCRIBE comes before its first message');
  assert.ok(order.indexOf('message 4') < order.indexOf('unsubscribed'), 'no message after UNSUBSCRIBE');
});

test('messages stay in order, with 1000 in flight', async () => {
  const a = await open(target.url);
  const b = await open(target.url);
  const topic = unique('/topic/order');
  const inbox = await b.subscribe(topic);
  for (let i = 0; i < 1000; i++) a.client.publish({ destination: topic, body: `${i}` });
  assert.deepEqual(bodies(await inbox.take(1000)), Array.from({ length: 1000 }, (_, i) => `${i}`));
  const ids = new Set();
  const again = await a.subscribe(topic);
  for (let i = 0; i < 3; i++) await b.send(topic, 'x');
  for (const m of await again.take(3)) ids.add(m.headers['message-id']);
  assert.equal(ids.size, 3, 'every message has an id of its own');
});

test('trap 42: one frame in each WebSocket message', async () => {
  const a = await open(target.url);
  const b = await open(target.url);
  const topic = unique('/topic/framing');
  const inbox = await b.subscribe(topic);
  for (let i = 0; i < 200; i++) a.client.publish({ destination: topic, body: `${i}` });
  await inbox.take(200);
  for (const { text } of b.socket.received) {
    assert.match(text, /^[A-Z]+\n/);
    assert.equal(text.indexOf('\0'), text.length - 1);
  }
});

// What a client wants that takes part in heart-beats.
const beating = { heartbeatIncoming: target.beat, heartbeatOutgoing: target.beat };

test('heart-beats flow both ways', async () => {
  const s = await open(target.quick, beating);
  assert.equal(s.info.headers['heart-beat'], `${target.beat},${target.beat}`);
  const started = Date.now();
  await s.beats.take(8);
  const took = Date.now() - started;
  assert.ok(took < 8 * target.beat + 30_000, `8 heart-beats took ${took} ms`);
  assert.equal(s.lost, 0, 'the client missed none');
  assert.ok(Tap.heartBeats(s.socket.sent) >= 5, `the client sent ${Tap.heartBeats(s.socket.sent)}`);
  assert.equal(s.socket.pings, 0, 'nobody had to be asked');
  s.closed.empty();
  assert.equal(await s.ask('echo', 'alive'), 'alive');
});

test('a client that stops its heart-beats and answers no ping is closed', async () => {
  const s = await open(target.quick, { ...beating, tap: { mute: true, deaf: true } });
  const started = Date.now();
  const error = await s.errors.next();
  const took = Date.now() - started;
  assert.equal(error.headers.message, `nothing was heard for ${3 * target.beat / 1000}s`);
  assert.ok(took > 2 * target.beat && took < 3 * target.beat + 30_000, `closed after ${took} ms`);
  assert.ok(s.socket.pings >= 1, 'it was asked first');
  assert.equal((await s.closed.next()).code, 1002);
  const controller = await open(target.quick);
  assert.equal(await ended(controller, s.id), 'heart-beat-timeout');
});

test('a client that stops its heart-beats and answers pings stays', async () => {
  const s = await open(target.quick, { ...beating, tap: { mute: true } });
  const inbox = await s.subscribe('/topic/still-here');
  await s.beats.take(10); // it would have been closed after three
  assert.ok(s.socket.pings >= 2, `pinged ${s.socket.pings} times`);
  const other = await open(target.quick);
  await other.send('/topic/still-here', 'hello');
  assert.equal((await inbox.next()).body, 'hello');
  s.errors.empty();
  s.closed.empty();
});

test('trap 45: a large body in split text messages', async () => {
  const s = await open(target.url, { splitLargeFrames: true });
  const topic = unique('/topic/large');
  const inbox = await s.subscribe(topic);
  const body = '汉字—ž'.repeat(4500);
  assert.ok(body.length > 16 * 1024);
  const before = s.socket.sent.length;
  await s.send(topic, body, { 'content-type': 'text/plain;charset=utf-8' });
  assert.equal(s.socket.sent.length - before, 3, 'cut into chunks of 8 Ki UTF-16 units');
  const m = await inbox.next();
  assert.equal(m.body, body);
  assert.equal(m.headers['content-length'], String(Buffer.byteLength(body)));
});

test('trap 45: a body over the limit is refused by name, however it is cut', async () => {
  const s = await open(target.url, { splitLargeFrames: true });
  s.client.publish({ destination: '/topic/large', body: 'x'.repeat(70000), headers: { receipt: 'big' } });
  const error = await s.errors.next();
  assert.match(error.headers.message, /65536/);
  assert.equal((await s.closed.next()).code, 1009);
});

test('trap 43: bodies with NUL and invalid UTF-8 go as binary, text as text', async () => {
  const s = await open(target.url);
  const topic = unique('/topic/binary');
  const inbox = await s.subscribe(topic);
  const last = () => s.socket.received.filter((m) => (m.text ?? m.binary.toString('latin1')).startsWith('MESSAGE')).at(-1);

  const every = Uint8Array.from({ length: 256 }, (_, i) => i);
  await s.send(topic, every, { 'content-type': 'application/octet-stream' });
  let m = await inbox.next();
  assert.deepEqual(Buffer.from(m.binaryBody), Buffer.from(every));
  assert.equal(m.headers['content-type'], 'application/octet-stream');
  assert.ok(last().binary, 'not UTF-8, so a binary message');

  await s.send(topic, 'before\0after');
  m = await inbox.next();
  assert.equal(m.body, 'before\0after');
  assert.ok(last().text, 'UTF-8, so a text message');

  const truncated = Uint8Array.of(0xe2, 0x82); // the first two octets of €
  await s.send(topic, truncated);
  assert.deepEqual(Buffer.from((await inbox.next()).binaryBody), Buffer.from(truncated));

  await s.send(topic, '');
  m = await inbox.next();
  assert.equal(m.body, '');
  assert.equal(m.headers['content-length'], '0');
});

test('trap 44: forceBinaryWSFrames', async () => {
  const s = await open(target.url, { forceBinaryWSFrames: true, appendMissingNULLonIncoming: true });
  const topic = unique('/topic/forced');
  const inbox = await s.subscribe(topic);
  await s.send(topic, 'žluťoučký\0kůň');
  assert.equal((await inbox.next()).body, 'žluťoučký\0kůň');
  assert.ok(s.socket.sent.every((m) => Buffer.isBuffer(m)), 'everything was sent as binary');
  assert.ok(s.socket.received.every((m) => m.text !== undefined), 'everything came as text');
});

test('trap 38: deactivate() resolves', async () => {
  const controller = await open(target.url);
  const s = await open(target.url);
  await within(s.client.deactivate(), 'deactivate()');
  assert.match((await s.disconnected.next()).headers['receipt-id'], /^close-/);
  const { code, wasClean } = await s.closed.next();
  assert.ok(wasClean);
  assert.ok(code === 1000 || code === 1005, `closed with ${code}`);
  s.errors.empty();
  assert.equal(await ended(controller, s.id), 'disconnect');
});

test('it reconnects and subscribes again after the broker ended the session', async () => {
  const controller = await open(target.url);
  const topic = unique('/topic/reconnect');
  const s = new Session(target.url, { reconnectDelay: 20 });
  const first = await s.open();
  let inbox = await s.subscribe(topic);
  await controller.send(topic, 'one');
  assert.equal((await inbox.next()).body, 'one');

  await controller.send('/app/control/disconnect', s.id);
  assert.equal((await s.errors.next()).headers.message, 'ended by the test');
  const { code, reason } = await s.closed.next();
  assert.equal(code, 1008);
  assert.equal(reason, 'kicked');
  assert.equal(await ended(controller, s.id), 'kicked');
  await controller.send(topic, 'nobody is there');

  s.info = await s.connected.next();
  assert.notEqual(s.id, first.headers.session, 'it is another session');
  assert.equal(s.sockets.length, 2);
  inbox = await s.subscribe(topic);
  await controller.send(topic, 'two');
  assert.equal((await inbox.next()).body, 'two');
});

test('a denied SUBSCRIBE is told and closed with 4403', async () => {
  const s = await open(target.url);
  s.client.subscribe('/topic/forbidden', assert.fail, { receipt: 'denied' });
  const error = await s.errors.next();
  assert.equal(error.headers.message, 'not allowed to subscribe to "/topic/forbidden"');
  assert.equal(error.headers['receipt-id'], 'denied', 'trap 35');
  assert.equal(error.body, error.headers.message);
  const { code, reason } = await s.closed.next();
  assert.equal(code, 4403);
  assert.equal(reason, 'denied');
});

test('destinations of another user are denied', async () => {
  const s = await open(target.url, { connectHeaders: { login: 'alice' } });
  s.client.subscribe('/user/bob/queue/private', assert.fail);
  assert.match((await s.errors.next()).headers.message, /^not allowed to subscribe to the destinations of another user$/);
  assert.equal((await s.closed.next()).code, 4403);
});

test('@SubscribeMapping: a SUBSCRIBE to /app is answered once', async () => {
  const s = await open(target.url);
  const inbox = await s.subscribe('/app/echo');
  const m = await inbox.next();
  assert.equal(m.headers.destination, '/app/echo');
  assert.equal(m.headers.subscription, inbox.subscription.id);
  await s.send('/app/echo', 'to nobody'); // and not to this subscription
  inbox.empty();
});

test('W-4: an answer to one session reaches no other', async () => {
  const a = await open(target.url, { connectHeaders: { login: 'alice' } });
  const b = await open(target.url, { connectHeaders: { login: 'alice' } });
  const spy = await b.subscribe('/user/queue/echo');
  assert.equal(await a.ask('echo', 'for me'), 'for me');
  await b.send('/topic/other', 'and back');
  spy.empty();
});

await run();
