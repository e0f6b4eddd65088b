// The pages of the README in Chromium, from another port than the broker's.
import { createRequire } from 'node:module';
import { launch } from '../../../broker/internal/script/pages.mjs';
import { cleanup, pages, run, target, test, until } from '../../../broker/sockjs/clients/harness.mjs';

const require = createRequire(new URL('../../../broker/sockjs/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const browser = await launch(chromium, target.chromium);

// visit opens a page and returns what it has written to the console.
async function visit(path) {
  const context = await browser.newContext();
  cleanup(() => context.close());
  const page = pages.watch(await context.newPage());
  await page.goto(target.home + path);
  return page.said;
}

// heard waits for a line of the console.
const heard = (said, line) => until(line, () => said.includes(line));

test('stompjs', async () => {
  const said = await visit('/stompjs');
  await heard(said, 'for all: hello');
  const answer = await fetch(`${target.admin}/api/v1/users/ann/messages`, {
    method: 'POST', body: JSON.stringify({ destination: '/queue/news', body: 'you have mail' }),
    headers: { Authorization: `Bearer ${target.token}`, 'Content-Type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  await heard(said, 'for me: you have mail');
});
test('SockJS', async () => heard(await visit('/sockjs'), 'for all: hello'));
test('SockJS without a WebSocket', async () => heard(await visit('/polling'), 'for all: hello'));

await run();
await browser.close();
