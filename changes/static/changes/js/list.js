/* The list of changes: Enter in the search box, or the button, opens the change that the search names. */
(() => {
  "use strict";

  // Without this script the button itself sends the parameter.
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, triggeringEvent, parameters } = event.detail;
    if (elt.id === "filters" && triggeringEvent?.type === "submit") parameters.set("go", "1");
    else parameters.delete("go");
  });
})();
