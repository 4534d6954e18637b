/* The comment form. It works without this script. */
(() => {
  "use strict";

  // 403: the page is from before the person signed in again. Sending the whole form brings the page back with its text.
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.target.id !== "comment-preview" || event.detail.xhr.status !== 403) return;
    const button = event.detail.elt;
    button.form.action = button.formAction;
    button.form.submit();
  });

  const show = () => {
    for (const hint of document.querySelectorAll(".only-script")) hint.hidden = false;
  };
  show();
  document.addEventListener("htmx:afterSettle", show);
})();
