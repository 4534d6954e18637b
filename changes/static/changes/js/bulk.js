/* The bar of bulk actions: shows how many changes are ticked, and ticks all on the page at once. Bulk actions work
   without this script. */
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
