// Posts the answer to the application at once. Not when the person came back to this
// page: the answer works only once. A field may be called "submit", so the form's
// own method is not asked.
'use strict';

if (performance.getEntriesByType('navigation')[0]?.type !== 'back_forward') {
  HTMLFormElement.prototype.submit.call(document.forms[0]);
}
