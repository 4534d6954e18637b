/* The form of a change. Works without. */
(() => {
  "use strict";

  // What a save would send is shown anew while one types: what was opened of it stays open, and only what it says
  // otherwise is read aloud, not each letter of a value.
  let isOpen = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id === "will-send") isOpen = Boolean(event.target.querySelector("details[open]"));
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "will-send") return;
    const said = [...event.target.querySelectorAll("h2, .planned-head, .silent li")].map((part) => part.innerText).join(" ");
    const news = document.getElementById("will-send-news");
    if (news.textContent !== said) news.textContent = said;
    // On a narrow screen it stands below all fields: the bar that is always seen leads to it.
    const jump = document.getElementById("will-send-jump");
    jump.textContent = event.target.querySelector("h2")?.innerText ?? "";
    jump.hidden = !event.target.querySelector(".planned");
    if (isOpen) event.target.querySelector("details")?.setAttribute("open", "");
  });

  // Where two people gave a field different values, who types another one has chosen it.
  document.addEventListener("input", (event) => {
    const choice = event.target.closest(".clash-edit")?.querySelector("input[type=radio]");
    if (choice && choice !== event.target) choice.checked = true;
  });
})();
