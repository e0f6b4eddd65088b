// A page or a program with @stomp/stompjs that comes as a recipe of the documents
// says, and prints what happens to it. Its only argument is a visit, in JSON.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../examples/package.json', import.meta.url));
const { Client } = require('@stomp/stompjs');
const { WebSocket } = require('ws');

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // the certificate of the test's proxy
process.removeAllListeners('warning'); // and Node's opinion of that
const visit = JSON.parse(process.argv[2]);

async function ticket() {
  const answer = await fetch(visit.ticket, { method: 'POST', headers: visit.headers });
  if (!answer.ok) throw new Error(`ticket: ${answer.status}`);
  return (await answer.json()).ticket;
}

// With a ticket a page has no headers but those of its browser.
const headers = visit.ticket ? { Origin: visit.headers.Origin } : visit.headers;

const client = new Client({
  brokerURL: visit.url,
  connectHeaders: visit.connect,
  reconnectDelay: 0,
  beforeConnect: async () => {
    if (visit.ticket) client.brokerURL = `${visit.url}?ticket=${await ticket()}`;
  },
  webSocketFactory: () => new WebSocket(client.brokerURL, ['v12.stomp'], { headers: headers ?? {} }),
  onConnect: (frame) => {
    console.log(`connected as ${frame.headers['user-name'] ?? 'nobody'}`);
    client.watchForReceipt('subscribed', () => console.log('subscribed'));
    client.subscribe('/topic/news', received, { id: 'news', receipt: 'subscribed' });
  },
  onStompError: (frame) => console.log(`ERROR ${frame.headers.message}`),
  onWebSocketClose: (event) => console.log(`closed with ${event.code}`),
});

// The first message is from the program; then the client sends its own, and at last
// what it must not.
let first = true;
async function received(message) {
  console.log(`${message.headers.destination}: ${message.body}`);
  if (!first) return;
  first = false;
  if (!visit.send) return forbidden();
  client.unsubscribe('news');
  client.subscribe(visit.reply, (answer) => {
    console.log(`${answer.headers.destination}: ${JSON.parse(answer.body).event}`);
    forbidden();
  });
  const body = visit.renew ? { ticket: await ticket() } : { event: 'sent' };
  client.publish({ destination: visit.send, body: visit.bare ? '' : JSON.stringify(body), headers: visit.sendHeaders });
}

function forbidden() {
  client.publish({ destination: visit.denied, body: 'x' });
}

client.activate();
