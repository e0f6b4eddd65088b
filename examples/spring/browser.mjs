// Tests a page in Chromium: enters a name and expects these texts.
//   node browser.mjs http://127.0.0.1:8080/index.html TEXT…
import { chromium } from 'playwright-core';
import { launch, Pages } from '../../broker/internal/script/pages.mjs';

const [url, ...texts] = process.argv.slice(2);
const browser = await launch(chromium, process.env.CHROMIUM ?? '/usr/bin/chromium');
const pages = new Pages();
try {
  const page = pages.watch(await browser.newPage());
  page.on('pageerror', (e) => { throw e; });
  await page.goto(url);
  await page.getByText('connected', { exact: true }).waitFor();
  await page.getByLabel('Your name').fill('Ann');
  await page.keyboard.press('Enter');
  for (const text of texts) await page.getByText(text, { exact: true }).waitFor();
  console.log('ok');
} catch (e) {
  throw new Error(`${e?.stack ?? e}${await pages.shown()}`);
} finally {
  await browser.close();
}
