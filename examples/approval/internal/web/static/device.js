// The phone. It is told that something has changed, and looks what it is.
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

// look shows what there is now. Without a connection it does nothing: the state says
// so, and the next session looks again.
async function look(url = '/device', options) {
  try {
    const reply = await fetch(url, options);
    if (reply.ok) replace(await reply.text());
  } catch { /* see above */ }
}

// lookAgain looks when the next request expires.
function lookAgain() {
  clearTimeout(expiry);
  const left = [...document.querySelectorAll('[data-left]')].map((e) => 1000 * e.dataset.left);
  if (left.length) expiry = setTimeout(() => look(), Math.min(...left) + 1000);
}

function post(event) {
  event.preventDefault();
  const url = event.submitter?.getAttribute('formaction') ?? event.target.action;
  return look(url, { method: 'POST', body: new URLSearchParams(new FormData(event.target)) });
}
$('requests').addEventListener('submit', post);
$('restart').addEventListener('submit', post);

lookAgain();
live({
  tickets: '/device/ws_ticket',
  state: (state) => { document.body.dataset.state = state; $('words').textContent = words[state]; },
  connected: (stomp) => {
    stomp.subscribe('/user/queue/requests', () => look());
    look();
  },
});
