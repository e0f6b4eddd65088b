// live keeps one STOMP session open. Each attempt to connect needs a new ticket,
// because a ticket is single-use. A browser does not tell a page why a handshake
// failed, so the answer of the ticket endpoint decides when to give up.
import { Client, ReconnectionTimeMode } from '/stompjs/index.js';

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// ticketFrom returns a ticket, or null if the server rejects this page. It retries
// while the server does not answer or is busy.
export async function ticketFrom(url, stop = () => false) {
  for (let wait = 250; !stop(); wait = Math.min(2 * wait, 4000)) {
    try {
      const reply = await fetch(url, { method: 'POST' });
      if (reply.ok) return (await reply.json()).ticket;
      if (reply.status !== 429 && reply.status < 500) return null;
    } catch { /* network error: try again */ }
    await pause(wait);
  }
  return null;
}

// tickets is the endpoint. live calls state with connecting, connected, reconnecting
// and, at the end, refused. It calls connected with the client for each new session.
export function live({ tickets, state, connected }) {
  let before = false;
  const client = new Client({
    connectionTimeout: 5000,
    reconnectDelay: 300,
    maxReconnectDelay: 5000,
    reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
    beforeConnect: async () => {
      state(before ? 'reconnecting' : 'connecting');
      const ticket = await ticketFrom(tickets, () => !client.active);
      if (ticket) {
        client.brokerURL = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws?ticket=${ticket}`;
      } else if (client.active) {
        client.deactivate();
        state('refused');
      }
    },
    onConnect: () => {
      before = true;
      state('connected');
      connected(client);
    },
    onWebSocketClose: () => { if (client.active) state('reconnecting'); },
  });
  client.activate();
  return client;
}
