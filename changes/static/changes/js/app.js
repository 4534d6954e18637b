/* On every page: the browser's time zone for the server, what is said when the server cannot be asked, and how a form
   is sent: once, however often its button is pressed, and by Ctrl+Enter where it has data-send-by="Ctrl+Enter". */
(() => {
  "use strict";

  // Read by changes/preferences.py. A page that was made before in another zone is right from the next one on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `timezone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  }

  // What a part of the page met when it asked for something: the page stays as it is, with what was typed.
  const say = (id, isShown) => {
    const notice = document.getElementById(id);
    if (notice) notice.hidden = !isShown;
  };
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 401) say("signed-out", true);
    else if (status >= 500) say("no-answer", true);
  });
  document.addEventListener("htmx:sendError", () => say("no-answer", true));
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (!event.detail.successful) return; // it follows on an error as well
    say("no-answer", false);
    say("signed-out", false);
  });

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("[data-send-by='Ctrl+Enter']");
    if (!form || event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing || event.repeat) return;
    event.preventDefault();
    form.requestSubmit();
  });

  // Heard last, at the window: what a script of the page sends by itself is none of this.
  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.getAttribute("method")?.toLowerCase() !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    else {
      form.dataset.sent = "yes";
      setTimeout(() => delete form.dataset.sent, 10000); // the person may have stopped it, or it was a download
    }
  });
  // Back on the page by the browser's own button, it can be sent again.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
  });
})();
