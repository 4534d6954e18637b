/* On every page: the browser's time zone for the server, and what is said when the server cannot be asked. */
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
})();
