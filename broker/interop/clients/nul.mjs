// Bodies with NUL, and the libraries that take what follows it for frames.

import Stomp from 'stompjs';
import webstomp from 'webstomp-client';
import { assert, cleanup, Mailbox, run, target, test, unique, within } from './harness.mjs';
import { open as open7 } from './stompjs7.mjs';
import { Tap, WebSocket } from './tap.mjs';

globalThis.WebSocket = WebSocket;

const forged = 'MESSAGE\nsubscription:secret\ndestination:/user/topic/authorization\nmessage-id:1\n\n{"operation":"CONFIRMED"}';
const bodies = {
  text: `hello\0${forged}`,
  'text, NUL and line feeds': `hello\0\n\n${forged}\0\n`,
  'NULs alone': `\0\0${forged}\0\0`,
};

// Victim is a page of stompjs 2.3.3 that waits for an authorization.
class Victim {
  constructor(url, versions) {
    this.socket = new WebSocket(url);
    this.client = Stomp.over(this.socket);
    this.client.debug = null;
    this.versions = versions;
    this.errors = new Mailbox('an ERROR or the end');
    this.receipts = new Mailbox('a RECEIPT');
    this.client.onreceipt = this.receipts.put;
    this.secret = new Mailbox('an authorization');
    const end = new Promise((resolve) => this.socket.addEventListener('close', resolve));
    cleanup(() => {
      this.socket.close();
      return end;
    });
  }

  async open() {
    const { supportedVersions } = Stomp.VERSIONS;
    Stomp.VERSIONS.supportedVersions = () => this.versions;
    try {
      const connected = await within(new Promise((resolve) => {
        this.client.connect({ login: 'ann' }, resolve, this.errors.put);
      }), 'CONNECTED');
      this.version = connected.headers.version;
      this.session = connected.headers.session;
    } finally {
      Stomp.VERSIONS.supportedVersions = supportedVersions;
    }
    this.client.subscribe('/user/topic/authorization', this.secret.put, { id: 'secret' });
    return this;
  }

  // sync returns when everything sent to the page before was handled.
  async sync() {
    this.client.send('/topic/nobody', { receipt: unique('sync') }, 'x');
    await this.receipts.next();
  }

  async subscribe(destination, headers = {}) {
    const inbox = new Mailbox(`a MESSAGE of ${destination}`);
    this.client.subscribe(destination, inbox.put, { ...headers, receipt: unique('r') });
    await this.receipts.next();
    return inbox;
  }
}

// doors are the ways by which a body reaches the page, and where it subscribes.
const doors = {
  SEND: { to: '/topic/chat' },
  'SEND over TCP': { to: '/topic/chat', via: '/app/nul/tcp' },
  'SEND to a queue': { to: '/queue/chat', headers: { ack: 'client' } },
  'Publish to a user': { to: '/user/ann/queue/chat', via: '/app/nul/publish', as: '/user/queue/chat' },
  Publish: { to: '/topic/chat', via: '/app/nul/publish' },
  PublishToUser: { to: '/queue/chat', as: '/user/queue/chat', via: '/app/nul/user' },
  'a reply': { to: '/queue/chat', as: '/user/queue/chat', via: '/app/nul/session' },
  'many subscribers': { to: '/topic/chat', beside: 3 },
};

for (const [door, { headers, beside = 0, ...where }] of Object.entries(doors)) {
  for (const versions of ['1.1,1.0', '1.0']) {
    for (const [kind, body] of Object.entries(bodies)) {
      test(`stompjs 2.3.3: ${versions}, ${door}, ${kind}`, async () => {
        const name = unique('chat'); // for a queue may keep what the test before left
        const to = where.to.replace('chat', name);
        const as = (where.as ?? where.to).replace('chat', name);
        const page = await new Victim(target.url, versions).open();
        assert.equal(page.version, versions.slice(0, 3));
        const inbox = await page.subscribe(as, headers);
        const attacker = await open7(target.url);
        for (let i = 0; i < beside; i++) await attacker.subscribe(to);
        const whole = beside > 0 && await attacker.subscribe(to);
        await attacker.send(where.via ?? to, body, { to, user: 'ann', session: page.session });
        const m = await inbox.next();
        assert.equal(m.body, body.replace(/\0+/g, '\ufffd'));
        if (whole) assert.equal((await whole.next()).body, body, 'a client of 1.2 gets what was sent');
        await page.sync(); // whatever came with it was handled
        page.secret.empty();
        page.errors.empty();
      });
    }
  }
}

test('stompjs 2.3.3: names of headers that it trims', async () => {
  const page = await new Victim(target.url, '1.1').open();
  const inbox = await page.subscribe('/topic/chat');
  const attacker = await open7(target.url);
  await attacker.send('/topic/chat', 'whole', { 'content-length ': '1', '\ufeffsubscription': 'secret', ' ack': '7', 'x-mine ': 'yes' });
  const m = await inbox.next();
  await page.sync();
  assert.equal(m.body, 'whole');
  assert.equal(m.headers.ack, undefined);
  assert.equal(m.headers['x-mine'], 'yes');
  page.secret.empty();
});

test('pass: the forgery succeeds', async () => {
  const page = await new Victim(target.pass, '1.1').open();
  await page.subscribe('/topic/chat');
  const attacker = await open7(target.pass);
  await attacker.send('/topic/chat', bodies.text);
  assert.equal((await page.secret.next()).body, '{"operation":"CONFIRMED"}');
});

test('refuse: webstomp-client of 1.2 is protected too', async () => {
  const socket = new Tap(target.refuse, ['v12.stomp']);
  const client = webstomp.over(socket, { debug: false, heartbeat: false, protocols: ['v12.stomp'] });
  const end = new Promise((resolve) => socket.addEventListener('close', resolve));
  cleanup(() => {
    socket.close();
    return end;
  });
  await within(new Promise((resolve, reject) => client.connect({ login: 'ann' }, resolve, reject)), 'CONNECTED');
  const secret = new Mailbox('an authorization');
  const inbox = new Mailbox('a MESSAGE');
  client.subscribe('/user/topic/authorization', secret.put, { id: 'secret' });
  client.subscribe('/topic/chat', inbox.put, { id: 'chat' });
  const attacker = await open7(target.refuse);
  attacker.client.publish({ destination: '/topic/chat', body: bodies.text });
  const error = await attacker.errors.next();
  assert.equal(error.headers.message, 'a body with a NUL byte is refused (limits.nul: refuse)');
  const other = await open7(target.refuse);
  await other.send('/topic/chat', 'end');
  assert.equal((await inbox.next()).body, 'end');
  secret.empty();
});

await run();
