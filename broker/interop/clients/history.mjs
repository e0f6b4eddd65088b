// The page of docs/history.md, as it is written there, with @stomp/stompjs 7.

import { assert, documented, Mailbox, run, target, test } from './harness.mjs';
import { open, Session } from './stompjs7.mjs';

const code = documented('history.md');

test('a page comes back with its offset', async () => {
  const sender = await open(target.url);
  const send = async (...bodies) => {
    for (const body of bodies) await sender.send(`/topic/prices/${body % 2 ? 'eu' : 'us'}`, String(body));
  };
  await send(1, 2, 3);

  const page = new Session(target.url, { reconnectDelay: 50 });
  const shown = new Mailbox('a message on the page');
  let resets = 0;
  new Function('client', 'reset', 'show', code)(page.client, () => resets++, shown.put);
  const wanted = async (...bodies) => assert.deepEqual((await shown.take(bodies.length)).map((m) => Number(m.body)), bodies);

  page.client.activate();
  await wanted(1, 2, 3);
  assert.equal(resets, 1, 'a new page has nothing to continue');
  await send(4);
  await wanted(4);

  page.socket.close(); // stompjs reconnects by itself
  await page.closed.next();
  await send(5, 6);
  await wanted(5, 6);
  assert.equal(resets, 1, 'the broker has proven that nothing is missing');

  await page.client.deactivate();
  await send(...Array.from({ length: 14 }, (_, i) => i + 7)); // 7 to 20, and five of each topic are kept
  page.client.activate();
  await wanted(11, 12, 13, 14, 15, 16, 17, 18, 19, 20);
  assert.equal(resets, 2, 'messages are missing, and the page was told');
  await send(21);
  await wanted(21);
  shown.empty();
});

await run();
