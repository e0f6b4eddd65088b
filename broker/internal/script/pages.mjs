// Chromium for the scripts that test pages. A failed test tells what its pages
// show and what they have done, because "not within 60 s" alone explains nothing.

// patience is how long a script waits for one thing, in ms. Waiting costs
// nothing when all is well, and a busy machine needs much of it.
export const patience = 120_000;

// launch starts Chromium. chromium is that of playwright-core.
export const launch = (chromium, executablePath) => chromium.launch({
  executablePath, timeout: patience,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

const mostLines = 60; // of one page
const mostText = 300; // characters of one line

// Pages are the pages of one test.
export class Pages {
  list = [];

  // watch notes what a page writes and asks for, gives each of its waits
  // patience, and returns it. page.said is what it has written to the console.
  watch(page) {
    const since = Date.now();
    const lines = [];
    const note = (text) => {
      lines.push(`${Date.now() - since} ms: ${text.slice(0, mostText)}`);
      if (lines.length > mostLines) lines.splice(0, lines.length - mostLines);
    };
    page.said = [];
    page.setDefaultTimeout(patience);
    page.on('console', (m) => { page.said.push(m.text()); note(`console: ${m.text()}`); });
    page.on('pageerror', (e) => { page.said.push(String(e)); note(`error: ${e}`); });
    page.on('response', (r) => note(`${r.request().method()} ${place(r.url())} ${r.status()}`));
    page.on('requestfailed', (r) => note(`${r.method()} ${place(r.url())} ${r.failure()?.errorText}`));
    page.on('websocket', (s) => {
      note(`WebSocket ${place(s.url())}`);
      s.on('socketerror', (e) => note(`WebSocket ${place(s.url())} ${e}`));
      s.on('close', () => note(`WebSocket ${place(s.url())} closed`));
    });
    this.list.push({ page, lines });
    return page;
  }

  // shown returns what the pages show and have done, for the text of a failure.
  async shown() {
    let report = '';
    for (const { page, lines } of this.list) {
      report += `\nThe page ${place(page.url())} shows ${await text(page)}\nand has done:\n  ${lines.join('\n  ')}`;
    }
    return report;
  }
}

// place is a URL without its query, which may have a ticket.
const place = (url) => url.replace(/[?#].*/, '');

// text returns all text of a page, also while it is stopped or closed.
async function text(page) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, 20_000, '(it does not answer)'); });
  const read = page.evaluate(() => document.body?.innerText ?? '').then((t) => JSON.stringify(t), (e) => `(${e})`);
  return Promise.race([read, late]).finally(() => clearTimeout(timer));
}
