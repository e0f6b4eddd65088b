// The phone's page. A notification tells it to fetch the current requests.
import { live } from './live.js';

const $ = (id) => document.getElementById(id);
const words = {
  connecting: 'Connecting', connected: 'Ready', reconnecting: 'Connection lost, trying again', refused: 'Please reload this page',
};
let expiry;

function replace(html) {
  const inside = $('requests').contains(document.activeElement);
  const next = new DOMParser().parseFromString(html, 'text/html').getElementById('requests');
  $('requests').replaceChildren(...next.childNodes);
  if (inside) $('title').focus();
  lookAgain();
}

// look shows the current requests. Without a connection it does nothing: the page
// shows the lost connection, and the next session calls look again.
async function look(url = '/device', options) {
  try {
    const reply = await fetch(url, options);
    if (!reply.ok) return false;
    replace(await reply.text());
    return true;
  } catch {
    return false; // see above
  }
}

// say confirms an answer for some seconds.
let silence;
function say(verdict, about) {
  const said = $('said');
  said.className = `said ${verdict.toLowerCase()}`;
  said.textContent = `${verdict === 'Approved' ? '✓' : '✕'} ${verdict}: ${about}`;
  said.hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => { said.hidden = true; }, 8000);
}

// lookAgain calls look when the next request expires.
function lookAgain() {
  clearTimeout(expiry);
  const left = [...document.querySelectorAll('[data-left]')].map((e) => 1000 * e.dataset.left);
  if (left.length) expiry = setTimeout(() => look(), Math.min(...left) + 1000);
}

async function post(event) {
  event.preventDefault();
  const url = event.submitter?.getAttribute('formaction') ?? event.target.action;
  const about = event.target.closest('.request')?.querySelector('h2').textContent;
  const taken = await look(url, { method: 'POST', body: new URLSearchParams(new FormData(event.target)) });
  if (!taken || !about || $('requests').querySelector('.alert')) return; // too late: the page shows an alert
  say(url.endsWith('/approve') ? 'Approved' : 'Denied', about);
}
$('requests').addEventListener('submit', post);
$('restart')?.addEventListener('submit', post);

lookAgain();
live({
  tickets: '/device/ws_ticket',
  state: (state) => { document.body.dataset.state = state; $('words').textContent = words[state]; },
  connected: (stomp) => {
    stomp.subscribe('/user/queue/requests', () => look());
    look();
  },
});
