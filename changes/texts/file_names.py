"""The names of uploaded and downloaded files. A name is kept unaltered, or refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser
from django.http.response import HttpResponseBase
from django.utils.datastructures import ImmutableList
from django.utils.translation import gettext as _

# The name that Django gives a file while it is received. No stored file has this name.
_RECEIVED = "upload"
# The codes of the HTML standard for a quotation mark and a line break in a name.
_CODE = re.compile("%(22|0A|0D)")
# Characters that a quoted name cannot contain, or that browsers read in different ways.
_UNQUOTABLE = re.compile(r'[^\x20-\x7e]|["\\%]')


class NamedParts(MultiPartParser):
    """Parses a form with files, and keeps the name of each as sent: see `sent_name()`.

    Django's parser alters names: it decodes entities, and cuts folders and characters that are not printable.
    """

    def sanitize_file_name(self, file_name: str) -> str | None:
        self._sent_name = file_name
        return _RECEIVED

    def handle_file_complete(self, old_field_name: str, counters: list[int]) -> None:
        super().handle_file_complete(old_field_name, counters)
        for upload in self._files.getlist(str(old_field_name))[-1:]:  # type: ignore[attr-defined]
            if not hasattr(upload, "sent_name"):
                upload.sent_name = self._sent_name


class FileNamesMiddleware:
    """Makes `NamedParts` parse the forms of pages. It must come before any middleware that reads a form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.parse_file_upload = partial(_parse, request)  # type: ignore[method-assign]
        return self.get_response(request)


def _parse(request: Any, meta: Any, body: Any) -> Any:
    """`HttpRequest.parse_file_upload()`, but with `NamedParts`."""
    warning = "You cannot alter upload handlers after the upload has been processed."
    request.upload_handlers = ImmutableList(request.upload_handlers, warning=warning)
    return NamedParts(meta, body, request.upload_handlers, request.encoding).parse()


def sent_name(upload: UploadedFile) -> str:
    """The name of the file as the sender wrote it."""
    return getattr(upload, "sent_name", None) or upload.name or ""


def name_from_browser(upload: UploadedFile, told: str = "") -> str:
    """The name that the file has for the person who chose it in a form. `told`: that name, if our script sent it too.

    Browsers write `"` and line breaks in names as codes, and leave a percent sign as it is. So a name with such a code
    is not certain: without `told`, it raises ValidationError.
    """
    name = told or sent_name(upload)
    if not told and _CODE.search(name):
        message = _(
            "A browser may have altered the file name: rename the file, without quotation marks and without %(first)s, "
            "%(second)s and %(third)s."
        )
        values = {"first": "%22", "second": "%0A", "third": "%0D"}
        raise ValidationError(message, code="invalid_name", params=values)
    return name


def disposition(kind: str, name: str) -> str:
    """The `Content-Disposition` header of RFC 6266: the name in ASCII for old programs, and the exact name.

    `kind` is "attachment" or "inline".
    """
    letters = unicodedata.normalize("NFKD", name)
    plain = _UNQUOTABLE.sub("_", "".join(char for char in letters if not unicodedata.combining(char)))
    if plain == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
