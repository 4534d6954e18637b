/* The editor of a connection's document: line numbers, the place of a fault, and the Tab key. All works without it. */
(() => {
  "use strict";

  const area = document.getElementById("id_document");
  if (!area) return;
  const faulty = new Set([...document.querySelectorAll("[data-line]")].map((link) => Number(link.dataset.line)));

  const numbers = document.createElement("pre");
  numbers.className = "numbers";
  numbers.setAttribute("aria-hidden", "true");
  const editor = document.createElement("div");
  editor.className = "editor";
  area.replaceWith(editor);
  editor.append(numbers, area);

  let count = 0;
  const number = () => {
    const lines = area.value.split("\n").length;
    if (lines !== count) {
      count = lines;
      const all = Array.from({ length: lines }, (_, index) => {
        const line = document.createElement("span");
        line.textContent = `${index + 1}\n`;
        if (faulty.has(index + 1)) line.className = "faulty";
        return line;
      });
      numbers.replaceChildren(...all);
    }
    numbers.style.height = `${area.clientHeight}px`;
    numbers.scrollTop = area.scrollTop;
  };
  area.addEventListener("input", number);
  area.addEventListener("scroll", number, { passive: true });
  new ResizeObserver(number).observe(area);
  number();

  const goTo = (line, column) => {
    const before = area.value.split("\n").slice(0, line - 1);
    const start = before.reduce((length, text) => length + text.length + 1, 0) + Math.max(0, column - 1);
    const end = area.value.indexOf("\n", start);
    area.focus();
    area.setSelectionRange(start, end < start ? start : end);
    const height = parseFloat(getComputedStyle(area).lineHeight);
    area.scrollTop = Math.max(0, (line - 4) * height);
  };
  for (const link of document.querySelectorAll("a[data-line]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(Number(link.dataset.line), Number(link.dataset.column));
    });
  }

  // The forms below the document do not save it.
  const saved = area.value;
  let isSent = false;
  area.form.addEventListener("submit", () => {
    isSent = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!isSent && area.value !== saved) event.preventDefault();
  });

  // Tab indents by two spaces, but only while somebody types: whoever passes by with Tab is not held. Escape ends it.
  let types = false;
  area.addEventListener("focus", () => {
    types = false;
  });
  area.addEventListener("input", () => {
    types = true;
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      types = false;
    } else if (event.key === "Tab" && types && !event.shiftKey && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
      number();
    }
  });
})();
