/* A click on a free place of the calendar begins a change on the service, or of the group, of the lane. Without this
   script it begins one at that time only. */
(() => {
  "use strict";

  // Before the click, so that it may also open a new tab.
  document.addEventListener("pointerdown", (event) => {
    const slot = event.target.closest?.(".slot");
    if (!slot) return;
    const isHere = ({ top, bottom }) => top <= event.clientY && event.clientY < bottom;
    const lane = [...document.querySelectorAll("[data-lane]")].find((each) => isHere(each.getBoundingClientRect()));
    const address = new URL(slot.href);
    for (const name of ["service", "group"]) address.searchParams.delete(name);
    if (lane) address.searchParams.set(lane.dataset.lane, lane.dataset.name);
    slot.href = address;
  });
})();
