/* Files dropped or chosen are sent one by one, each with its progress, and each can be cancelled. Without this script
   the form sends them all at once. The page is told by the event `attached` on the body. */
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

  const size = (bytes) => {
    const [unit, divisor] = bytes < 1048576 ? ["kilobyte", 1024] : ["megabyte", 1048576];
    const options = { style: "unit", unit, maximumFractionDigits: 1 };
    return new Intl.NumberFormat(document.documentElement.lang || "en", options).format(bytes / divisor);
  };

  /* One line of the list: what is sent, how far it is, how it ended. */
  const line = (form, file) => {
    const item = element("li", "upload");
    const progress = element("progress", "");
    const state = element("span", "upload-state", `${form.dataset.sending} · ${size(file.size)}`);
    const cancel = element("button", "button small", form.dataset.cancel);
    const name = element("span", "upload-name", file.name);
    cancel.type = "button";
    cancel.setAttribute("aria-label", `${form.dataset.cancel} ${file.name}`);
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
    body.append("recipients", recipients);
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
      if (request.status !== 201) {
        done(reason(request, form.dataset), "is-refused");
        // It reaches others than the page says: the page now says whom.
        if (request.status === 409) document.body.dispatchEvent(new CustomEvent("recipients", { bubbles: true }));
        return;
      }
      done(form.dataset.attached, "is-attached");
      document.body.dispatchEvent(new CustomEvent("attached", { bubbles: true }));
      offer(form);
    });
    request.addEventListener("error", () => done(form.dataset.failed, "is-refused"));
    request.addEventListener("abort", () => done(form.dataset.cancelled, "is-refused"));
    shown.cancel.addEventListener("click", () => request.abort());
    request.open("POST", form.action);
    // Asked for as a part of a page: signed out, it is told so, rather than sent the sign-in page.
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

  /* The page is not loaded anew by itself: somebody may be typing a comment. */
  const offer = (form) => {
    // A page that shows news by itself asks for them now.
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
    // Those that the person sees now; the file may have to wait for its turn.
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

  const formOf = (event) => event.target.closest?.(".attachment-form");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".attachment-form")) return;
    const input = event.target.querySelector("input[type=file]");
    if (!input.files.length) return; // the browser says that one is needed
    event.preventDefault();
    add(event.target, [...input.files]);
    input.value = "";
  });

  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      if (!hasFiles(event)) return;
      const form = formOf(event);
      for (const zone of document.querySelectorAll(".drop-zone")) {
        zone.classList.toggle("is-over", Boolean(form?.contains(zone)) && name !== "drop" && name !== "dragleave");
      }
      // Dropped beside the zone, the browser would open the file and leave what is typed on the page.
      event.preventDefault();
      if (!form) event.dataTransfer.dropEffect = "none";
      else if (name === "drop") add(form, [...event.dataTransfer.files]);
    });
  }

  addEventListener("beforeunload", (event) => {
    if (isSending || waiting.length) event.preventDefault();
  });
})();
