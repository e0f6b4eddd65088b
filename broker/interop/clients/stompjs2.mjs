// stompjs 2.3.3, the library of old pages and of Web Flow's, with the calls that
// Web Flow's page makes. The Go test reads the recording of each connection,
// which the query of its address names.

import Stomp from 'stompjs';
import { assert, cleanup, Mailbox, run, target, test, unique, within } from './harness.mjs';
import { open as open7 } from './stompjs7.mjs';
import { WebSocket } from './tap.mjs';

// as returns the address of the recorded connection for a statement.
const as = (id) => `${target.url}?case=${id}`;

// Page is what a page has: a client, and what happened to it.
class Page {
  constructor(socket) {
    this.socket = socket;
    this.receipts = new Mailbox('a RECEIPT');
    this.errors = new Mailbox('an ERROR or the end');
    this.end = new Promise((resolve) => socket.addEventListener('close', resolve));
    this.pongs = new Mailbox('a heart-beat');
    this.client = Stomp.over(socket);
    this.client.onreceipt = this.receipts.put;
    this.client.debug = (line) => { if (line === '<<< PONG') this.pongs.put(line); };
    cleanup(() => {
      socket.close();
      return this.end;
    });
  }

  connect(headers = {}) {
    return within(new Promise((resolve) => {
      this.client.connect(headers, resolve, this.errors.put);
    }), 'CONNECTED');
  }

  subscribe(destination, headers) {
    const inbox = new Mailbox(`a MESSAGE of ${destination}`);
    inbox.subscription = this.client.subscribe(destination, inbox.put, headers);
    return inbox;
  }

  // sync returns when everything sent before was handled.
  async sync() {
    const receipt = unique('sync');
    this.client.send('/topic/nobody', { receipt }, 'x');
    assert.equal((await this.receipts.next()).headers['receipt-id'], receipt);
  }
}

async function open(url, headers, protocols) {
  const page = new Page(new WebSocket(url, protocols));
  page.connected = await page.connect(headers);
  return page;
}

test('Web Flow, call by call', async () => {
  const page = new Page(new WebSocket(as('webflow')));
  const { client } = page;
  await page.connect({ 'X-CSRF-TOKEN': 't' });
  const registration = page.subscribe('/user/topic/registration');
  client.send('/app/registration', {}, JSON.stringify({ webSocketId: '12345678' }));
  const m = await registration.next();
  assert.equal(m.body, '{"webSocketId":"12345678","registrationSucceeded":true}');
  assert.equal(m.headers.destination, '/user/topic/registration');
  assert.equal(m.headers.subscription, 'sub-0');
  assert.equal(m.headers['content-type'], 'application/json');
  page.subscribe('/user/topic/authorization');
  client.unsubscribe('/user/topic/authorization');
  await within(new Promise((resolve) => client.disconnect(resolve)), 'disconnect()');
  await within(page.end, 'the end of the WebSocket');
  registration.empty();
  page.errors.empty();
});

test('W-2: registering as the document has it', async () => {
  const page = await open(as('W-2'));
  const registration = page.subscribe('/user/topic/registration');
  page.client.send('/user/topic/registration', {}, '{"webSocketId":"12345678"}');
  assert.equal((await registration.next()).body, '{"webSocketId":"12345678","registrationSucceeded":true}');
  page.errors.empty();
});

test('C-1', async () => {
  const { connected } = await open(as('C-1'));
  assert.equal(connected.command, 'CONNECTED');
});

test('C-2', async () => {
  const { connected } = await open(as('C-2'));
  assert.equal(connected.headers['heart-beat'], '10000,10000');
  const still = await open(target.still);
  assert.equal(still.connected.headers['heart-beat'], '0,0');
  const none = new Page(new WebSocket(as('C-2-none')));
  none.client.heartbeat = { outgoing: 0, incoming: 0 };
  assert.equal((await none.connect()).headers['heart-beat'], '10000,10000');
});

test('C-3', async () => {
  const page = await open(as('C-3'));
  const inbox = page.subscribe('/user/topic/authorization');
  page.client.unsubscribe('/user/topic/authorization');
  page.client.unsubscribe('never-there');
  await page.sync();
  const topic = unique('/topic/c3');
  const still = page.subscribe(topic);
  page.client.send(topic, {}, 'works');
  assert.equal((await still.next()).body, 'works');
  inbox.empty();
  page.errors.empty();
});

test('C-4', async () => {
  const page = await open(as('C-4'));
  const big = page.subscribe('/user/queue/echo');
  const body = 'abcdefgh'.repeat(5000);
  page.client.send('/app/echo', {}, body);
  const m = await big.next();
  assert.equal(m.body.length, 40000);
  assert.equal(m.body, body);
  assert.equal(m.headers['content-length'], '40000');
  const accents = 'čšž—汉'.repeat(4000); // cut at units of UTF-16, longer in octets
  page.client.send('/app/echo', {}, accents);
  assert.equal((await big.next()).body, accents);
  page.errors.empty();
});

test('C-5', async () => {
  const page = await open(as('C-5'));
  page.client.disconnect();
  await within(page.end, 'the end of the WebSocket');
  page.errors.empty();
});

test('C-6', async () => {
  const page = await open(as('C-6'));
  const queue = unique('/queue/c6');
  for (const body of ['a', 'b']) page.client.send(queue, {}, body);
  const inbox = page.subscribe(queue);
  const got = await inbox.take(2);
  assert.deepEqual(got.map((m) => m.body), ['a', 'b']);
  assert.equal(got[0].headers.ack, undefined);
  inbox.subscription.unsubscribe();
  const again = page.subscribe(queue);
  page.client.send(queue, {}, 'c');
  assert.equal((await again.next()).body, 'c', 'a and b were settled when they were sent');
});

test('C-7', async () => {
  const { connected } = await open(as('C-7'), { 'X-CSRF-TOKEN': 'f81d4fae', login: 'alice' });
  assert.equal(connected.headers['user-name'], 'alice');
});

test('C-8', async () => {
  const page = new Page(new WebSocket(`${target.quick}?case=C-8`));
  page.client.heartbeat = { outgoing: target.beat, incoming: target.beat };
  await page.connect();
  const topic = unique('/topic/c8');
  const inbox = page.subscribe(topic);
  for (let i = 0; i < 50; i++) page.client.send(topic, {}, `${i}`);
  assert.deepEqual((await inbox.take(50)).map((m) => m.body), Array.from({ length: 50 }, (_, i) => `${i}`));
  await page.pongs.take(5);
  page.errors.empty();
  page.client.send(topic, {}, 'alive');
  assert.equal((await inbox.next()).body, 'alive');
});

test('C-9', async () => {
  const { connected, socket } = await open(as('C-9'));
  assert.equal(connected.headers.version, '1.1');
  assert.equal(socket.protocol, '', 'none was offered');
  Stomp.WebSocketClass = WebSocket;
  const { ws } = Stomp.client(as('C-9-client')); // it offers v10.stomp and v11.stomp
  const page = new Page(ws);
  assert.equal((await page.connect()).headers.version, '1.1');
  assert.equal(ws.protocol, 'v11.stomp');
});

test('C-11', async () => {
  // No library writes CR LF: a bare WebSocket does.
  const socket = new WebSocket(as('C-11'));
  const inbox = new Mailbox('a frame');
  socket.on('message', (data) => inbox.put(data.toString()));
  cleanup(() => socket.close());
  await within(new Promise((resolve) => socket.on('open', resolve)), 'the WebSocket');
  socket.send('STOMP\r\naccept-version:1.0,1.1,1.2\r\nhost:example.org\r\nheart-beat:0,0\r\n\r\n\0\r\n');
  assert.match(await inbox.next(), /^CONNECTED\nversion:1\.2\n/);
  const topic = unique('/topic/c11');
  socket.send(`SUBSCRIBE\r\nid:cr\r\ndestination:${topic}\r\nreceipt:1\r\n\r\n\0`);
  assert.equal(await inbox.next(), 'RECEIPT\nreceipt-id:1\n\n\0');
  // CR LF cut in two, and two frames in one message.
  socket.send(`SEND\r\ndestination:${topic}\r`);
  socket.send('\nx:y\r\ncontent-length:6\r\n\r\na\r\nb\0c\0\r\nSEND\ndestination:' + topic + '\n\nplain\0\n\n');
  const m = await inbox.next();
  assert.match(m, /^MESSAGE\n/);
  assert.match(m, /\nx:y\n/, 'the CR is no part of the value');
  assert.ok(m.endsWith('\n\na\r\nb\0c\0'), 'in the body it is');
  assert.ok((await inbox.next()).endsWith('\n\nplain\0'));

  // And the library of today beside the old one.
  const old = await open(as('C-11-old'));
  const modern = await open7(target.url);
  const [left, right] = [old.subscribe(topic), await modern.subscribe(topic)];
  await old.sync();
  old.client.send(topic, {}, 'from old');
  assert.equal((await right.next()).body, 'from old');
  assert.equal((await left.next()).body, 'from old');
  await modern.send(topic, 'from new');
  assert.equal((await left.next()).body, 'from new');
});

test('acknowledgements and transactions of 1.1', async () => {
  const page = await open(as('acks'));
  const { client } = page;
  const queue = unique('/queue/acks');
  for (const body of ['a', 'b', 'c']) client.send(queue, {}, body);
  let inbox = page.subscribe(queue, { ack: 'client-individual' });
  const [a, b, c] = await inbox.take(3);
  a.ack();
  b.nack();
  const again = await inbox.next();
  assert.equal(again.body, 'b');
  assert.equal(again.headers.redelivered, 'true');
  const tx = client.begin();
  again.ack({ transaction: tx.id });
  client.send(queue, { transaction: tx.id }, 'd');
  await page.sync();
  inbox.empty();
  tx.commit();
  const d = await inbox.next();
  assert.equal(d.body, 'd');
  c.ack();
  d.ack();
  const lost = client.begin();
  client.send(queue, { transaction: lost.id }, 'never');
  lost.abort();
  client.send(queue, {}, 'e');
  assert.equal((await inbox.next()).body, 'e');
  page.errors.empty();
});

await run();
