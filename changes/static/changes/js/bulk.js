/* The bar of bulk actions: shows how many changes are ticked, and ticks all on the page at once, or a range of them with
   Shift+click or Shift+Space. Bulk actions work without this script. */
(() => {
  "use strict";

  const boxes = () => [...document.querySelectorAll('#selection input[name="change"]')];

  function tell() {
    const all = boxes();
    const ticked = all.filter((box) => box.checked).length;
    const count = document.getElementById("bulk-count");
    if (count) {
      count.value = ticked;
      count.hidden = ticked === 0;
    }
    const head = document.getElementById("tick-all");
    if (head) {
      head.hidden = false;
      head.checked = all.length > 0 && ticked === all.length;
      head.indeterminate = ticked > 0 && ticked < all.length;
    }
  }

  // The box that was ticked last is the beginning of a range. A key that ticks a box sends a click, too: see also
  // shortcuts.js.
  let last = null;
  document.addEventListener("click", (event) => {
    const all = boxes();
    const here = all.indexOf(event.target);
    if (here < 0) return;
    const from = all.indexOf(last);
    if (event.shiftKey && from >= 0) {
      for (const box of all.slice(Math.min(from, here), Math.max(from, here) + 1)) box.checked = event.target.checked;
    }
    last = event.target;
  });
  // Shift+click must not mark the text between the two boxes.
  document.addEventListener("mousedown", (event) => {
    if (event.shiftKey && event.target.closest(".tick")) event.preventDefault();
  });

  document.addEventListener("change", (event) => {
    if (event.target.id === "tick-all") {
      boxes().forEach((box) => (box.checked = event.target.checked));
    }
    const scope = document.querySelector('#bulk-bar input[value="ticked"]');
    if (scope && (event.target.id === "tick-all" || event.target.name === "change")) {
      scope.checked = true;
    }
    tell();
  });
  document.addEventListener("htmx:afterSettle", tell);
  window.addEventListener("pageshow", tell);
  tell();
})();
