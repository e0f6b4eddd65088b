// Tests the chat page in Chromium: two windows, a room, a private message.
//   node browser.mjs http://127.0.0.1:8090 [screenshot.png]
import { chromium } from 'playwright-core';
import { launch, Pages } from '../../broker/internal/script/pages.mjs';
import assert from 'node:assert/strict';

const [url, screenshot] = process.argv.slice(2);
const browser = await launch(chromium, process.env.CHROMIUM ?? '/usr/bin/chromium');
const pages = new Pages();
try {
  const open = async (name, viewport) => {
    const page = pages.watch(await (await browser.newContext({ viewport })).newPage());
    page.on('pageerror', (e) => { throw e; });
    await page.goto(url);
    await page.getByLabel('Your name').fill(name);
    await page.keyboard.press('Enter');
    await page.getByText(`connected as ${name}`).waitFor();
    return page;
  };
  const alice = await open('alice', { width: 800, height: 500 });
  const bob = await open('bob', { width: 390, height: 700 });

  await alice.getByRole('button', { name: 'bob' }).waitFor();
  await alice.getByLabel('To everybody').fill('hello <b>everybody</b>');
  await alice.keyboard.press('Enter');
  await bob.getByText('hello <b>everybody</b>').waitFor();

  await bob.getByRole('button', { name: 'alice' }).click();
  await bob.getByLabel('To alice').fill('only for you');
  await bob.keyboard.press('Enter');
  await alice.getByText('to alice: only for you').waitFor();
  await bob.getByText('to alice: only for you').waitFor();
  assert.equal(await alice.locator('li.private').count(), 1);

  // The page fits a phone's screen, even after it has scrolled to new lines.
  for (const page of [alice, bob]) {
    const [wide, room, left] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth, scrollX]);
    assert.ok(wide <= room && left === 0, `${wide} px in ${room}, scrolled by ${left}`);
  }
  assert.equal(await bob.getByRole('button', { name: 'alice' }).getAttribute('aria-pressed'), 'true');

  if (screenshot) {
    await alice.screenshot({ path: screenshot });
    await bob.screenshot({ path: screenshot.replace('.png', '-phone.png') });
  }
  await bob.context().close();
  await alice.getByRole('button', { name: 'bob' }).waitFor({ state: 'detached' });
  console.log('ok');
} catch (e) {
  throw new Error(`${e?.stack ?? e}${await pages.shown()}`);
} finally {
  await browser.close();
}
