/* The comment form. Everything works without. */
(() => {
  "use strict";

  // The page is from before the person signed in again: asked for as a whole, it comes back with what was typed.
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
