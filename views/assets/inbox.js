// Takes new messages from the page itself, every second while somebody looks.
'use strict';

const list = document.getElementById('messages');

function showButtons() {
  if (!navigator.clipboard) return;
  for (const button of list.querySelectorAll('.copy')) button.hidden = false;
}

list.addEventListener('click', async (event) => {
  const button = event.target.closest('.copy');
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.code);
  button.textContent = button.dataset.copied;
});

async function refresh() {
  if (document.visibilityState === 'visible') {
    try {
      const answer = await fetch(location.href, { cache: 'no-store' });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      take(page.getElementById('messages'));
    } catch {
      // The server is away; ask again.
    }
  }
  setTimeout(refresh, 1000);
}

// The newest message is on top: those that are not known yet go before the rest.
function take(fresh) {
  if (!fresh) return;
  const known = list.querySelectorAll('li').length;
  const all = fresh.querySelectorAll('li');
  if (all.length === known) return;
  if (known === 0 || all.length < known) {
    list.replaceChildren(...fresh.childNodes);
  } else {
    list.querySelector('ol').prepend(...[...all].slice(0, all.length - known));
  }
  showButtons();
}

showButtons();
document.querySelector('.refresh').hidden = true;
refresh();
