/* Parts of a page that renew themselves: changes/pages/renewal.py says how. */
(() => {
  "use strict";

  const parts = () => document.querySelectorAll("[data-version][hx-get]");
  const renew = () => parts().forEach((part) => htmx.trigger(part, "renew"));

  // The version stands at the part that asks, or in it; what belongs to another part names that.
  const holder = (element) => {
    const other = element.closest("[data-part-of]");
    const part = other ? document.getElementById(other.dataset.partOf) : element;
    return part?.matches("[data-version]") ? part : part?.querySelector(":scope > [data-version]");
  };
  document.addEventListener("htmx:configRequest", (event) => {
    const held = holder(event.detail.elt);
    if (held) event.detail.headers["X-Version"] = held.dataset.version;
  });

  // Nobody looks: nothing is asked. Somebody looks again, or is back on a page that the browser kept: all ask.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-version]")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) renew();
  });
  addEventListener("pageshow", (event) => {
    const [arrival] = performance.getEntriesByType("navigation");
    if (event.persisted || arrival?.type === "back_forward") renew();
  });

  // What somebody opened stays open over a swap; htmx itself gives the focus back to what has the same id.
  let open = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.shouldSwap || !holder(event.target)) return; // nothing new, nothing is swapped
    open = [...event.target.querySelectorAll("details[open][id]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    open = [];
  });
})();
