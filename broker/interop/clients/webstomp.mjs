// webstomp-client 1.2.6.

import webstomp from 'webstomp-client';
import { assert, cleanup, Mailbox, run, target, test, unique, within } from './harness.mjs';
import { Tap, WebSocket } from './tap.mjs';

globalThis.WebSocket = WebSocket;

class Page {
  constructor(socket, options = {}) {
    this.socket = socket;
    this.end = new Promise((resolve) => socket.addEventListener('close', resolve));
    this.receipts = new Mailbox('a RECEIPT');
    this.errors = new Mailbox('an ERROR or the end');
    this.client = webstomp.over(socket, { debug: false, heartbeat: false, ...options });
    this.client.onreceipt = (f) => this.receipts.put(f.headers['receipt-id']);
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

  // subscribe waits for the receipt.
  async subscribe(destination, headers = {}) {
    const inbox = new Mailbox(`a MESSAGE of ${destination}`);
    const receipt = unique('subscribed');
    // An id of our own: those of the library are times and may be equal.
    inbox.subscription = this.client.subscribe(destination, inbox.put, { id: unique('id'), receipt, ...headers });
    assert.equal(await this.receipts.next(), receipt);
    return inbox;
  }

  async send(destination, body, headers = {}) {
    const receipt = unique('sent');
    this.client.send(destination, body, { receipt, ...headers });
    assert.equal(await this.receipts.next(), receipt);
  }
}

async function open(url, { protocols = ['v10.stomp', 'v11.stomp', 'v12.stomp'], ...options } = {}) {
  const page = new Page(new Tap(url, protocols), { protocols, ...options });
  page.connected = await page.connect();
  return page;
}

for (const { protocols, protocol, version } of [
  { protocols: ['v10.stomp'], protocol: 'v10.stomp', version: '1.0' },
  { protocols: ['v11.stomp'], protocol: 'v11.stomp', version: '1.1' },
  { protocols: ['v12.stomp'], protocol: 'v12.stomp', version: '1.2' },
  { protocols: ['v10.stomp', 'v11.stomp', 'v12.stomp'], protocol: 'v12.stomp', version: '1.2' },
]) {
  for (const binary of [false, true]) {
    test(`${protocols}${binary ? ', binary' : ''}`, async () => {
      const page = await open(target.url, { protocols, binary });
      assert.equal(page.socket.protocol, protocol);
      assert.equal(page.client.version, version);
      const topic = unique('/topic/webstomp');
      const inbox = await page.subscribe(topic);
      await page.send(topic, 'Příliš žluťoučký 🐎', { 'content-type': 'text/plain', 'x-custom': 'yes' });
      const m = await inbox.next();
      assert.equal(m.body, 'Příliš žluťoučký 🐎');
      assert.equal(m.headers.destination, topic);
      assert.equal(m.headers.subscription, inbox.subscription.id);
      assert.equal(m.headers['x-custom'], 'yes');
      assert.equal(m.headers['content-type'], 'text/plain');
      inbox.subscription.unsubscribe({ receipt: 'gone' });
      assert.equal(await page.receipts.next(), 'gone');
      await page.send(topic, 'late');
      inbox.empty();
      page.errors.empty();
      assert.ok(page.socket.sent.every((s) => Buffer.isBuffer(s) === binary));
    });
  }
}

test('webstomp.client() connects', async () => {
  const client = webstomp.client(target.url, { debug: false, heartbeat: { outgoing: 10000, incoming: 10000 } });
  const connected = await within(new Promise((resolve, reject) => client.connect('alice', 'secret', resolve, reject)), 'CONNECTED');
  assert.equal(connected.headers['user-name'], 'alice');
  assert.equal(connected.headers['heart-beat'], '10000,10000');
  const end = new Promise((resolve) => client.ws.on('close', resolve));
  client.disconnect();
  await within(end, 'the end of the WebSocket');
});

test('trap 42: a large body, cut within characters', async () => {
  const page = await open(target.url, { binary: true });
  const topic = unique('/topic/webstomp-large');
  const inbox = await page.subscribe(topic);
  const body = 'x' + '汉字'.repeat(8000);
  const before = page.socket.sent.length;
  await page.send(topic, body);
  const parts = page.socket.sent.slice(before);
  assert.deepEqual(parts.slice(0, 2).map((p) => p.length), [16384, 16384]);
  const whole = (b) => Buffer.from(b.toString('utf8')).equals(b);
  assert.ok(parts.some((p) => !whole(p)), 'some message is no valid UTF-8 by itself');
  assert.equal((await inbox.next()).body, body);
});

test('heart-beats flow both ways', async () => {
  const page = await open(target.quick, { heartbeat: { outgoing: target.beat, incoming: target.beat } });
  const came = new Mailbox('a heart-beat');
  page.socket.on('message', (data) => { if (data.toString() === '\n') came.put('beat'); });
  await came.take(6);
  assert.ok(Tap.heartBeats(page.socket.sent) >= 4);
  page.errors.empty();
  const inbox = await page.subscribe('/user/queue/echo');
  await page.send('/app/echo', 'alive');
  assert.equal((await inbox.next()).body, 'alive');
});

for (const version of ['1.1', '1.2']) {
  test(`${version}: ack and nack`, async () => {
    const page = await open(target.url, { protocols: [`v${version.replace('.', '')}.stomp`] });
    const queue = unique('/queue/webstomp');
    for (const body of ['a', 'b', 'c']) await page.send(queue, body);
    const inbox = await page.subscribe(queue, { ack: 'client-individual' });
    const [a, b, c] = await inbox.take(3);
    assert.deepEqual([a.body, b.body, c.body], ['a', 'b', 'c']);
    a.ack();
    b.nack();
    const again = await inbox.next();
    assert.equal(again.body, 'b');
    assert.equal(again.headers.redelivered, 'true');
    again.ack({ receipt: 'acked' });
    assert.equal(await page.receipts.next(), 'acked');
    inbox.subscription.unsubscribe();
    const rest = await page.subscribe(queue);
    assert.equal((await rest.next()).body, 'c');
    page.errors.empty();
  });
}

test('transactions', async () => {
  const page = await open(target.url);
  const topic = unique('/topic/webstomp-tx');
  const inbox = await page.subscribe(topic);
  const kept = page.client.begin('kept');
  const lost = page.client.begin('lost');
  await page.send(topic, 'in', { transaction: kept.id });
  await page.send(topic, 'never', { transaction: lost.id });
  await page.send(topic, 'outside');
  kept.commit();
  lost.abort();
  await page.send(topic, 'after');
  assert.deepEqual((await inbox.take(3)).map((m) => m.body), ['outside', 'in', 'after']);
});

test('a denied SUBSCRIBE is told and closed with 4403', async () => {
  const page = await open(target.url);
  page.client.subscribe('/topic/forbidden', assert.fail);
  const [error, close] = await page.errors.take(2);
  assert.equal(error.command, 'ERROR');
  assert.equal(error.headers.message, 'not allowed to subscribe to "/topic/forbidden"');
  assert.equal(close.code, 4403);
});

await run();
