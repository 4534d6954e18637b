/* The comment form: Ctrl+Enter adds the comment. Everything else works without. */
(() => {
  "use strict";

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("[data-send-by='Ctrl+Enter']");
    if (!form || event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing || event.repeat) return;
    event.preventDefault();
    form.requestSubmit();
  });

  // Pressed twice, a button adds one comment.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-send-by]") || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    else {
      form.dataset.sent = "yes";
      setTimeout(() => delete form.dataset.sent, 5000); // the person may have stopped it
    }
  });
  // Back on the page by the browser's own button, it can be sent again.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
  });

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
