/* Connects the buttons for security keys with django-allauth's script, which talks to the browser. */
(() => {
  "use strict";

  const forms = window.allauth.webauthn.forms;
  const connect = (id, start, name) => {
    const button = document.getElementById(id);
    if (!button) return;
    start({ ids: { [name]: id, credential: button.form.elements.credential.id, data: "key-data" } });
    // Until now a click would have done nothing.
    button.disabled = false;
  };
  connect("add-key", forms.addForm, "add");
  connect("use-key", forms.authenticateForm, "authenticate");
})();
