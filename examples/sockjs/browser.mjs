// Tests the page in Chromium: two windows use the given transport, and each shows
// the other's messages.
//   node browser.mjs http://127.0.0.1:8090 websocket
import { chromium } from 'playwright-core';
import { launch, Pages } from '../../broker/internal/script/pages.mjs';

const [url, transport] = process.argv.slice(2);
const browser = await launch(chromium, process.env.CHROMIUM ?? '/usr/bin/chromium');
const pages = new Pages();
try {
  const open = async () => {
    const page = pages.watch(await (await browser.newContext()).newPage());
    page.on('pageerror', (e) => { throw e; });
    await page.goto(url);
    await page.getByText(`connected over ${transport}`).waitFor();
    return page;
  };
  const [one, other] = [await open(), await open()];
  for (const text of ['hello <b>all</b>', '100 % 🐎']) {
    await one.getByLabel('Say').fill(text);
    await one.keyboard.press('Enter');
    await other.getByText(text).waitFor();
  }
  console.log('ok');
} catch (e) {
  throw new Error(`${e?.stack ?? e}${await pages.shown()}`);
} finally {
  await browser.close();
}
