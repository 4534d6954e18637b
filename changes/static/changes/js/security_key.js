/* Connects the buttons for security keys with django-allauth's script, which talks to the browser. */
(() => {
  "use strict";

  const forms = window.allauth.webauthn.forms;
  const connect = (button, start, name) => {
    const credential = document.getElementById(button)?.form.elements.credential;
    if (credential) start({ ids: { [name]: button, credential: credential.id, data: "key-data" } });
  };
  connect("add-key", forms.addForm, "add");
  connect("use-key", forms.authenticateForm, "authenticate");
})();
