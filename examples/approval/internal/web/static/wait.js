// The page that waits for the phone. A notification grants nothing: it only makes
// the page ask the authorize endpoint again, which decides.
import { live } from './live.js';

const $ = (id) => document.getElementById(id);
const page = document.querySelector('main');
const ends = performance.now() + 1000 * page.dataset.left;

const words = {
  connecting: 'Connecting',
  connected: 'Connected',
  registered: 'Waiting for your phone',
  reconnecting: 'Connection lost, trying again',
  approved: 'Approved',
  denied: 'Denied on your phone',
  expired: 'No answer in time',
  moved: 'Waiting in another window',
  refused: 'This sign-in has ended',
};
const titles = {
  approved: ['Approved', 'One moment, signing you in.'],
  denied: ['Denied', 'The sign-in was denied on the phone.', 'Back to the application'],
  expired: ['Time is up', 'There was no answer from the phone.', 'Try again'],
  moved: ['Waiting elsewhere', 'This sign-in continues in another of your windows.', 'Wait here instead'],
  refused: ['Start again', 'This sign-in has ended or belongs to another window.', 'Start again'],
};

// The number of finished steps in each state; the next step is the current one.
// Other states do not change the steps.
const done = { connecting: 0, connected: 1, registered: 1, approved: 3 };

function steps(state) {
  if (!(state in done)) return;
  document.querySelectorAll('.steps li').forEach((li, i) => {
    li.classList.toggle('done', i < done[state]);
    li.querySelector('.hidden').textContent = i < done[state] ? ', done' : '';
    if (i === done[state]) li.setAttribute('aria-current', 'step');
    else li.removeAttribute('aria-current');
  });
}

let client;

// show shows a state. A state with a title is final.
function show(state) {
  if (titles[page.dataset.state]) return;
  page.dataset.state = state;
  $('words').textContent = words[state];
  steps(state);
  const last = titles[state];
  if (!last) return;
  clearInterval(clock);
  client?.deactivate();
  const [title, lead, action] = last;
  $('title').textContent = document.title = title;
  $('lead').textContent = lead;
  $('foot').hidden = true;
  if (!action) return;
  $('action').textContent = action;
  $('action').hidden = false;
  $('action').focus();
}

const results = {
  CONFIRMED: () => { show('approved'); setTimeout(() => location.reload(), 600); },
  CANCELED: () => show('denied'),
};

function tick() {
  const left = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
  $('left').textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')} left · `;
  $('hand').style.strokeDashoffset = 100 - (100 * left) / page.dataset.of;
  if (left === 0) show('expired');
}
const clock = setInterval(tick, 250);
tick();

steps(page.dataset.state);
if (!titles[page.dataset.state]) client = live({
  tickets: `/wait/${page.dataset.id}/ws_ticket`,
  state: show,
  connected: (stomp) => {
    stomp.subscribe('/user/topic/registration', (message) => {
      const reply = JSON.parse(message.body);
      if (reply.registrationSucceeded) show('registered');
      else show(reply.reason === 'superseded' ? 'moved' : 'refused');
    });
    stomp.subscribe('/user/topic/authorization', (message) => {
      message.ack();
      (results[JSON.parse(message.body).authResult] ?? (() => location.reload()))();
    }, { ack: 'client-individual' });
    stomp.publish({
      destination: '/app/registration',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ webSocketId: page.dataset.id }),
    });
  },
});
