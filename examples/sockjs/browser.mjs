// Tests the page in Chromium: two windows use the given transport, and each shows
// the other's messages.
//   node browser.mjs http://127.0.0.1:8090 websocket
import { chromium } from 'playwright-core';

const [url, transport] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  timeout: 120_000, // a busy machine starts slowly
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const open = async () => {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(60_000);
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
} finally {
  await browser.close();
}
