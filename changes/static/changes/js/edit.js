/* Where two people gave a field different values: who types another one has chosen it. Works without. */
(() => {
  "use strict";

  document.addEventListener("input", (event) => {
    const choice = event.target.closest(".clash-edit")?.querySelector("input[type=radio]");
    if (choice && choice !== event.target) choice.checked = true;
  });
})();
