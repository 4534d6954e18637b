/* The page of one change, whose parts update themselves: see templates/changes/detail.html. */
(() => {
  "use strict";

  const timeline = () => document.getElementById("timeline");

  // A timeline that shows more than its first page, or all of a long comment, would lose that when it is replaced.
  document.addEventListener("htmx:afterSwap", (event) => {
    const pressed = event.detail.requestConfig?.elt;
    if (pressed?.id === "older-link" || pressed?.matches(".show-all")) timeline().dataset.extended = "yes";
    // The pressed link is gone, so the focus moves to the comment.
    if (pressed?.matches(".show-all")) document.querySelector(pressed.getAttribute("hx-target"))?.focus();
  });

  // The entry that the address names has the focus although nobody works in it, such as one's own new comment.
  const isAtWork = (element) => element.contains(document.activeElement) && document.activeElement.tabIndex >= 0;

  const isInUse = (element) =>
    element.dataset.extended ||
    isAtWork(element) ||
    element.querySelector("details[open]") ||
    [...element.querySelectorAll("textarea")].some((box) => box.value !== box.defaultValue);

  // A part that somebody reads or works in is not replaced. The timeline then offers a link to what is new.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const old = event.detail.target;
    if (!["timeline", "decisions", "approvals"].includes(old.id) || !isInUse(old)) return;
    event.detail.shouldSwap = false;
    if (old.id !== "timeline") return;
    document.getElementById("timeline-news").hidden = false;
  });
})();
