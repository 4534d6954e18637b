"""Fills in and posts the forms of a page as a browser does."""

from html.parser import HTMLParser


class _Reader(HTMLParser):
    """Parses the forms of a page, with the attributes and the field values of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[dict] = []
        self._select: tuple[str, list[str], str | None, bool] | None = None
        self._textarea: tuple[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append({"attrs": attrs, "fields": {}, "names": set(), "files": set()})
        if not self.forms:
            return
        name = attrs.get("name")
        if tag == "input" and name and "disabled" not in attrs:
            self._input(name, attrs)
        elif tag == "button" and name:
            self.forms[-1]["names"].add(name)
        elif tag == "textarea" and name:
            self._textarea = (name, "")
        elif tag == "select" and name:
            self._select = (name, [], None, "multiple" in attrs)
        elif tag == "option" and self._select:
            name, chosen, first, multiple = self._select
            value = attrs.get("value", "")
            first = value if first is None else first
            self._select = (name, [*chosen, value] if "selected" in attrs else chosen, first, multiple)

    def _input(self, name, attrs):
        kind = attrs.get("type", "text")
        form = self.forms[-1]
        if kind == "file":
            form["files"].add(name)
        form["names"].add(name)
        if kind in {"submit", "file", "button"}:
            return
        if kind in {"checkbox", "radio"} and "checked" not in attrs:
            return
        default = "on" if kind in {"checkbox", "radio"} else ""
        form["fields"].setdefault(name, []).append(attrs.get("value", default))

    def handle_data(self, data):
        if self._textarea:
            self._textarea = (self._textarea[0], self._textarea[1] + data)

    def handle_endtag(self, tag):
        if tag == "textarea" and self._textarea:
            name, value = self._textarea
            self._set(name, [value.removeprefix("\n").replace("\r\n", "\n").replace("\n", "\r\n")])
            self._textarea = None
        elif tag == "select" and self._select:
            name, chosen, first, multiple = self._select
            self._set(name, chosen if chosen or multiple or first is None else [first])
            self._select = None

    def _set(self, name, values):
        self.forms[-1]["names"].add(name)
        if values:
            self.forms[-1]["fields"][name] = values


def read_form(response, having):
    """The first form of the page that has a field named `having`."""
    forms = _Reader(response.content.decode()).forms
    return next(form for form in forms if having in form["names"])


def post_form(client, url, having="csrfmiddlewaretoken", page=None, follow=False, **typed):
    """Opens `url` (or uses an open `page`), sets the `typed` fields, and posts the form.

    None unticks or empties a field. A field that the form does not have fails the test.
    """
    page = page or client.get(url)
    form = read_form(page, having if not typed else next(iter(typed)))
    data = dict(form["fields"])
    for name, value in typed.items():
        assert name in form["names"], f"{url} has no field {name}"
        if value is None:
            data.pop(name, None)
        else:
            data[name] = value
    return client.post(form["attrs"].get("action") or url, data, follow=follow)


def errors(response):
    """Every error that the page shows beside its fields or above them."""
    context = response.context
    form = context["adminform"].form if "adminform" in context else context["form"]
    found = {name: list(texts) for name, texts in form.errors.items()}
    for inline in context.get("inline_admin_formsets", ()):
        for number, each in enumerate(inline.formset.errors):
            found |= {f"{inline.formset.prefix}-{number}-{name}": list(texts) for name, texts in each.items()}
    return found


def messages(response):
    """The messages on the page."""
    return [str(message) for message in response.context["messages"]]
