// A page with @stomp/stompjs whose destinations have other prefixes. Its argument
// is {url, subscribe: {id: destination}, send: [destination]}, in JSON; it prints a
// line for each MESSAGE and ERROR, and "subscribed" once its subscriptions are.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../examples/package.json', import.meta.url));
const { Client } = require('@stomp/stompjs');
const { WebSocket } = require('ws');
const page = JSON.parse(process.argv[2]);

let left = Object.keys(page.subscribe).length;
const client = new Client({
  brokerURL: page.url,
  connectHeaders: { login: 'ann' },
  reconnectDelay: 0,
  webSocketFactory: () => new WebSocket(page.url, ['v12.stomp']),
  onConnect: () => {
    for (const [id, destination] of Object.entries(page.subscribe)) {
      client.watchForReceipt(id, () => {
        if (--left > 0) return;
        console.log('subscribed');
        for (const to of page.send) client.publish({ destination: to, body: `sent to ${to}` });
      });
      client.subscribe(destination, (m) => console.log(`${id}: ${m.headers.destination}: ${m.body}`), { id, receipt: id });
    }
  },
  onStompError: (frame) => console.log(`ERROR ${frame.headers.message}`),
});
client.activate();
