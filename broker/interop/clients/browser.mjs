// Pages in Chromium. The Go test serves clients/page from two origins, of which
// the broker lets in one.

import { chromium } from 'playwright-core';
import { launch } from '../../internal/script/pages.mjs';
import { assert, cleanup, pages, run, target, test, unique, within } from './harness.mjs';
import { ended, open as open7 } from './stompjs7.mjs';

const browser = await launch(chromium, target.chromium);

// load opens the page of an origin in a new tab.
async function load(origin) {
  const page = pages.watch(await browser.newPage());
  cleanup(() => page.close());
  await page.goto(`${origin}/`);
  return page;
}

const connect = (page, url, config) =>
  page.evaluate(([u, c]) => connect(u, c), [url, config]);

const log = (page) => page.evaluate(() => log);

// logged waits until the page has noted something.
const logged = (page, entry) =>
  page.waitForFunction((e) => log.includes(e), entry, { polling: 20 });

test('two pages exchange messages', async () => {
  const [a, b] = [await load(target.home), await load(target.home)];
  const { headers, protocol } = await connect(a, target.url, { connectHeaders: { login: 'alice' } });
  assert.equal(protocol, 'v12.stomp');
  assert.equal(headers.version, '1.2');
  assert.equal(headers['user-name'], 'alice');
  await connect(b, target.url);
  const topic = unique('/topic/pages');
  await a.evaluate((t) => subscribe(t, 'ready'), topic);
  const bodies = ['first', 'Příliš žluťoučký 🐎', 'x'.repeat(50000)];
  for (const body of bodies) await b.evaluate(([t, text]) => publish(t, text, text.slice(0, 5)), [topic, body]);
  await logged(a, bodies[2]);
  assert.deepEqual(await log(a), bodies);
  assert.ok(await b.evaluate((t) => publishOctets(t, [0, 255, 10, 192, 128, 0]), unique('/topic/octets')));
  assert.deepEqual(a.said, []);
});

test('deactivate() in a page ends the session cleanly', async () => {
  const page = await load(target.home);
  const { headers } = await connect(page, target.url);
  await page.evaluate(() => client.deactivate());
  assert.match((await log(page)).at(-1), /^close (1000|1005)$/);
  const controller = await open7(target.url);
  assert.equal(await ended(controller, headers.session), 'disconnect');
});

test('leaving the page ends the session cleanly', async () => {
  const page = await load(target.home);
  const { headers } = await connect(page, target.url);
  await page.goto('about:blank');
  const controller = await open7(target.url);
  assert.equal(await ended(controller, headers.session), 'disconnect');
});

test('a denied SUBSCRIBE reaches the page before the end, with 4403', async () => {
  const page = await load(target.home);
  await connect(page, target.url);
  await page.evaluate(() => { client.subscribe('/topic/forbidden', () => log.push('delivered')); });
  await logged(page, 'close 4403');
  assert.deepEqual(await log(page), ['error not allowed to subscribe to "/topic/forbidden"', 'close 4403']);
});

test('a foreign origin is refused with 403', async () => {
  const page = await load(target.foreign);
  const failure = await connect(page, target.url).then(() => 'connected', (e) => String(e));
  assert.match(failure, /closed with 1006/);
  assert.ok(page.said.some((line) => /Unexpected response code: 403/.test(line)), page.said.join('\n'));
});

test('a page that sends no heart-beats stays, by the pings of the broker', async () => {
  const page = await load(target.home);
  const topic = unique('/topic/throttled');
  await page.evaluate(([u, t, i]) => promise(u, i, t), [target.quick, topic, target.beat]);
  // The broker's own heart-beats tell the time: twelve of them are far more than
  // the three intervals that a silent client is given.
  await page.waitForFunction(() => log.filter((m) => m === '\n').length >= 12, null, { polling: 50 });
  const controller = await open7(target.quick);
  await controller.send(topic, 'still here');
  await page.waitForFunction(() => log.some((m) => m.endsWith('\n\nstill here\0')), null, { polling: 20 });
  assert.deepEqual((await log(page)).filter((m) => m.startsWith('close') || m.startsWith('ERROR')), []);
});

test('a page that stands still stays, and gets its message when it goes on', async () => {
  const page = await load(target.home);
  const topic = unique('/topic/frozen');
  const { headers } = await connect(page, target.quick, { heartbeatOutgoing: target.beat });
  await page.evaluate((t) => subscribe(t, 'ready'), topic);
  await page.evaluate(() => {
    let last = performance.now();
    window.gap = 0; // the longest time in which no timer ran
    setInterval(() => { const now = performance.now(); window.gap = Math.max(window.gap, now - last); last = now; }, 50);
  });
  // A breakpoint stops every script of the page, as freezing does in life.
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Debugger.enable');
  const paused = new Promise((resolve) => devtools.once('Debugger.paused', resolve));
  await devtools.send('Debugger.pause');
  await within(paused, 'the page to stop');

  const controller = await open7(target.quick, { heartbeatIncoming: target.beat });
  await controller.beats.take(12);
  assert.equal(await controller.ask('control/reason', headers.session), '', 'it is still connected');
  await controller.send(topic, 'good morning');
  await devtools.send('Debugger.disable');
  await logged(page, 'good morning');
  assert.deepEqual(await log(page), ['good morning']);
  // It stood still at least while the other client heard most of its twelve beats.
  await page.waitForFunction((least) => window.gap > least, 6 * target.beat, { polling: 20 });
});

await run();
