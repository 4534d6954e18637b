/* Keyboard shortcuts; templates/changes/includes/keyboard_map.html lists them. An element names its own keys:
   data-shortcut="e" clicks it, or focuses it if it is a field; data-shortcut="g d" means two keys one after the other.
   Nothing happens while somebody types, nor with Ctrl, Alt or Meta. A person can turn all shortcuts off. */
(() => {
  "use strict";
  if (document.body.dataset.shortcuts !== "on") return;

  const PAUSE = 1500; // milliseconds until the first of two keys is forgotten
  let first = "";
  let since = 0;

  const isTyping = (element) =>
    element.isContentEditable ||
    (element.matches("input, textarea, select") && !element.matches("[type=checkbox], [type=radio]"));

  const act = (element) => {
    if (element.matches("input, textarea, select")) element.focus();
    else element.click();
  };

  const rows = () => [...document.querySelectorAll("table.rows tbody tr")].filter((row) => row.querySelector("a[href]"));

  const step = (by) => {
    const all = rows();
    if (!all.length) return false;
    const here = all.findIndex((row) => row.contains(document.activeElement));
    const next = here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + by, 0), all.length - 1);
    all[next].querySelector("a[href]").focus();
    return true;
  };

  const boxOfRow = () => document.activeElement.closest("table.rows tr")?.querySelector("input[type=checkbox]");

  // On a box or a button the browser itself makes a click of the key.
  const tickRange = () => {
    const box = document.activeElement.matches("a") && boxOfRow();
    if (box) box.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: true }));
    return Boolean(box);
  };

  const map = () => document.getElementById("keyboard-map");
  const help = () => {
    const dialog = map();
    if (!dialog || !window.htmx) return false;
    htmx.ajax("GET", dialog.dataset.href, { target: "#keyboard-map-content" }).then(() => dialog.showModal());
    return true;
  };

  const find = (keys) => document.querySelector(`[data-shortcut="${CSS.escape(keys)}"]`);

  const run = (key) => {
    if (key === "?") return help();
    if (key === "j") return step(1);
    if (key === "k") return step(-1);
    if (key === "x") {
      const box = boxOfRow();
      if (box) box.click();
      return Boolean(box);
    }
    const search = key === "/" && document.getElementById("search");
    const element = search || find(key);
    if (!element) return false;
    act(element);
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") || event.key.length !== 1) return;
    const pair = first && Date.now() - since < PAUSE ? find(`${first} ${event.key}`) : null;
    first = "";
    if (pair) {
      event.preventDefault();
      pair.click();
    } else if (event.key === " " && event.shiftKey ? tickRange() : run(event.key)) {
      event.preventDefault();
    } else if (document.querySelector(`[data-shortcut^="${CSS.escape(event.key)} "]`)) {
      first = event.key;
      since = Date.now();
    }
  });
})();
