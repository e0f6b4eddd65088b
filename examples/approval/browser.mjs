// Tests the demo in Chromium: one window signs in and a phone answers.
//   node browser.mjs '{"approve":{"app":"http://127.0.0.1:8094","provider":"http://127.0.0.1:8095"}}' [directory for screenshots]
// Each scenario has its own demo; all share the browser. Each prints a line of JSON: {"scenario":"approve","error":""}.
// The scenarios in which the broker is killed share one demo and run one by one, with LANES=1. Its "control" is the URL of
// a server that kills and starts the broker.
import { chromium } from 'playwright-core';
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { launch, Pages, patience } from '../../broker/internal/script/pages.mjs';

const [demos, pictures] = [JSON.parse(process.argv[2]), process.argv[3]];
const here = new AsyncLocalStorage(); // the current scenario's app, provider, errors, pages and contexts
const lanes = Number(process.env.LANES ?? 3); // scenarios at a time
const desktop = { width: 1100, height: 760 };
const small = { width: 390, height: 780 };

const browser = await launch(chromium, process.env.CHROMIUM ?? '/usr/bin/chromium');

async function newPage(options = { viewport: desktop }) {
  const { contexts, errors, pages } = here.getStore();
  const context = await browser.newContext(options);
  contexts.push(context);
  const states = [];
  await context.exposeBinding('saw', (_, value) => states.push(value));
  await context.addInitScript(() => {
    new MutationObserver((records) => records.forEach(({ target }) => window.saw(target.dataset.state)))
      .observe(document, { subtree: true, attributes: true, attributeFilter: ['data-state'] });
  });
  const page = pages.watch(await context.newPage());
  page.states = states; // in the order in which they were shown
  page.on('pageerror', (e) => errors.push(e));
  page.on('console', (m) => { if (/Content Security Policy/.test(m.text())) errors.push(m.text()); });
  return page;
}

async function open(url, options) {
  const page = await newPage(options);
  await page.goto(url);
  return page;
}

const picture = (page, name) => pictures && page.screenshot({ path: path.join(pictures, `${name}.png`) });
const state = (page, value) => page.locator(`[data-state=${value}]`).waitFor();
const number = async (page) => (await page.locator('.number').innerText()).replace(/\D/g, '');

// passed waits until a page has been in a state, which may have gone again: a
// busy machine looks late.
async function passed(page, value) {
  for (const end = Date.now() + patience; !page.states.includes(value); await delay(20)) {
    assert.ok(Date.now() < end, `it was never ${value}, but ${page.states}`);
  }
}

// focused waits until the page has set the focus for the next key.
const focused = (page) => page.locator('a:focus, button:focus').waitFor();

// signIn signs in with the keyboard alone, up to the waiting page.
async function signIn(user = 'alice', options) {
  const page = await open(here.getStore().app, options);
  await picture(page, `welcome-${page.viewportSize().width}`);
  await focused(page); // “Sign in”
  await page.keyboard.press('Enter');
  await page.getByLabel('Name').fill(user);
  await page.keyboard.press('Tab');
  await page.keyboard.type('hoofbeat');
  await picture(page, `login-${page.viewportSize().width}`);
  await page.keyboard.press('Enter');
  await page.locator('main.wait').waitFor();
  return page;
}

const phone = async () => {
  const page = await open(`${here.getStore().provider}/device`, { viewport: small });
  await state(page, 'connected');
  return page;
};
const press = (page, name) => page.getByRole('button', { name }).click();

// arrived waits until the application shows the first reading.
async function arrived(page) {
  const allow = page.getByRole('button', { name: 'Allow' });
  const home = page.locator('body.app');
  await allow.or(home).first().waitFor();
  if (await allow.count()) {
    await picture(page, `consent-${page.viewportSize().width}`);
    await focused(page);
    await page.keyboard.press('Enter');
  }
  await state(page, 'connected');
  await page.locator('#log li').first().waitFor();
}

async function approved(options) {
  const page = await signIn('alice', options);
  const device = await phone();
  await press(device, 'Approve');
  await arrived(page);
  await device.context().close();
  return page;
}

const scenarios = {
  async approve() {
    const device = await phone();
    await picture(device, 'phone-empty-390');
    const page = await signIn();
    await state(page, 'registered');
    await device.getByText('alice is signing in to Greenhouse').waitFor(); // pushed, not polled
    assert.equal(await number(device), await number(page));
    await picture(page, 'wait-1100');
    await picture(device, 'phone-request-390');
    await device.keyboard.press('Tab'); // brand and title cannot be focused: “Deny” is first, then “Approve”
    await device.keyboard.press('Tab');
    await device.keyboard.press('Enter');
    await passed(page, 'approved');
    await picture(page, 'approved-1100');
    await device.getByText('✓ Approved: alice is signing in to Greenhouse').waitFor();
    await device.getByText('Nothing to approve').waitFor();
    await picture(device, 'phone-approved-390');
    await arrived(page);
    await page.locator('#log li').nth(4).waitFor();
    await picture(page, 'home-1100');
  },

  async deny() {
    const page = await signIn('bob', { viewport: small });
    await state(page, 'registered');
    await picture(page, 'wait-390');
    // The current step is announced to screen readers, not only shown.
    assert.equal(await page.locator('.steps [aria-current=step]').innerText(), 'Waiting for you');
    assert.equal(await page.locator('.steps .done').textContent(), 'Ready, done');
    await page.setViewportSize({ width: 320, height: 640 });
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= room, `${wide} px in ${room}`);
    await page.emulateMedia({ colorScheme: 'dark' });
    const device = await phone();
    await press(device, 'Deny');
    await state(page, 'denied');
    assert.ok((await page.locator('.verdict').evaluate((e) => getComputedStyle(e, '::before').content)).includes('✕'));
    await device.getByText('✕ Denied: bob is signing in to Greenhouse').waitFor();
    await picture(page, 'denied-390');
    await page.keyboard.press('Enter'); // “Back to the application” has the focus
    await page.getByText('Access was denied at the sign-in provider.').waitFor();
    assert.match(page.url(), /error=access_denied/);
  },

  async refresh() {
    const page = await signIn();
    await state(page, 'registered');
    const before = await number(page);
    await page.reload();
    await state(page, 'registered');
    assert.equal(await number(page), before);
    await press(await phone(), 'Approve');
    await arrived(page);
  },

  // Without a ticket the page has no socket until the phone has answered.
  async early() {
    const page = await newPage();
    let release;
    const answered = new Promise((done) => { release = done; });
    await page.route('**/wait/*/ws_ticket', async (route) => { await answered; await route.continue(); });
    await page.goto(here.getStore().app);
    await page.getByRole('link', { name: 'Sign in' }).click();
    await page.getByLabel('Name').fill('alice');
    await page.getByLabel('Password').fill('hoofbeat');
    await page.keyboard.press('Enter');
    await state(page, 'connecting');
    const device = await phone();
    await press(device, 'Approve');
    await device.getByText('Nothing to approve').waitFor();
    assert.equal(await page.locator('main').getAttribute('data-state'), 'connecting');
    release();
    await passed(page, 'approved');
    await arrived(page);
  },

  async restart() {
    const page = await signIn('alice', { viewport: small, colorScheme: 'dark' });
    await state(page, 'registered');
    const tickets = [];
    page.on('websocket', (socket) => tickets.push(socket.url()));
    const device = await phone();
    // Delay the page, so that its lost connection is visible.
    let release;
    const seen = new Promise((done) => { release = done; });
    await page.route('**/ws_ticket', async (route) => { await seen; await route.continue(); });
    await press(device, 'Restart the broker');
    await state(page, 'reconnecting');
    await picture(page, 'reconnecting-dark-390');
    release();
    await state(page, 'registered');
    await state(device, 'connected');
    assert.ok(tickets.length >= 1 && tickets.every((url) => url.includes('ticket=')));
    await press(device, 'Approve');
    await arrived(page);
  },

  async everywhere() {
    const one = await approved();
    const other = await approved({ viewport: small, colorScheme: 'dark' });
    await other.locator('#log li').nth(4).waitFor();
    await picture(other, 'home-dark-390');
    const gone = [one, other].map((page) => page.evaluate(() => new Promise((done) => {
      document.getElementById('everywhere').addEventListener('submit', () => { window.began = Date.now(); });
      new MutationObserver(() => {
        if (document.body.dataset.state === 'reconnecting' || document.body.dataset.state === 'refused') done(Date.now());
      }).observe(document.body, { attributes: true });
    })));
    await press(one, 'Log out everywhere');
    const ended = await Promise.all(gone);
    const began = await one.evaluate(() => window.began);
    for (const at of ended) assert.ok(at - began < 30_000, `a socket was open for ${at - began} ms`);
    for (const page of [one, other]) await state(page, 'refused');
    await picture(other, 'signed-out-dark-390');
    await other.getByRole('link', { name: 'Sign in again' }).click();
    await other.getByLabel('Password').waitFor(); // the old sign-in has ended completely
  },

  async expire() {
    const page = await signIn();
    await state(page, 'expired');
    await picture(page, 'expired-1100');
    const before = await page.locator('main').getAttribute('data-id');
    await page.getByRole('link', { name: 'Try again' }).click();
    await page.locator(`main.wait:not([data-id="${before}"])`).waitFor();
  },

  // A second window of the same browser takes over the wait, and can return it.
  async moved() {
    const page = await signIn();
    await state(page, 'registered');
    const second = here.getStore().pages.watch(await page.context().newPage());
    await second.goto(page.url());
    await state(second, 'registered');
    await state(page, 'moved');
    await page.getByRole('link', { name: 'Wait here instead' }).click();
    await state(page, 'registered');
    await state(second, 'moved');
  },
};

// away makes a page that waits lose its broker, and keeps it offline until the returned function is called.
async function away(page) {
  let release;
  const back = new Promise((done) => { release = done; });
  await page.route('**/ws_ticket', async (route) => { await back; await route.continue(); });
  await control('kill');
  await state(page, 'reconnecting');
  return release;
}

// control tells the test to do something with the broker, and waits until it is done.
async function control(what) {
  const reply = await fetch(`${here.getStore().control}/${what}`, { method: 'POST' });
  assert.ok(reply.ok, `${what}: ${await reply.text()}`);
}

// The page waits, the broker is killed with kill -9 and started again with its store. Nobody announces the operation
// again.
const kills = {
  // The broker has the result and is killed before the page comes back for it.
  async 'killed-before'() {
    const page = await signIn();
    await state(page, 'registered');
    const release = await away(page);
    await control('start');
    const device = await phone();
    await press(device, 'Approve');
    await device.getByText('Nothing to approve').waitFor();
    await control('reported');
    await control('kill');
    await control('start');
    assert.equal(await page.locator('main').getAttribute('data-state'), 'reconnecting');
    release();
    await passed(page, 'approved');
    await arrived(page);
  },

  // The person answers while there is no broker.
  async 'killed-during'() {
    const page = await signIn('alice', { viewport: small });
    await state(page, 'registered');
    const device = await phone();
    const before = await number(page);
    await control('kill');
    await state(page, 'reconnecting');
    await state(device, 'reconnecting');
    await picture(page, 'killed-390');
    await press(device, 'Approve');
    await device.getByText('✓ Approved: alice is signing in to Greenhouse').waitFor();
    await picture(device, 'killed-phone-390');
    assert.equal(await number(page), before);
    await control('start');
    await passed(page, 'approved');
    await picture(page, 'killed-approved-390');
    await arrived(page);
  },

  // The page comes back, waits again, and then the person answers.
  async 'killed-after'() {
    const page = await signIn();
    await state(page, 'registered');
    const device = await phone();
    const sockets = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    await control('kill');
    await state(page, 'reconnecting');
    await control('start');
    await state(page, 'registered');
    await state(device, 'connected');
    assert.ok(sockets.length >= 1 && sockets.every((url) => url.includes('ticket=')));
    await picture(page, 'killed-again-1100');
    await press(device, 'Approve');
    await passed(page, 'approved');
    await arrived(page);
    await picture(page, 'killed-home-1100');
  },
};
Object.assign(scenarios, kills);

async function run(scenario) {
  const state = { ...demos[scenario], errors: [], pages: new Pages(), contexts: [] };
  let error = '';
  try {
    await here.run(state, scenarios[scenario]);
    assert.deepEqual(state.errors, []);
  } catch (e) {
    error = String(e?.stack ?? e) + await state.pages.shown();
  }
  console.log(JSON.stringify({ scenario, error }));
  for (const context of state.contexts) await context.close().catch(() => {}); // some are closed already
}

try {
  const waiting = Object.keys(demos);
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (waiting.length) await run(waiting.shift());
  }));
} finally {
  await browser.close();
}
