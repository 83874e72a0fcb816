// Makes the login pages better; they are complete without it.
'use strict';

const byId = (id) => document.getElementById(id);

// What is wrong is the first thing to be read.
byId('summary')?.focus();

// The hint shows a number of the chosen country, or none where none is known.
const country = byId('country');
country?.addEventListener('change', () => {
  const example = country.selectedOptions[0]?.dataset.example;
  const shown = byId('phone-example');
  shown.hidden = !example;
  if (example) shown.querySelector('bdi').textContent = example;
});

// A form is sent once: a second press within ten seconds, or until the page comes
// back from the cache, does nothing.
function lock(form, locked) {
  const button = form.querySelector('button');
  form.dataset.sent = locked ? 'yes' : '';
  button.ariaDisabled = String(locked);
  button.classList.toggle('busy', locked);
}
for (const form of document.forms) {
  form.addEventListener('submit', (event) => {
    if (form.querySelector('button').ariaDisabled === 'true') {
      event.preventDefault();
      return;
    }
    lock(form, true);
    setTimeout(unlock, 10000, form);
  });
}
function unlock(form) {
  if (form.dataset.sent) lock(form, false);
  tick();
}
addEventListener('pageshow', () => [...document.forms].forEach(unlock));

// The countdown shows seconds to the eye and speaks twice. The deadline is kept, not
// the count: a device that slept goes on right. The server decides in any case.
const wait = byId('wait');
const said = byId('said');
const deadline = Date.now() + 1000 * (wait?.dataset.seconds ?? 0);
let timer;

// clock writes m:ss, from an hour on h:mm:ss.
function clock(seconds) {
  const two = (n) => String(n % 60).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return (minutes < 60 ? minutes : Math.floor(minutes / 60) + ':' + two(minutes)) + ':' + two(seconds);
}

function tick() {
  clearTimeout(timer);
  const button = byId('resend');
  if (!wait || button.form.dataset.sent) return;
  const left = Math.max(0, deadline - Date.now());
  button.ariaDisabled = String(left > 0);
  if (!left) {
    wait.textContent = wait.dataset.over;
    if (said.textContent !== wait.dataset.over) said.textContent = wait.dataset.over;
    return;
  }
  const seconds = Math.ceil(left / 1000);
  wait.textContent = wait.dataset.tick.replace('{wait}', clock(seconds));
  timer = setTimeout(tick, left % 1000 || 1000);
}

if (wait) {
  said.textContent = wait.textContent;
  wait.ariaHidden = 'true';
  document.addEventListener('visibilitychange', tick);
  tick();
}

// WebOTP: the browser offers the code of the text; the person's tap sends it.
const code = byId('code');
if (code && 'OTPCredential' in window) {
  const stop = new AbortController();
  const abort = () => stop.abort();
  code.form.addEventListener('submit', abort);
  addEventListener('pagehide', abort);
  setTimeout(abort, 1000 * code.form.dataset.expires);
  navigator.credentials.get({ otp: { transport: ['sms'] }, signal: stop.signal }).then((otp) => {
    if (!otp?.code) return;
    code.value = otp.code;
    code.form.requestSubmit();
  }, () => {}); // declined, timed out or aborted: the field is there
}
