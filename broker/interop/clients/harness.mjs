// What the client scripts share: tests that report themselves, and waiting for
// things that happen later.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Pages, patience } from '../../internal/script/pages.mjs';

export { assert };

// target is what the Go test handed over: addresses of brokers and pages.
export const target = JSON.parse(process.argv[2]);

const tests = [];

// test registers a test; fn may return a promise.
export function test(name, fn) {
  tests.push({ name, fn });
}

// pages are those of the current test: what they show is told if it fails.
export let pages = new Pages();

const cleanups = [];

// cleanup runs fn when the current test has ended, whatever its outcome.
export function cleanup(fn) {
  cleanups.push(fn);
}

// run runs the tests one after another and reports each as a line of JSON.
export async function run() {
  let failed = 0;
  for (const { name, fn } of tests) {
    const started = Date.now();
    let error = '';
    try {
      await within(fn(), 'the test to end', 2 * patience);
    } catch (e) {
      error = String(e?.stack ?? e) + await pages.shown();
      failed++;
    }
    pages = new Pages();
    while (cleanups.length > 0) {
      try {
        await within(cleanups.pop()(), 'a connection to end', 60000);
      } catch (e) {
        error ||= String(e?.stack ?? e);
        failed++;
      }
    }
    console.log(JSON.stringify({ test: name, error, ms: Date.now() - started }));
  }
  console.log(JSON.stringify({ done: tests.length }));
  process.exit(failed > 0 ? 1 : 0);
}

// An exception in a library's callback belongs to no test: it ends everything.
process.on('uncaughtException', (e) => {
  console.log('uncaught: ' + (e?.stack ?? e));
  process.exit(2);
});

// within resolves as the promise does, or rejects after a while.
export function within(promise, what, ms = patience) {
  const late = new Error(`not within ${ms} ms: ${what}`); // made here for its stack
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(late), ms);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

// A Mailbox keeps what callbacks deliver until the test asks for it.
export class Mailbox {
  constructor(what) {
    this.what = what;
    this.items = [];
    this.waiting = [];
    this.put = (item) => {
      const next = this.waiting.shift();
      if (next) next(item);
      else this.items.push(item);
    };
  }

  // next resolves to the oldest item.
  next() {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    return within(new Promise((resolve) => this.waiting.push(resolve)), this.what);
  }

  // take resolves to the next n items.
  async take(n) {
    const list = [];
    while (list.length < n) list.push(await this.next());
    return list;
  }

  // empty fails when something has come that nobody asked for.
  empty() {
    assert.deepEqual(this.items, [], `${this.what}: nothing more was expected`);
  }
}

// unique names a destination that no other test uses.
let counter = 0;
export function unique(prefix) {
  return `${prefix}-${process.pid}-${counter++}`;
}

// documented returns the first JavaScript of a page of docs.
export function documented(page) {
  return readFileSync(`../../docs/${page}`, 'utf8').match(/```js\n([\s\S]*?)```/)[1];
}
