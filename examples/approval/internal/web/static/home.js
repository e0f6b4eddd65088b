// The application's page: live readings for the signed-in user.
import { live, ticketFrom } from './live.js';

const $ = (id) => document.getElementById(id);
const words = {
  connecting: 'Connecting', connected: 'Live', reconnecting: 'Connection lost, trying again', refused: 'Signed out',
};
const kept = 40;
const series = { temperature: [], humidity: [] };

function notice(text) {
  $('notice-text').textContent = text;
  $('notice').hidden = false;
}

// line draws the values around their middle, the newest at the right. The height
// represents at least span, so that noise does not look like a large change.
function line(values, span) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const scale = 50 / Math.max(span, high - low);
  const first = kept - values.length;
  return values.map((v, i) => `${i ? 'L' : 'M'}${(300 * (first + i)) / (kept - 1)} ${30 - scale * (v - (low + high) / 2)}`).join('');
}

function reading(message) {
  const r = JSON.parse(message.body);
  for (const [name, values] of Object.entries(series)) {
    values.push(r[name]);
    if (values.length > kept) values.shift();
    $(name).textContent = r[name].toFixed(1);
    $(`${name}-line`).setAttribute('d', line(values, 1));
  }
  const li = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date(r.at).toLocaleTimeString();
  li.append(time, ` ${r.temperature.toFixed(1)} °C, ${r.humidity.toFixed(1)} %`);
  $('log').prepend(li);
  while ($('log').children.length > 5) $('log').lastChild.remove();
}

live({
  tickets: '/ws_ticket',
  state: (state) => {
    document.body.dataset.state = state;
    $('words').textContent = words[state];
    if (state === 'refused') notice('You have been signed out.');
  },
  connected: (stomp) => {
    stomp.subscribe('/user/queue/readings', reading);
    stomp.subscribe('/user/queue/notices', () => notice('Please sign in again to keep receiving readings.'));
    stomp.subscribe('/user/topic/session', async (message) => {
      if (JSON.parse(message.body).event !== 'auth-expiring') return;
      const ticket = await ticketFrom('/ws_ticket', () => !stomp.connected);
      if (ticket) stomp.publish({ destination: '/app/session/refresh', body: JSON.stringify({ ticket }) });
    });
  },
});

// The closed socket shows the result, in this window and in all others.
$('everywhere').addEventListener('submit', (event) => {
  event.preventDefault();
  fetch(event.target.action, { method: 'POST', body: new URLSearchParams(new FormData(event.target)) })
    .catch(() => notice('The server cannot be reached. Please try again.'));
});
