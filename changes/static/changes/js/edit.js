/* The form of a change. It works without this script. */
(() => {
  "use strict";

  // The preview of what a save would send is replaced while somebody types. Opened details stay open. Screen readers
  // get a summary, and only when it differs, so that they do not read each typed letter.
  let isOpen = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id === "will-send") isOpen = Boolean(event.target.querySelector("details[open]"));
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "will-send") return;
    const said = [...event.target.querySelectorAll("h2, .planned-head, .silent li")].map((part) => part.innerText).join(" ");
    const news = document.getElementById("will-send-news");
    if (news.textContent !== said) news.textContent = said;
    // On a narrow screen the preview is below all fields, so the bar, which is always visible, links to it.
    const jump = document.getElementById("will-send-jump");
    jump.textContent = event.target.querySelector("h2")?.innerText ?? "";
    jump.hidden = !event.target.querySelector(".planned");
    if (isOpen) event.target.querySelector("details")?.setAttribute("open", "");
  });

  // A link to a field, as in a list of errors, opens the section that is folded around it.
  const unfold = () => {
    const field = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const section = field && field.closest("details:not([open])");
    if (!section) return;
    section.open = true;
    field.scrollIntoView({ block: "center" });
    field.focus();
  };
  addEventListener("hashchange", unfold);
  unfold();

  // In a conflict, typing another value chooses that value.
  document.addEventListener("input", (event) => {
    const choice = event.target.closest(".clash-edit")?.querySelector("input[type=radio]");
    if (choice && choice !== event.target) choice.checked = true;
  });
})();
