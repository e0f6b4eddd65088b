// A page for Spring's broker in Chromium, served by an origin of its own.
import { createRequire } from 'node:module';
import { launch } from '../../../broker/internal/script/pages.mjs';
import { assert, cleanup, pages, run, target, test, within } from '../../../broker/sockjs/clients/harness.mjs';

const require = createRequire(new URL('../../../broker/sockjs/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const browser = await launch(chromium, target.chromium);

// visit opens the page in a window of its own, which shares no cookies.
async function visit(site, broker, login) {
  const context = await browser.newContext();
  cleanup(() => context.close());
  const page = pages.watch(await context.newPage());
  await page.goto(`${site}/${broker}/?login=${login}`);
  return page;
}

async function admin(path, body) {
  const answer = await fetch(target.admin + path, {
    method: 'POST', body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${target.token}`, 'Content-Type': 'application/json' },
  });
  assert.ok(answer.ok, `${path}: HTTP ${answer.status}`);
}

async function works(broker, transport) {
  const ann = await visit(target.home, broker, 'ann');
  const bob = await visit(target.home, broker, 'bob');
  for (const page of [ann, bob]) {
    await page.getByText(/^(Connected over|Lost:)/).waitFor();
    assert.equal(await page.locator('#state').textContent(), `Connected over ${transport}`);
  }
  // A SUBSCRIBE is in force when a message of its session that follows has come.
  for (const [page, name] of [[ann, 'Ann'], [bob, 'Bob']]) {
    await page.getByLabel('What is your name?').fill(name);
    await page.getByText('Send').click();
    await page.locator('#greetings').getByText(`Hello, ${name}!`).waitFor();
  }
  await ann.locator('#greetings').getByText('Hello, Bob!').waitFor();
  await admin('/api/v1/users/ann/messages', { destination: '/queue/reply', body: 'for Ann' });
  await ann.locator('#replies').getByText('for Ann').waitFor();
  await ann.evaluate(() => {
    stompClient.send('/queue/news', { lang: 'de' }, 'Neues');
    stompClient.send('/queue/news', { lang: 'en' }, 'news');
  });
  for (const page of [ann, bob]) await page.locator('#news').getByText('news').waitFor(); // a broadcast
  assert.deepEqual(await bob.locator('#news td').allTextContents(), ['news']);
  assert.deepEqual(await bob.locator('#replies td').allTextContents(), []);
}

test('a page with only the host changed', () => works(0, 'websocket'));
test('the same behind a proxy that breaks WebSocket', () => works(1, 'xhr-streaming'));
test('the same when that proxy is slow', () => works(2, 'xhr-streaming'));
test('a page of an origin that is not allowed', async () => {
  const page = await visit(target.foreign, 0, 'eve');
  await within(page.getByText('Lost: ').waitFor(), 'the refusal');
});

await run();
