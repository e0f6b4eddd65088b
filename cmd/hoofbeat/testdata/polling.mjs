// The snippet of docs/webflow.md that polls, in pages of Chromium from other ports
// than the broker's.
import { createRequire } from 'node:module';
import { launch } from '../../../broker/internal/script/pages.mjs';
import { assert, cleanup, pages, run, target, test, within } from '../../../broker/sockjs/clients/harness.mjs';

const require = createRequire(new URL('../../../broker/sockjs/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const browser = await launch(chromium, target.chromium);

async function visit(url) {
  const context = await browser.newContext();
  cleanup(() => context.close());
  const page = pages.watch(await context.newPage());
  await page.goto(url);
  return page;
}

// report tells the broker a result, as the program that decides does.
async function report(result) {
  const answer = await fetch(`${target.admin}/api/v1/operations/payment/result`, {
    method: 'POST', body: JSON.stringify({ result }),
    headers: { Authorization: `Bearer ${target.token}`, 'Content-Type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
}

test('a page of websocket.origins polls until it is confirmed', async () => {
  const page = await visit(target.home);
  const polls = [];
  page.on('response', (response) => polls.push(`${response.request().method()} ${new URL(response.url()).pathname.split('/').pop()} ${response.status()}`));
  const polled = page.waitForResponse((response) => response.url().endsWith('/result') && response.request().method() === 'GET');
  const result = page.evaluate(`pollFor(${JSON.stringify(target.id)}, ${JSON.stringify(target.ticket)})`);
  const first = await (await polled).json();
  assert.equal(first.authResult, null);
  await report('AUTH_METHOD_CHOSEN'); // the page goes on waiting
  await report('CONFIRMED');
  assert.equal(await within(result, 'the result'), 'CONFIRMED');
  assert.ok(polls.includes('POST poll-token 200'), polls.join(', '));
});

test('the page can read the headers of the answers', async () => {
  const page = await visit(target.home);
  const read = await page.evaluate(async ([url, ticket]) => {
    const answer = await fetch(url, { method: 'POST', headers: { Authorization: `Ticket ${ticket}` } });
    return { status: answer.status, token: answer.headers.get('poll-token'), body: await answer.json() };
  }, [await page.evaluate(`\`\${broker}/operations/${target.id}/poll-token\``), target.other]);
  assert.equal(read.status, 200);
  assert.equal(read.token, read.body.pollToken);
});

test('a page of another origin does not', async () => {
  const page = await visit(target.foreign);
  const failed = await page.evaluate(`pollFor(${JSON.stringify(target.id)}, 'ticket').then(() => 'polled', (e) => String(e))`);
  assert.match(failed, /Failed to fetch/);
});

await run();
await browser.close();
