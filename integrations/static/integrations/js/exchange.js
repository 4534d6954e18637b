/* The exchange on the page of a change asks every few seconds whether it is still so: see includes/exchange.html. */
(() => {
  "use strict";

  // Nobody looks: nothing is asked.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "exchange" && document.hidden) event.preventDefault();
  });

  // A menu that somebody opened stays open over a swap; htmx itself gives the focus back to what has the same id.
  let open = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id !== "exchange" || !event.detail.shouldSwap) return; // nothing new, nothing is swapped
    open = [...event.target.querySelectorAll("details[open][id]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    open = [];
  });
})();
