// @stomp/stompjs 7: acknowledgements, redelivery and transactions, in every
// version that has them.

import { assert, run, target, test, unique } from './harness.mjs';
import { bodies, open } from './stompjs7.mjs';

// filled returns a queue with the messages in it.
async function filled(s, ...messages) {
  const queue = unique('/queue/ack');
  for (const m of messages) await s.send(queue, m);
  return queue;
}

for (const version of ['1.1', '1.2']) {
  const config = { versions: [version] };

  test(`${version}: ack client is cumulative`, async () => {
    const s = await open(target.url, config);
    const queue = await filled(s, 'a', 'b', 'c', 'd');
    let inbox = await s.subscribe(queue, { ack: 'client' });
    const got = await inbox.take(4);
    assert.deepEqual(bodies(got), ['a', 'b', 'c', 'd']);
    if (version === '1.2') for (const m of got) assert.ok(m.headers.ack, 'trap 29: a MESSAGE to acknowledge has an ack header');
    await s.receipted((h) => got[1].ack(h));
    await inbox.unsubscribe();

    inbox = await s.subscribe(queue, { ack: 'client' });
    const again = await inbox.take(2);
    assert.deepEqual(bodies(again), ['c', 'd']);
    for (const m of again) assert.equal(m.headers.redelivered, 'true');
    await s.receipted((h) => again[1].ack(h));
    await inbox.unsubscribe();
    inbox = await s.subscribe(queue);
    await s.send(queue, 'next');
    assert.equal((await inbox.next()).body, 'next', 'nothing else was left');
  });

  test(`${version}: ack client-individual is for one message`, async () => {
    const s = await open(target.url, config);
    const queue = await filled(s, 'a', 'b', 'c');
    let inbox = await s.subscribe(queue, { ack: 'client-individual' });
    const got = await inbox.take(3);
    await s.receipted((h) => got[1].ack(h));
    await inbox.unsubscribe();
    inbox = await s.subscribe(queue);
    assert.deepEqual(bodies(await inbox.take(2)), ['a', 'c']);
    await s.receipted((h) => got[0].ack(h)); // trap 31: a late ACK is no error
  });

  test(`${version}: nack delivers again`, async () => {
    const s = await open(target.url, config);
    const queue = await filled(s, 'once more');
    const inbox = await s.subscribe(queue, { ack: 'client-individual' });
    const first = await inbox.next();
    assert.equal(first.headers.redelivered, undefined);
    await s.receipted((h) => first.nack(h));
    const second = await inbox.next();
    assert.equal(second.body, 'once more');
    assert.equal(second.headers.redelivered, 'true');
    assert.equal(second.headers['message-id'], first.headers['message-id']);
    assert.equal(second.headers.destination, queue);
    await s.receipted((h) => second.ack(h));
    await inbox.unsubscribe();
    const rest = await s.subscribe(queue);
    await s.send(queue, 'next');
    assert.equal((await rest.next()).body, 'next');
  });

  test(`${version}: nack in client mode covers all before, in order`, async () => {
    const s = await open(target.url, config);
    const queue = await filled(s, 'a', 'b', 'c');
    const inbox = await s.subscribe(queue, { ack: 'client' });
    const got = await inbox.take(3);
    await s.receipted((h) => got[1].nack(h));
    assert.deepEqual(bodies(await inbox.take(2)), ['a', 'b']);
  });

  test(`${version}: refused too often goes to the dead letters`, async () => {
    const s = await open(target.url, config);
    const queue = await filled(s, 'poison');
    const inbox = await s.subscribe(queue, { ack: 'client-individual' });
    const dead = await s.subscribe(`/queue/DLQ.${queue.slice('/queue/'.length)}`);
    for (let i = 0; i < 5; i++) (await inbox.next()).nack();
    const m = await dead.next();
    assert.equal(m.body, 'poison');
    assert.equal(m.headers['original-destination'], queue);
    inbox.empty();
  });
}

test('1.0: ack by message-id', async () => {
  const s = await open(target.url, { versions: ['1.0'] });
  const queue = await filled(s, 'a', 'b', 'c');
  let inbox = await s.subscribe(queue, { ack: 'client' });
  const got = await inbox.take(3);
  await s.receipted((h) => s.client.ack(got[1].headers['message-id'], got[1].headers.subscription, h));
  await inbox.unsubscribe();
  inbox = await s.subscribe(queue);
  assert.equal((await inbox.next()).body, 'c');
});

test('trap 32: a full queue waits for the receipt of SUBSCRIBE', async () => {
  const s = await open(target.url);
  const queue = await filled(s, 'a', 'b');
  const order = [];
  s.client.watchForReceipt('first', () => order.push('receipt'));
  const done = new Promise((resolve) => {
    s.client.subscribe(queue, (m) => { order.push(m.body); if (m.body === 'b') resolve(); }, { receipt: 'first' });
  });
  await done;
  assert.deepEqual(order, ['receipt', 'a', 'b']);
});

test('what a closed session held goes to the next consumer', async () => {
  const a = await open(target.url);
  const b = await open(target.url);
  const queue = await filled(a, 'a', 'b');
  const lost = await a.subscribe(queue, { ack: 'client' });
  await lost.take(2);
  const inbox = await b.subscribe(queue);
  inbox.empty();
  a.client.forceDisconnect();
  assert.deepEqual(bodies(await inbox.take(2)), ['a', 'b']);
});

for (const version of ['1.0', '1.1', '1.2']) {
  test(`${version}: a committed transaction`, async () => {
    const s = await open(target.url, { versions: [version] });
    const topic = unique('/topic/commit');
    const inbox = await s.subscribe(topic);
    const tx = s.client.begin();
    await s.send(topic, 'in 1', { transaction: tx.id });
    await s.send(topic, 'in 2', { transaction: tx.id, 'x-extra': 'kept' });
    await s.send(topic, 'outside');
    assert.equal((await inbox.next()).body, 'outside');
    inbox.empty();
    tx.commit();
    const got = await inbox.take(2);
    assert.deepEqual(bodies(got), ['in 1', 'in 2']);
    assert.equal(got[1].headers['x-extra'], 'kept');
    assert.equal(got[1].headers.transaction, undefined, 'trap 15: the transaction header is not forwarded');
  });

  test(`${version}: an aborted transaction`, async () => {
    const s = await open(target.url, { versions: [version] });
    const topic = unique('/topic/abort');
    const inbox = await s.subscribe(topic);
    const tx = s.client.begin('mine');
    await s.send(topic, 'never', { transaction: tx.id });
    tx.abort();
    await s.send(topic, 'after');
    assert.equal((await inbox.next()).body, 'after');
    inbox.empty();
    s.client.begin('mine').commit(); // the name is free again
    await s.send(topic, 'still here');
    assert.equal((await inbox.next()).body, 'still here');
  });
}

test('acknowledgements in a transaction', async () => {
  const s = await open(target.url);
  const queue = await filled(s, 'a', 'b');
  let inbox = await s.subscribe(queue, { ack: 'client-individual' });
  const [a, b] = await inbox.take(2);
  const kept = s.client.begin();
  await s.receipted((h) => a.ack({ transaction: kept.id, ...h }));
  const dropped = s.client.begin();
  await s.receipted((h) => b.ack({ transaction: dropped.id, ...h }));
  kept.commit();
  dropped.abort();
  await inbox.unsubscribe();
  inbox = await s.subscribe(queue);
  assert.equal((await inbox.next()).body, 'b', 'only what was committed counts');
  await s.send(queue, 'next');
  assert.equal((await inbox.next()).body, 'next');
});

test('trap 36: an unknown transaction is an ERROR', async () => {
  const s = await open(target.url);
  s.client.commit('none');
  assert.match((await s.errors.next()).headers.message, /no open transaction "none"/);
  assert.equal((await s.closed.next()).code, 1002);
});

await run();
