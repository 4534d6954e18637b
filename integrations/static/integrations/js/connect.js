/* The page "Connect": a button beside each value, which copies it. Without this, a click selects the whole value. */
(() => {
  "use strict";

  const select = (source) => {
    source.closest("details")?.setAttribute("open", ""); // what is folded cannot be selected
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const copy = async (source) => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      // Over plain HTTP a browser offers no clipboard to pages, but copies what is selected.
      select(source);
      return document.execCommand("copy");
    }
  };

  // A part of the page that is renewed has new buttons.
  const show = () => {
    for (const button of document.querySelectorAll("button[data-copies][hidden]")) button.hidden = false;
  };
  show();
  document.addEventListener("htmx:afterSwap", show);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copies]");
    if (!button) return;
    const label = button.firstElementChild;
    const isDone = await copy(document.getElementById(button.dataset.copies));
    const before = button.dataset.before ?? label.textContent;
    button.dataset.before = before;
    label.textContent = isDone ? button.dataset.done : button.dataset.failed;
    document.getElementById("copied").textContent = label.textContent;
    clearTimeout(Number(button.dataset.timer));
    button.dataset.timer = setTimeout(() => {
      label.textContent = before;
    }, 3000);
  });
})();
