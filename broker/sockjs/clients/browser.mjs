// sockjs-client in Chromium: pages of our own origin and of another.

import { chromium } from 'playwright-core';
import { launch } from '../../internal/script/pages.mjs';
import { assert, cleanup, pages, run, target, test, unique } from './harness.mjs';

const browser = await launch(chromium, target.chromium);

async function load(origin) {
  const page = pages.watch(await browser.newPage());
  cleanup(() => page.close());
  await page.goto(`${origin}/`);
  return page;
}

const bodies = ['first', '100 % "é" \\ 🐎\n', 'x'.repeat(50000), 'last'];

async function talks(page, url, options, transport) {
  assert.equal(await page.evaluate(([u, o]) => connect(u, o), [url, options]), transport);
  assert.deepEqual(await page.evaluate(([t, b]) => say(t, b), [unique('/topic/page'), bodies]), bodies);
  await page.evaluate(() => client.deactivate());
}

for (const transport of ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling']) {
  test(`${transport} from a page of our own`, async () => {
    await talks(await load(target.home), `${target.home}/ws`, { transports: [transport] }, transport);
  });
  test(`${transport} from an origin that is allowed (CORS)`, async () => {
    await talks(await load(target.friend), `${target.home}/ws`, { transports: [transport] }, transport);
  });
  test(`${transport} from an origin that is not`, async () => {
    const page = await load(target.foreign);
    await assert.rejects(page.evaluate(([u, o]) => connect(u, o), [`${target.home}/ws`, { transports: [transport] }]), /closed/);
  });
}

for (const broken of ['refused', 'stripped', 'cut']) {
  test(`a proxy breaks WebSocket (${broken})`, async () => {
    await talks(await load(target[broken]), `${target[broken]}/ws`, {}, 'xhr-streaming');
  });
}

await run();
