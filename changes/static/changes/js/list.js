/* The list of changes: Enter in the search box, or the button, opens the change that the search names. */
(() => {
  "use strict";

  // Without this script the button itself sends the parameter.
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, triggeringEvent, parameters } = event.detail;
    if (elt.id === "filters" && triggeringEvent?.type === "submit") parameters.set("go", "1");
    else parameters.delete("go");
  });

  // The search that follows the typing comes a moment later. After Enter it would only replace what Enter asks for.
  let isSent = false;
  document.addEventListener("submit", (event) => (isSent ||= event.target.id === "filters"), true);
  document.addEventListener("input", () => (isSent = false), true);
  document.addEventListener("htmx:confirm", (event) => {
    if (isSent && event.target.id === "search") event.preventDefault();
  });
})();
