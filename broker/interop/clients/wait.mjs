// stompjs 2.3.3, unmodified, from the registration to the result: what Web Flow's
// page does, against the broker's own operations.

import Stomp from 'stompjs';
import { assert, Mailbox, run, target, test, within } from './harness.mjs';
import { WebSocket } from './tap.mjs';

test('registered, approved elsewhere, told', async () => {
  const socket = new WebSocket(target.url);
  const client = Stomp.over(socket);
  client.debug = () => {};
  const errors = new Mailbox('an ERROR');
  await within(new Promise((resolve) => client.connect({ 'X-CSRF-TOKEN': 't' }, resolve, errors.put)), 'CONNECTED');

  const registration = new Mailbox('the registration');
  client.subscribe('/user/topic/registration', registration.put);
  client.send('/app/registration', {}, JSON.stringify({ webSocketId: target.id }));
  const registered = await registration.next();
  assert.equal(registered.body, `{"webSocketId":"${target.id}","registrationSucceeded":true}`);

  const authorization = new Mailbox('the result');
  client.subscribe('/user/topic/authorization', authorization.put);
  const told = await authorization.next();
  assert.equal(told.headers.destination, '/user/topic/authorization');
  assert.equal(told.body, `{"webSocketId":"${target.id}","authResult":"CONFIRMED"}`);

  client.unsubscribe('/user/topic/authorization');
  const ended = new Promise((resolve) => socket.addEventListener('close', resolve));
  await within(new Promise((resolve) => client.disconnect(resolve)), 'disconnect()');
  await within(ended, 'the end of the WebSocket');
  errors.empty();
});

await run();
