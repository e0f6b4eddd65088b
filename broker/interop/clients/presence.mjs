// The page of docs/presence.md, as it is written there, with @stomp/stompjs 7.

import { assert, documented, Mailbox, run, target, test } from './harness.mjs';
import { open, Session } from './stompjs7.mjs';

const code = documented('presence.md');
const room = '/topic/room/7';

test('a page knows who is in the room', async () => {
  const join = async (login) => {
    const session = await open(target.url, { connectHeaders: { login, passcode: 'x' } });
    return session.subscribe(room);
  };
  const page = new Session(target.url, { reconnectDelay: 50, connectHeaders: { login: 'ann', passcode: 'x' } });
  let asked = 0;
  const subscribe = page.client.subscribe;
  page.client.subscribe = (destination, ...rest) => {
    if (destination.startsWith('/app/')) asked++;
    return subscribe.call(page.client, destination, ...rest);
  };
  const shown = new Mailbox('who is in the room');
  new Function('client', 'show', code)(page.client, (people) => shown.put([...people].sort().join()));
  const until = async (names) => {
    const before = [];
    for (let now; now !== names; before.push(now)) now = await shown.next();
    return before;
  };

  page.client.activate();
  await until('ann');
  await join('bob');
  await until('ann,bob');
  assert.equal(asked, 1, 'an event has told of bob');

  page.socket.close(); // stompjs reconnects by itself
  await page.closed.next();
  assert.deepEqual(await until('ann,bob'), ['ann,bob'], 'nobody has left meanwhile');
  assert.equal(asked, 2, 'a new connection asks once');

  const cid = await join('cid');
  const dan = await join('dan');
  await until('ann,bob,cid,dan');
  await Promise.all([cid.unsubscribe(), dan.unsubscribe()]); // limits.presence_leaving is 1: one has gone without an event
  await until('ann,bob');
  assert.equal(asked, 3, 'after the gap the page has asked anew');
});

await run();
