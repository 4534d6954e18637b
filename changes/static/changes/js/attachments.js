/* Sends dropped or chosen files one by one. Each shows its progress and can be cancelled. Without this script the form
   sends all of them at once. After each file the body gets the event `attached`. A picture that is pasted into a comment
   waits until the person attaches it: it would be sent to partners, even beside a private comment. */
(() => {
  "use strict";

  const waiting = [];
  let isSending = false;

  const element = (name, classes, text = "") => {
    const made = document.createElement(name);
    made.className = classes;
    made.textContent = text;
    return made;
  };

  const button = (text, file, classes) => {
    const made = element("button", classes, text);
    made.type = "button";
    made.setAttribute("aria-label", `${text} ${file.name}`);
    return made;
  };

  const size = (bytes) => {
    const [unit, divisor] = bytes < 1048576 ? ["kilobyte", 1024] : ["megabyte", 1048576];
    const options = { style: "unit", unit, maximumFractionDigits: 1 };
    return new Intl.NumberFormat(document.documentElement.lang || "en", options).format(bytes / divisor);
  };

  /* One line of the list of uploads: the file, its progress, and its result. */
  const line = (form, file) => {
    const item = element("li", "upload");
    const progress = element("progress", "");
    const state = element("span", "upload-state", `${form.dataset.sending} · ${size(file.size)}`);
    const cancel = button(form.dataset.cancel, file, "button small");
    const name = element("span", "upload-name", file.name);
    progress.max = 100;
    progress.value = 0;
    progress.setAttribute("aria-label", file.name);
    item.append(name, cancel, progress, state);
    form.querySelector(".uploads").append(item);
    const end = (text, outcome) => {
      const hadFocus = document.activeElement === cancel;
      item.classList.add(outcome);
      state.textContent = text;
      progress.remove();
      cancel.remove();
      if (hadFocus) form.querySelector("input[type=file]").focus();
    };
    return { progress, state, cancel, end };
  };

  const reason = (request, texts) => {
    if (request.status === 401) return texts.signedOut;
    if (request.status >= 500) return texts.busy;
    if ((request.getResponseHeader("Content-Type") || "").startsWith("application/json")) {
      return JSON.parse(request.responseText).error;
    }
    if (request.status === 413) return texts.tooLarge;
    return request.status === 403 ? texts.outOfDate : `${texts.failed} (${request.status})`;
  };

  const send = ({ form, file, shown, recipients }) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    // The same file from the same page is attached once, even if it is sent again after a connection was lost.
    body.append("once", form.elements.once.value);
    body.append("recipients", recipients);
    // Beside the file, because browsers alter some characters in the name of a form's file.
    body.append("file_name", file.name);
    body.append("file", file);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) shown.progress.value = (100 * event.loaded) / event.total;
    });
    const done = (text, outcome) => {
      shown.end(text, outcome);
      isSending = false;
      next();
    };
    request.addEventListener("load", () => {
      if (request.status !== 201 && request.status !== 200) {
        done(reason(request, form.dataset), "is-refused");
        // The file would be sent to partners that the page does not name. This event makes the page name them.
        if (request.status === 409) document.body.dispatchEvent(new CustomEvent("recipients", { bubbles: true }));
        return;
      }
      done(request.status === 201 ? form.dataset.attached : form.dataset.again, "is-attached");
      document.body.dispatchEvent(new CustomEvent("attached", { bubbles: true }));
      offer(form);
    });
    request.addEventListener("error", () => done(form.dataset.failed, "is-refused"));
    request.addEventListener("abort", () => done(form.dataset.cancelled, "is-refused"));
    shown.cancel.addEventListener("click", () => request.abort());
    request.open("POST", form.action);
    // Marked as an htmx request, so that a signed-out person gets status 401 and not the sign-in page.
    request.setRequestHeader("HX-Request", "true");
    isSending = true;
    request.send(body);
  };

  const next = () => {
    while (!isSending && waiting.length) {
      const upload = waiting.shift();
      if (!upload.isCancelled) send(upload);
    }
  };

  /* Offers a link to reload the page. It is not reloaded automatically, because somebody may be typing a comment. */
  const offer = (form) => {
    // A page that updates by itself needs no link.
    if (document.getElementById("news") || form.querySelector(".show-attached")) return;
    const link = element("a", "show-attached", form.dataset.show);
    link.href = `${location.pathname.replace(/(comments|attachments)\/.*$/, "")}#attachments`;
    link.addEventListener("click", (event) => {
      if (location.pathname !== link.pathname) return;
      event.preventDefault();
      location.hash = "#attachments";
      location.reload();
    });
    form.querySelector(".uploads").after(link);
  };

  const add = (form, files) => {
    const limit = Number(form.querySelector("input[type=file]").dataset.maxBytes);
    // The recipients that the person sees now. They may change while the file waits for its turn.
    const recipients = form.elements.recipients.value;
    for (const file of files) {
      const shown = line(form, file);
      if (!file.size) shown.end(form.dataset.empty, "is-refused");
      else if (limit && file.size > limit) {
        shown.end(`${form.dataset.tooLarge} (${size(file.size)} > ${size(limit)})`, "is-refused");
      } else {
        const upload = { form, file, shown, recipients, isCancelled: false };
        shown.cancel.addEventListener("click", () => {
          if (!waiting.includes(upload)) return;
          upload.isCancelled = true;
          shown.end(form.dataset.cancelled, "is-refused");
        });
        waiting.push(upload);
      }
    }
    next();
  };

  /* Opens the section around the form, to show what becomes of the files. */
  const unfold = (form) => {
    const section = form.closest("details");
    if (section) section.open = true;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches(".attachment-form input[type=file]")) unfold(event.target.form);
  });

  /* One line for a pasted picture, which is attached or removed by its buttons. */
  const stage = (form, file) => {
    const item = element("li", "upload is-staged");
    const attach = button(form.dataset.attach, file, "button small primary");
    const remove = button(form.dataset.remove, file, "button small");
    const buttons = element("span", "upload-buttons");
    buttons.append(attach, remove);
    const state = element("span", "upload-state", `${form.dataset.notYet} · ${size(file.size)}`);
    item.append(element("span", "upload-name", file.name), buttons, state);
    form.querySelector(".uploads").append(item);
    attach.addEventListener("click", () => {
      item.remove();
      add(form, [file]);
    });
    remove.addEventListener("click", () => item.remove());
  };
  const staged = () => document.querySelector(".upload.is-staged");

  // A comment is not sent over a picture that would be lost with the page.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".comment-form") || event.submitter?.formNoValidate || !staged()) return;
    event.preventDefault();
    staged().querySelector(".upload-state").textContent = document.querySelector(".attachment-form").dataset.first;
    staged().querySelector("button").focus();
  });

  // Text that comes with a picture, as from a table, is pasted as text.
  document.addEventListener("paste", (event) => {
    const form = event.target.closest?.(".comment-form") && document.querySelector(".attachment-form");
    const files = [...(event.clipboardData?.files ?? [])];
    if (!form || !files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    unfold(form);
    files.forEach((file, place) => stage(form, named(file, `${form.dataset.pasted}${place ? ` ${place + 1}` : ""}`)));
  });

  /* Browsers call each pasted picture image.png, so that the names of several would be the same. */
  const named = (file, name) => {
    if (file.name !== "image.png") return file;
    const moment = new Date().toLocaleString("sv").replaceAll(":", "-"); // Swedish is 2031-03-12 09:41:00
    return new File([file], `${name} ${moment}.png`, { type: file.type });
  };

  const formOf = (event) => event.target.closest?.(".attachment-form");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".attachment-form")) return;
    const input = event.target.querySelector("input[type=file]");
    if (!input.files.length) return; // the browser shows its own message
    event.preventDefault();
    add(event.target, [...input.files]);
    input.value = "";
  });

  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      if (!hasFiles(event)) return;
      document.querySelectorAll(".attachment-form").forEach(unfold);
      const form = formOf(event);
      for (const zone of document.querySelectorAll(".drop-zone")) {
        zone.classList.toggle("is-over", Boolean(form?.contains(zone)) && name !== "drop" && name !== "dragleave");
      }
      // Without this, a file dropped beside the zone opens in the browser, and what was typed on the page is lost.
      event.preventDefault();
      if (!form) event.dataTransfer.dropEffect = "none";
      else if (name === "drop") add(form, [...event.dataTransfer.files]);
    });
  }

  addEventListener("beforeunload", (event) => {
    if (isSending || waiting.length || staged()) event.preventDefault();
  });
})();
