/* Parts of a page that update themselves by polling: see changes/pages/renewal.py. */
(() => {
  "use strict";

  const parts = () => document.querySelectorAll("[data-version][hx-get]");
  const renew = () => parts().forEach((part) => htmx.trigger(part, "renew"));

  // The part that asks holds the version, or a child of it does. An element with data-part-of belongs to another part.
  const holder = (element) => {
    const other = element.closest("[data-part-of]");
    const part = other ? document.getElementById(other.dataset.partOf) : element;
    return part?.matches("[data-version]") ? part : part?.querySelector(":scope > [data-version]");
  };
  document.addEventListener("htmx:configRequest", (event) => {
    const held = holder(event.detail.elt);
    if (held) event.detail.headers["X-Version"] = held.dataset.version;
  });

  // The same content may have a newer version.
  document.addEventListener("htmx:afterRequest", (event) => {
    const version = event.detail.xhr?.status === 204 && event.detail.xhr.getResponseHeader("X-Version");
    const held = version && holder(event.detail.elt);
    if (held) held.dataset.version = version;
  });

  // A hidden page does not poll. When it is shown again, also from the browser's cache, all its parts poll at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-version]")) event.preventDefault();
  });
  // It gives its waiting request up too, because a browser has only a few connections to one server.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) parts().forEach((part) => htmx.trigger(part, "htmx:abort"));
    else renew();
  });
  addEventListener("pageshow", (event) => {
    const [arrival] = performance.getEntriesByType("navigation");
    if (event.persisted || arrival?.type === "back_forward") renew();
  });

  // Rows do not move under somebody's pointer or keys. Their news wait, and a line says so.
  let held = null;
  const show = () => {
    if (!held) return;
    const { id, content } = held;
    held = null;
    say();
    htmx.swap(`#${id}`, content, { swapStyle: "outerHTML" });
  };
  const say = () => document.querySelectorAll("[data-calm-news]").forEach((line) => (line.hidden = !held));
  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.target;
    if (!event.detail.requestConfig?.headers["X-Version"] || !part.matches("[data-calm]")) return;
    held = null;
    if (part.matches(":hover, :focus-within")) {
      event.detail.shouldSwap = false;
      held = { id: part.id, content: event.detail.serverResponse };
      // Asks only for what is newer still.
      const version = event.detail.serverResponse.match(/data-version="([^"]*)"/);
      if (version) part.dataset.version = version[1];
    }
    say();
  });
  for (const name of ["pointerout", "focusout"]) {
    document.addEventListener(name, (event) => {
      const part = event.target.closest?.("[data-calm]");
      if (part && !part.contains(event.relatedTarget) && !part.matches(":focus-within")) show();
    });
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-calm-news] button")) show();
  });

  // Keeps opened details open over a swap. htmx itself restores the focus to the element with the same id.
  let open = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.shouldSwap || !holder(event.target)) return; // 204: no news, no swap
    open = [...event.target.querySelectorAll("details[open][id]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    open = [];
  });
})();
