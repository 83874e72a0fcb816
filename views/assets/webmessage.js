// Hands the answer to the application's page, of which this one is a frame. The browser
// gives it to no page of another origin.
'use strict';

const answer = document.getElementById('response');
const response = Object.fromEntries(Array.from(answer.querySelectorAll('input'), (f) => [f.name, f.value]));
if (window.parent !== window) {
  window.parent.postMessage({ type: 'authorization_response', response }, answer.dataset.origin);
}
