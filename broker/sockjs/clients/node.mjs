// sockjs-client in Node, on each of its transports, with both generations of
// stompjs on top.

import SockJS from 'sockjs-client';
import Stomp from 'stompjs';
import { Client } from '@stomp/stompjs';
import { patience } from '../../internal/script/pages.mjs';
import { assert, cleanup, run, target, test, unique, until, within } from './harness.mjs';

// Without a timeout sockjs-client gives a transport up that takes 0.6 s, as on a busy
// machine, and the timer of a WebSocket that was refused ends the transport after it.

const transports = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

// open7 connects with @stomp/stompjs 7.
function open7(url, options) {
  let socket;
  const client = new Client({
    webSocketFactory: () => (socket = new SockJS(url, undefined, { timeout: patience, ...options })),
    reconnectDelay: 0,
  });
  cleanup(() => client.deactivate());
  return within(new Promise((resolve, reject) => {
    client.onConnect = (frame) => resolve({ client, socket, headers: frame.headers });
    client.onWebSocketClose = (e) => reject(new Error(`closed: ${e.code} ${e.reason}`));
    client.activate();
  }), 'CONNECTED');
}

// open2 connects with stompjs 2.3.3.
function open2(url, options, headers = {}) {
  const socket = new SockJS(url, undefined, { timeout: patience, ...options });
  cleanup(() => socket.close());
  const client = Stomp.over(socket);
  client.debug = null;
  return within(new Promise((resolve, reject) => {
    client.connect(headers, () => resolve({ client, socket }), (e) => reject(new Error(String(e?.headers?.message ?? e))));
  }), 'CONNECTED');
}

for (const transport of transports) {
  const options = { transports: [transport] };

  test(`${transport}: @stomp/stompjs`, async () => {
    const { client, socket, headers } = await open7(target.url, options);
    assert.equal(socket.transport, transport);
    assert.equal(headers.version, '1.2');
    assert.equal(headers['heart-beat'], '10000,10000');
    const topic = unique('/topic/a');
    const got = [];
    await within(new Promise((resolve) => {
      client.watchForReceipt('ready', resolve);
      client.subscribe(topic, (m) => got.push(m.body), { receipt: 'ready' });
    }), 'the receipt');
    const bodies = ['', '100 % "é" \\ 🐎\n\t\u2028', 'x'.repeat(50000), '%41%zz', ...Array.from({ length: 100 }, (_, i) => `${i}`)];
    for (const body of bodies) client.publish({ destination: topic, body });
    await until('all messages', () => got.length >= bodies.length);
    assert.deepEqual(got, bodies);
    client.onWebSocketClose = () => {};
    await within(client.deactivate(), 'deactivate');
  });

  test(`${transport}: stompjs 2.3.3 cuts between the halves of a character (C-4)`, async () => {
    const { client } = await open2(target.url, options);
    const got = [];
    client.subscribe('/user/queue/echo', (m) => got.push(m.body));
    const body = 'x' + '🐎'.repeat(10000);
    client.send('/app/echo', {}, body);
    await until('the answer', () => got.length > 0);
    assert.ok(got[0] === body, 'the answer is another');
  });

  test(`${transport}: the pages of Web Flow (E-2, W-1, W-11)`, async () => {
    const { client, socket } = await open2(`${target.recorded}?transport=${transport}`, options, { 'X-CSRF-TOKEN': 't' });
    const got = [];
    client.subscribe('/user/topic/registration', (m) => got.push([m.headers.destination, m.body]));
    client.send('/app/registration', {}, JSON.stringify({ webSocketId: '12345678' }));
    await until('the answer', () => got.length > 0);
    assert.deepEqual(got, [['/user/topic/registration', '{"webSocketId":"12345678","registrationSucceeded":true}']]);
    client.subscribe('/user/topic/authorization', (m) => got.push([m.headers.destination, m.body]));
    client.unsubscribe('/user/topic/authorization'); // C-3: an id that never was
    const phone = await open7(target.url);
    await until('the result', () => {
      phone.client.publish({ destination: '/app/approve', body: '12345678' });
      return got.length > 1;
    });
    assert.deepEqual(got[1], ['/user/topic/authorization', '{"webSocketId":"12345678","authResult":"CONFIRMED"}']);
    assert.equal(socket.readyState, SockJS.OPEN);
    await within(new Promise((resolve) => client.disconnect(resolve)), 'disconnect');
  });

  test(`${transport}: a denied SUBSCRIBE is explained before the end`, async () => {
    const { client, socket } = await open7(target.url, options);
    const seen = [];
    client.onStompError = (frame) => seen.push(frame.headers.message);
    client.onWebSocketClose = (e) => seen.push(e.code);
    client.subscribe('/topic/forbidden', () => {});
    await until('the end', () => seen.length > 1);
    assert.match(seen[0], /forbidden|denied|not allowed/);
    assert.equal(seen[1], 4403);
    assert.equal(socket.readyState, SockJS.CLOSED);
  });

  test(`${transport}: a client that vanishes is noticed`, async () => {
    const { client, headers } = await open7(target.hasty, options);
    const other = await open7(target.url);
    const got = [];
    other.client.subscribe('/user/queue/gone', (m) => got.push(m.body));
    client.onWebSocketClose = () => {};
    client.forceDisconnect();
    await until('the session to end', () => {
      other.client.publish({ destination: '/app/gone', body: headers.session });
      return got.includes('true');
    });
  });

  test(`${transport}: tickets (T-15)`, async () => {
    const { client, socket } = await open7(`${target.tickets}?ticket=${transport}`, options);
    assert.equal(socket.transport, transport);
    const got = [];
    client.subscribe('/topic/tickets', (m) => got.push(m.body));
    for (let i = 0; i < 3; i++) {
      client.publish({ destination: '/topic/tickets', body: `${i}` });
      await until('the message', () => got.length > i);
    }
    // sockjs-client learns of a refused EventSource by its timer alone.
    const again = open7(`${target.tickets}?ticket=${transport}`, { ...options, timeout: 5_000 });
    await assert.rejects(again, /closed/);
  });
}

for (const broken of ['refused', 'stripped', 'cut']) {
  test(`a proxy breaks WebSocket (${broken}): sockjs-client falls back`, async () => {
    const { client, socket } = await open7(target[broken], {});
    assert.equal(socket.transport, 'xhr-streaming');
    const got = [];
    client.subscribe('/topic/fallback', (m) => got.push(m.body));
    client.publish({ destination: '/topic/fallback', body: 'here' });
    await until('the message', () => got.length > 0);
    assert.deepEqual(got, ['here']);
  });
}

run();
