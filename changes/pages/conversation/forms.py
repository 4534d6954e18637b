"""The forms for new comments and attachments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.choices import Visibility
from changes.models import Attachment, Change, Comment
from changes.pages.fields import Text
from changes.texts.file_names import name_from_browser
from changes.validators import TEXT_MAX_LENGTH, is_blank, validate_attachment

from . import markdown

# The maximum number of files in one request.
MOST_FILES = 10


class CommentForm(forms.ModelForm):
    """The form for a new comment.

    `wants_preview` shows the rendered text beside the form. `is_shown_again` puts the focus on the text.
    """

    body = Text(
        label=gettext_lazy("Comment"),
        widget=forms.Textarea(attrs={"rows": 4, "data-shortcut": "c", "placeholder": gettext_lazy("Write a comment")}),
        error_messages={"required": gettext_lazy("Write something first.")},
        help_text=gettext_lazy("Markdown: **bold**, *italic*, `code`, - lists, > quotes, [links](https://…), tables."),
    )
    visibility = forms.ChoiceField(
        label=gettext_lazy("Visibility"),
        choices=[(Visibility.PUBLIC, gettext_lazy("Public")), (Visibility.PRIVATE, gettext_lazy("Private"))],
        widget=forms.RadioSelect,
        initial=Visibility.PUBLIC,
    )

    class Meta:
        model = Comment
        fields = ("body", "visibility")

    def __init__(self, *args: Any, wants_preview: bool = False, is_shown_again: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wants_preview = wants_preview
        if is_shown_again:
            self.fields["body"].widget.attrs["autofocus"] = True  # the form is far down the page

    def clean_body(self) -> str:
        return self.cleaned_data["body"].strip()

    @property
    def preview(self) -> SafeString | None:
        """The typed text as HTML; None without `wants_preview`, without a text, or if the text is too long."""
        typed = str(self["body"].value() or "").strip()
        is_shown = self.wants_preview and not is_blank(typed) and len(typed) <= TEXT_MAX_LENGTH
        return markdown.render(typed) if is_shown else None


class ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class AttachmentForm(forms.Form):
    """The form for one or several files. Each becomes an attachment, accepted or refused on its own."""

    file = forms.FileField(
        label=gettext_lazy("Files"),
        required=True,
        max_length=255,
        widget=ManyFiles,
        error_messages={
            "required": gettext_lazy("Choose a file first."),
            "empty": gettext_lazy("The file is empty: attach one with content."),
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["file"]
        field.help_text = _("At most %(size)s each.") % {"size": filesizeformat(settings.ATTACHMENT_MAX_BYTES)}
        field.widget.attrs["data-max-bytes"] = settings.ATTACHMENT_MAX_BYTES


def uploads(files: Any) -> Iterator[tuple[UploadedFile, ValidationError | None]]:
    """The files of a request's `FILES`, each with the error that forbids attaching it, or None."""
    field = AttachmentForm.base_fields["file"]
    for place, upload in enumerate(files.getlist("file")):
        if place >= MOST_FILES:  # refused, so not worth a scan
            yield upload, ValidationError(_("At most %(most)s files are taken at once.") % {"most": MOST_FILES})
            continue
        try:
            field.clean(upload)
            validate_attachment(upload)
        except ValidationError as error:
            yield upload, error
        else:
            yield upload, None


def content_digest(upload: UploadedFile) -> str:
    """A digest that tells the file's content from others."""
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    return digest.hexdigest()


def attachment(change: Change, author: User, upload: UploadedFile, told_name: str) -> Attachment:
    """The attachment for this upload, not saved yet. `told_name`: see `name_from_browser()`. Raises ValidationError."""
    made = Attachment(
        change=change,
        author=author,
        file=upload,
        file_name=name_from_browser(upload, told_name),
        content_type=(upload.content_type or "application/octet-stream")[:100],
    )
    try:
        made.clean_fields(exclude=["size", "sha256", "change", "file"])
    except ValidationError as error:
        raise ValidationError([each for found in error.error_dict.values() for each in found]) from error
    return made
