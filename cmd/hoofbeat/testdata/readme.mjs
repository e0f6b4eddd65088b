// The pages of the README in Chromium, from another port than the broker's.
import { createRequire } from 'node:module';
import { cleanup, run, target, test, until } from '../../../broker/sockjs/clients/harness.mjs';

const require = createRequire(new URL('../../../broker/sockjs/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const browser = await chromium.launch({
  executablePath: target.chromium,
  timeout: 120_000, // a busy machine starts it late
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

// visit opens a page and returns what it has written to the console.
async function visit(path) {
  const context = await browser.newContext();
  cleanup(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(target.home + path);
  return said;
}

// heard waits for a line of the console; the error shows the others.
async function heard(said, line) {
  try {
    await until(line, () => said.includes(line));
  } catch (e) {
    throw new Error(`${e}; the page has written ${JSON.stringify(said)}`);
  }
}

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
