"""Tags for comments and attachments, and for the hidden fields of forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import get_text_list
from django.utils.translation import pgettext

from changes.files.content import IMAGES, PDF, is_misnamed
from changes.models import Attachment, Change, Comment
from changes.models import recipients as recipients_named
from changes.pages import once as once_only
from changes.pages import resume
from changes.pages.change.page import ChangePage
from changes.pages.conversation import attachment_previews
from changes.pages.conversation import markdown as markdown_rendering
from changes.pages.conversation.forms import AttachmentForm, CommentForm

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown by a person or a partner as safe HTML."""
    return markdown_rendering.render(text)


@register.filter
def written(text: str, comment: Comment) -> SafeString:
    """The text of a comment, or its beginning, as HTML: rendered if the comment is Markdown, else as typed."""
    return markdown_rendering.render(text) if comment.is_markdown else markdown_rendering.as_typed(text)


@register.filter
def beginning(text: str) -> str:
    """The beginning of a long text; a short text whole."""
    return markdown_rendering.beginning(text)


@register.simple_tag
def comment_form_of(page: ChangePage) -> CommentForm:
    """The submitted form with its errors, or an empty one."""
    return page.forms.get("comment_form") or CommentForm()


@register.simple_tag
def attachment_form_of(page: ChangePage) -> AttachmentForm:
    return page.forms.get("attachment_form") or AttachmentForm()


class Content(NamedTuple):
    """What a page says of a file. `preview`: `image` or `pdf`; "" if the page cannot show it."""

    preview: str
    is_misnamed: bool


@register.simple_tag
def content_of(attachment: Attachment) -> Content:
    """Reads the beginning of the file."""
    media_type = attachment_previews.media_type(attachment)
    preview = "pdf" if media_type == PDF else "image" if media_type in IMAGES else ""
    return Content(preview, is_misnamed(attachment.file_name, media_type))


@register.filter
def listed(names: Sequence[str]) -> str:
    """The names as a list in words: `ACME`, `ACME and BETA`, `ACME, BETA and GAMMA`."""
    return get_text_list(list(names), pgettext("between the last two of a list", "and"))


@register.simple_tag
def recipients_of(change: Change) -> list[str]:
    """The partners that something public on this change is sent to now."""
    return recipients_named.shown_on(change)


@register.filter
def as_field(recipients: Sequence[str]) -> str:
    """The named recipients as the value of a form's hidden field."""
    return recipients_named.as_field(recipients)


@register.simple_tag
def once() -> SafeString:
    """A hidden field that lets a form act only once, even if it is sent twice; see once.py."""
    return format_html('<input type="hidden" name="{}" value="{}">', once_only.MARK, once_only.new_mark())


@register.simple_tag(takes_context=True)
def page_of(context: Context) -> SafeString:
    """A hidden field that names the person whose page the form is on; see resume.py."""
    request = context["request"]
    if not request.user.is_authenticated:
        return SafeString("")
    return format_html('<input type="hidden" name="{}" value="{}">', resume.OWNER, resume.owner_mark(request.user))
