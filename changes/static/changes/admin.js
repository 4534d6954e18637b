// Django's two-column chooser puts aria-label on an element that has no role, so screen readers may skip it.
window.addEventListener("load", () => {
  for (const icon of document.querySelectorAll(".search-label-icon[aria-label]")) {
    icon.setAttribute("role", "img");
  }
});
