// A WebSocket for libraries that expect the browser's, which lets a test see
// and disturb what goes over it.

import WebSocket from 'ws';

// Tap counts what passes and can leave out heart-beats and pongs.
export class Tap extends WebSocket {
  // mute: never send a heart-beat; deaf: never answer a WebSocket ping.
  constructor(url, protocols, { mute = false, deaf = false } = {}) {
    super(url, protocols, { autoPong: !deaf });
    this.mute = mute;
    this.sent = [];      // messages, as text or as Buffer
    this.received = [];  // { text } or { binary }
    this.pings = 0;
    this.on('ping', () => this.pings++);
    this.on('message', (data, binary) => {
      this.received.push(binary ? { binary: Buffer.from(data) } : { text: data.toString() });
    });
  }

  send(data) {
    if (this.mute && data === '\n') return;
    this.sent.push(typeof data === 'string' ? data : Buffer.from(data));
    super.send(data);
  }

  // heartBeats counts those among the messages given.
  static heartBeats(list) {
    return list.filter((m) => (m.text ?? m) === '\n').length;
  }
}

export { WebSocket };
