// @stomp/stompjs 7 as the scripts use it.

import { Client, Versions } from '@stomp/stompjs';
import { assert, cleanup, Mailbox, unique, within } from './harness.mjs';
import { Tap, WebSocket } from './tap.mjs';

globalThis.WebSocket = WebSocket;

// Session is a Client with mailboxes for what happens to it.
export class Session {
  // url is the broker's; versions and the protocols that go with them are lists,
  // tap are the options of a Tap, and the rest is for the Client.
  constructor(url, { versions = ['1.2', '1.1', '1.0'], protocols, tap = {}, ...config } = {}) {
    const wanted = new Versions(versions);
    this.sockets = [];
    this.connected = new Mailbox('CONNECTED');
    this.errors = new Mailbox('ERROR');
    this.closed = new Mailbox('the end of the WebSocket');
    this.disconnected = new Mailbox('the RECEIPT of DISCONNECT');
    this.beats = new Mailbox('a heart-beat');
    this.lost = 0;
    this.unhandled = [];
    this.client = new Client({
      webSocketFactory: () => {
        this.socket = new Tap(url, protocols ?? wanted.protocolVersions(), tap);
        this.sockets.push(this.socket);
        return this.socket;
      },
      stompVersions: wanted,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      reconnectDelay: 0,
      onConnect: this.connected.put,
      onStompError: this.errors.put,
      onWebSocketClose: this.closed.put,
      onDisconnect: this.disconnected.put,
      onHeartbeatReceived: () => this.beats.put(Date.now()),
      onHeartbeatLost: () => this.lost++,
      onUnhandledMessage: (m) => this.unhandled.push(m),
      onUnhandledReceipt: (m) => this.unhandled.push(m),
      onUnhandledFrame: (m) => this.unhandled.push(m),
      ...config,
    });
    cleanup(() => this.client.deactivate());
  }

  // open resolves to the CONNECTED frame.
  async open() {
    this.client.activate();
    this.info = await this.connected.next();
    return this.info;
  }

  get id() {
    return this.info.headers.session;
  }

  // receipted calls fn with headers that ask for a receipt, and waits for it.
  async receipted(fn) {
    const receipt = unique('receipt');
    const came = new Promise((resolve) => this.client.watchForReceipt(receipt, resolve));
    fn({ receipt });
    const frame = await within(came, `the RECEIPT ${receipt}`);
    assert.equal(frame.headers['receipt-id'], receipt);
    return frame;
  }

  // subscribe waits for the receipt; the answer is a mailbox of messages that
  // also can unsubscribe.
  async subscribe(destination, headers = {}) {
    const messages = new Mailbox(`a MESSAGE of ${destination}`);
    await this.receipted((h) => {
      messages.subscription = this.client.subscribe(destination, messages.put, { ...headers, ...h });
    });
    messages.unsubscribe = () => this.receipted((h) => messages.subscription.unsubscribe(h));
    return messages;
  }

  // send waits for the receipt. Content is a string or a Uint8Array.
  send(destination, content, headers = {}) {
    const part = typeof content === 'string' ? { body: content } : { binaryBody: content };
    return this.receipted((h) => this.client.publish({ destination, ...part, headers: { ...headers, ...h } }));
  }

  // ask sends to a handler that answers on a destination of this session.
  async ask(name, body) {
    this.answers ??= {};
    this.answers[name] ??= await this.subscribe(`/user/queue/${name}`);
    await this.send(`/app/${name}`, body);
    return (await this.answers[name].next()).body;
  }
}

// open connects a new Session.
export async function open(url, config) {
  const s = new Session(url, config);
  await s.open();
  return s;
}

// ended waits until the broker has forgotten a session, and says why it ended.
export async function ended(controller, session) {
  for (;;) {
    const reason = await controller.ask('control/reason', session);
    if (reason !== '') return reason;
  }
}

export const bodies = (list) => list.map((m) => m.body);
