// Django's two-column chooser puts aria-label on an element that has no role, so screen readers may skip it.
window.addEventListener("load", () => {
  for (const icon of document.querySelectorAll(".search-label-icon[aria-label]")) {
    icon.setAttribute("role", "img");
  }
});

// The one shortcut of shortcuts.js that the administration has; the pages here are heavy already.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!document.querySelector("[data-shortcuts=on]") || event.target.matches("input, textarea, select")) return;
  event.preventDefault();
  document.getElementById("search")?.focus();
});
