// @stomp/stompjs 7 with the outbox of docs/headers.md: connections that break
// between a SEND and its RECEIPT, and messages that arrive once all the same.

import { Client } from '@stomp/stompjs';
import { assert, cleanup, run, target, test, unique, within } from './harness.mjs';
import { Outbox } from './outbox.mjs';
import { bodies, open } from './stompjs7.mjs';
import { WebSocket } from './tap.mjs';

// Breaking is a connection that breaks when the broker's next RECEIPT comes, as
// long as there are breaks left: the client does not see the RECEIPT.
class Breaking extends WebSocket {
  constructor(url, protocols, breaks) {
    super(url, protocols);
    this.breaks = breaks;
  }

  emit(event, data, ...rest) {
    if (event === 'message' && this.breaks.left > 0 && data.toString().startsWith('RECEIPT')) {
      this.breaks.left--;
      this.terminate();
      return true;
    }
    return super.emit(event, data, ...rest);
  }
}

// sender connects a client of a user, whose connections break, and its outbox.
async function sender(breaks, login = 'ann') {
  const client = new Client({
    webSocketFactory: () => new Breaking(target.url, ['v12.stomp'], breaks),
    connectHeaders: { login },
    reconnectDelay: 10,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
  });
  cleanup(() => client.deactivate());
  const outbox = new Outbox(client);
  client.activate();
  return outbox;
}

test('messages whose receipts were lost arrive once and in order', async () => {
  const breaks = { left: 3 };
  const queue = unique('/queue/once');
  const outbox = await sender(breaks);
  const sent = [];
  for (let i = 0; i < 10; i++) sent.push(outbox.send(queue, `${i}`));
  await within(Promise.all(sent), 'all receipts');
  assert.equal(breaks.left, 0, 'every break happened');
  assert.equal(outbox.waiting.size, 0);

  const s = await open(target.url);
  const inbox = await s.subscribe(queue);
  await s.send(queue, 'last');
  assert.deepEqual(bodies(await inbox.take(11)), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'last']);
});

test('the receipt of a message that was accepted before says so', async () => {
  const s = await open(target.url, { connectHeaders: { login: 'bob' } });
  const publish = (h) => s.client.publish({ destination: '/topic/once', body: '', headers: { ...h, 'message-dedup-id': 'x' } });
  assert.equal((await s.receipted(publish)).headers.duplicate, undefined);
  assert.equal((await s.receipted(publish)).headers.duplicate, 'true');
});

test('a message that is refused is given up, and the others arrive', async () => {
  const outbox = await sender({ left: 1 }, 'cid');
  const queue = unique('/queue/once');
  const good = outbox.send(queue, 'good');
  const bad = outbox.send('/nowhere', 'bad');
  const late = outbox.send(queue, 'late');
  await assert.rejects(within(bad, 'the refusal'), /destination|prefix|begin/i);
  await within(Promise.all([good, late]), 'the receipts of the others');
  const s = await open(target.url);
  const inbox = await s.subscribe(queue);
  assert.deepEqual(bodies(await inbox.take(2)), ['good', 'late']);
});

await run();
