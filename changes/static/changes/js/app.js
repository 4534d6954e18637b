/* For every page: sends the browser's time zone to the server, shows a notice when the server does not answer, and
   sends each form only once, however often its button is pressed. A form with data-send-by="Ctrl+Enter" is also sent
   by these keys. */
(() => {
  "use strict";

  // Read by changes/pages/preferences/preferences.py. It takes effect from the next page on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `timezone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  }

  // A failed htmx request leaves the page as it is, with what was typed, so a notice tells the person.
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
    if (!event.detail.successful) return; // htmx sends this event after an error, too
    say("no-answer", false);
    say("signed-out", false);
  });

  // Escape, and a click or the focus elsewhere, fold the menu of a narrow screen.
  const menu = () => document.querySelector(".menu[open]");
  for (const kind of ["click", "focusin"]) {
    document.addEventListener(kind, (event) => {
      if (menu() && !menu().contains(event.target)) menu().open = false;
    });
  }
  document.addEventListener("keydown", (event) => {
    const opened = event.key === "Escape" && menu();
    if (opened && getComputedStyle(opened).display !== "contents") {
      opened.open = false;
      opened.querySelector("summary").focus();
    }
  });

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("[data-send-by='Ctrl+Enter']");
    if (!form || event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing || event.repeat) return;
    event.preventDefault();
    form.requestSubmit();
  });

  // A listener of the window runs last, so forms that another script sends have `defaultPrevented` set.
  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.getAttribute("method")?.toLowerCase() !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    else {
      form.dataset.sent = "yes";
      setTimeout(() => delete form.dataset.sent, 10000); // the person stopped the request, or it was a download
    }
  });
  // A print shows everything that is folded, also in browsers that cannot unfold by style.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    folded = [];
  });

  // After the browser's Back button, the form can be sent again.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
  });

  // A browser cannot show its message at a field that is folded away, and would send nothing without a word.
  document.addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);
})();
