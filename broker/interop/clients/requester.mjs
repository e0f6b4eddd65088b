const ANSWERS = '/temp-queue/answers';

// Requester sends requests over a Client of @stomp/stompjs. All answers come to
// one private destination; correlation-id tells which request an answer is for.
export class Requester {
  constructor(client) {
    this.client = client;
    this.waiting = new Map(); // by correlation-id
    const { onConnect, onWebSocketClose } = client;
    client.onConnect = (frame) => {
      client.subscribe(ANSWERS, (m) => this.take(m.headers['correlation-id'])?.resolve(m));
      onConnect?.(frame);
    };
    client.onWebSocketClose = (event) => { // answers to these requests have nowhere to go now
      for (const id of this.waiting.keys()) this.take(id).reject(new Error('the connection was lost'));
      onWebSocketClose?.(event);
    };
  }

  // request resolves with the message that answers.
  request(destination, body, { headers = {}, timeout = 10_000 } = {}) {
    return new Promise((resolve, reject) => {
      const id = crypto.randomUUID();
      this.client.publish({ destination, body, headers: { ...headers, 'reply-to': ANSWERS, 'correlation-id': id } });
      const timer = setTimeout(() => this.take(id).reject(new Error(`no answer within ${timeout} ms`)), timeout);
      this.waiting.set(id, { resolve, reject, timer });
    });
  }

  take(id) {
    const request = this.waiting.get(id);
    this.waiting.delete(id);
    clearTimeout(request?.timer);
    return request;
  }
}

// answer has fn make the answers to the messages of a queue. A message is
// acknowledged when the broker has accepted its answer, and refused if fn fails.
export function answer(client, queue, fn) {
  return client.subscribe(queue, async (m) => {
    const destination = m.headers['reply-to'];
    if (!destination?.startsWith('/reply-queue/')) return m.nack(); // see "What to trust"
    try {
      const receipt = crypto.randomUUID();
      const headers = { 'correlation-id': m.headers['correlation-id'] ?? '', receipt };
      const body = await fn(m);
      client.watchForReceipt(receipt, () => m.ack());
      client.publish({ destination, body, headers });
    } catch (error) {
      console.error(error);
      m.nack();
    }
  }, { ack: 'client-individual', 'prefetch-count': '10' });
}
