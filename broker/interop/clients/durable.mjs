// The page of docs/durable.md, as it is written there, with @stomp/stompjs 7.

import { assert, documented, Mailbox, run, target, test } from './harness.mjs';
import { open, Session } from './stompjs7.mjs';

const code = documented('durable.md');

test('a page gets what came while it was away', async () => {
  const sender = await open(target.url);
  const send = async (...bodies) => {
    for (const body of bodies) await sender.send(`/topic/orders/${body % 2 ? 'eu' : 'us'}`, String(body));
  };
  const away = async () => {
    while (await sender.ask('control/away', '') !== 'true');
  };
  const page = new Session(target.url, { connectHeaders: { login: 'ann', passcode: 'x' } });
  const handled = new Mailbox('a message on the page');
  let reloads = 0;
  new Function('client', 'reload', 'handle', code)(page.client, () => reloads++, handled.put);
  const wanted = async (...bodies) => assert.deepEqual((await handled.take(bodies.length)).map(Number), bodies);

  const connected = async () => {
    page.client.activate();
    while (await sender.ask('control/away', '') !== 'false');
  };
  await connected();
  await send(1, 2);
  await wanted(1, 2);

  await page.client.deactivate({ force: true }); // as if the connection were lost
  await away();
  await send(3, 4);
  await connected();
  await wanted(3, 4);
  await send(5);
  await wanted(5);
  assert.equal(reloads, 0, 'nothing is missing');

  await page.client.deactivate();
  await away();
  await send(...Array.from({ length: 8 }, (_, i) => i + 6)); // 6 to 13, and five are kept
  await connected();
  await wanted(9, 10, 11, 12, 13);
  assert.equal(reloads, 1, 'the page was told once that messages are missing');
  handled.empty();
});

await run();
