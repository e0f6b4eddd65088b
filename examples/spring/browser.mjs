// Tests a page in Chromium: enters a name and expects these texts.
//   node browser.mjs http://127.0.0.1:8080/index.html TEXT…
import { chromium } from 'playwright-core';

const [url, ...texts] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  timeout: 120_000, // a busy machine starts slowly
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (e) => { throw e; });
  await page.goto(url);
  await page.getByText('connected', { exact: true }).waitFor();
  await page.getByLabel('Your name').fill('Ann');
  await page.keyboard.press('Enter');
  for (const text of texts) await page.getByText(text, { exact: true }).waitFor();
  console.log('ok');
} finally {
  await browser.close();
}
