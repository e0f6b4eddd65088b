// Outbox sends messages over a Client of @stomp/stompjs and keeps each until the
// broker has answered it. After a reconnect it sends again whatever has no
// RECEIPT; the broker accepts each message once.
export class Outbox {
  constructor(client) {
    this.client = client;
    this.waiting = new Map(); // by message-dedup-id, in the order of send
    const { onConnect, onStompError } = client;
    client.onConnect = (frame) => {
      onConnect?.(frame);
      for (const [id, m] of this.waiting) this.transmit(id, m);
    };
    client.onStompError = (frame) => { // a message that was refused is not sent again
      const id = frame.headers['receipt-id'];
      this.waiting.get(id)?.reject(new Error(frame.headers.message));
      this.waiting.delete(id);
      onStompError?.(frame);
    };
  }

  // send resolves when the broker has accepted the message.
  send(destination, body, headers = {}) {
    return new Promise((resolve, reject) => {
      const id = crypto.randomUUID();
      const m = { destination, body, headers, resolve, reject };
      this.waiting.set(id, m);
      if (this.client.connected) this.transmit(id, m);
    });
  }

  transmit(id, m) {
    m.first ??= Date.now();
    if (Date.now() - m.first > 100_000) { // the broker remembers an id for 120 s
      this.waiting.delete(id);
      m.reject(new Error('disconnected for too long: it is not known whether the message was accepted'));
      return;
    }
    this.client.watchForReceipt(id, () => {
      this.waiting.delete(id);
      m.resolve();
    });
    this.client.publish({
      destination: m.destination,
      body: m.body,
      headers: { ...m.headers, 'message-dedup-id': id, receipt: id },
    });
  }
}
