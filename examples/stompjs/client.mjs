// A Node program with @stomp/stompjs: it subscribes, sends itself a message with a
// receipt, prints the messages it receives, and disconnects.
//
//   npm install --prefix examples
//   node examples/stompjs/client.mjs ws://127.0.0.1:8080/ws
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

const client = new Client({
  brokerURL: process.argv[2] ?? 'ws://127.0.0.1:8080/ws',
  webSocketFactory: function () {
    return new WebSocket(this.brokerURL, ['v12.stomp', 'v11.stomp', 'v10.stomp']);
  },
  onStompError: (frame) => {
    console.error('refused:', frame.headers.message);
    process.exitCode = 1;
    client.deactivate();
  },
  onConnect: () => {
    const subscribed = 'subscribed';
    client.watchForReceipt(subscribed, () => {
      client.publish({ destination: '/topic/greetings', body: 'hello from stompjs', headers: { from: 'node' } });
    });
    client.subscribe('/topic/greetings', async (message) => {
      console.log(`${message.headers.from}: ${message.body}`);
      await client.deactivate();
    }, { receipt: subscribed });
  },
});
client.activate();
