"""The views to add comments and attachments, and to show and download files."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import Error as DatabaseError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _

from changes.actor import signed_in
from changes.choices import Visibility
from changes.conflicts import is_unavailable
from changes.exceptions import RecipientsUnseen
from changes.files.content import PDF
from changes.models import Attachment, recipients
from changes.pages.change.views import CONFLICT, OneChange, OnPage
from changes.pages.htmx import asks_for_part
from changes.pages.once import once
from changes.pages.resume import typed_before
from changes.texts.file_names import disposition, sent_name
from changes.texts.isolation import apart

from . import attachment_previews
from .forms import MOST_FILES, CommentForm, attachment, content_digest, uploads

TOO_LARGE = 413
REFUSED = 422
# The error code for a file that would be sent to a partner that the page did not name.
UNSEEN = "recipients"

# --- Comments ---


class WithRecipients(OnPage):
    """An addition that may be sent to partners. The page named them."""

    def with_new_recipients(self, **forms: object) -> HttpResponse:
        """The page with the current recipients. Status 409: nothing was added."""
        del self.change
        return self.page(CONFLICT, **forms)


class CommentPage(OnPage):
    """A GET after signing in again shows the text typed before. Any other GET redirects to the change."""

    permission = "changes.add_comment"
    wants_preview = False

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.user.has_perm(self.permission) and (typed := typed_before(request)) is not None:
            form = CommentForm(initial=typed.dict(), wants_preview=self.wants_preview, is_shown_again=True)
            return self.page(comment_form=form)
        return super().get(request, *args, **kwargs)


class CommentAdd(WithRecipients, CommentPage):
    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        form = CommentForm(request.POST, is_shown_again=True)
        if not form.is_valid():
            return self.page(comment_form=form)
        comment = form.save(commit=False)
        comment.change, comment.author = self.change, request.user
        comment.shown_recipients = recipients.from_field(request.POST.get(recipients.FIELD))
        try:
            with once(request) as sent:
                if not sent.led_to:
                    comment.save()
                    sent.led_to = str(comment.pk)
        except RecipientsUnseen as unseen:
            said = _("Your comment was not added. %(why)s")
            form.add_error(None, said % {"why": str(unseen)})
            return self.with_new_recipients(comment_form=form)
        if sent.is_again:
            messages.success(request, _("Your comment was added. Submitted twice, saved once."))
        elif comment.visibility == Visibility.PRIVATE:
            messages.success(request, _("Your private comment was added."))
        else:
            messages.success(request, _("Your public comment was added."))
        return self.back(f"#comment-{sent.led_to}")


class OneComment(OneChange):
    """The page with a whole comment. The page of the change shows only the beginning of a long one."""

    def get(self, request: HttpRequest, number: str, pk: str) -> HttpResponse:
        comment = self.change.comments.select_related("author").filter(pk=pk).first()
        if comment is None:
            raise Http404(_("%(number)s has no such comment.") % {"number": self.change.number})
        context = {"change": self.change, "comment": comment, "is_whole": True}
        return render(request, "changes/comment.html", context)


class CommentPreview(CommentPage):
    """The preview of a comment. It stores nothing."""

    wants_preview = True

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        form = CommentForm(request.POST, wants_preview=True, is_shown_again=True)
        if asks_for_part(request):
            return render(request, "changes/includes/comment_preview.html", {"change": self.change, "form": form})
        return self.page(comment_form=form)


# --- Attachments ---


class AttachmentAdd(WithRecipients):
    """Attaches one or several files. Each is accepted or refused on its own, in its own transaction."""

    permission = "changes.add_attachment"
    takes_files = True

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        files = list(uploads(request.FILES))
        if asks_for_part(request):
            return self._one(files)
        if not files:
            messages.error(request, _("Choose a file first."))
        is_any_attached = is_any_refused = is_unseen = False
        for upload, forbidden in files[:MOST_FILES]:
            is_again = False
            try:
                if not (refusal := forbidden):
                    is_again, refusal = self._attach(upload)
            except DatabaseError as error:
                # Earlier files are attached already, so an error for the whole request would be wrong.
                if not is_any_attached or not is_unavailable(error):
                    raise
                refusal = ValidationError(_("The database is busy or cannot be reached. Attach it again in a moment."))
            is_any_attached = is_any_attached or refusal is None
            is_any_refused = is_any_refused or refusal is not None
            is_unseen = is_unseen or _is_unseen(refusal)
            self._tell(upload, refusal, is_again)
        for upload, forbidden in files[MOST_FILES:]:
            self._tell(upload, forbidden)
        if is_unseen:
            messages.warning(request, _("Files cannot be kept: choose them again."))
            return self.with_new_recipients()
        # The reason stands at the top of the page.
        return self.back("" if is_any_refused or not files else "#attachments")

    def _one(self, files: list[tuple[UploadedFile, ValidationError | None]]) -> HttpResponse:
        """The JSON answer to the page's script, which sends each file in its own request."""
        if len(files) != 1:
            return JsonResponse({"error": _("Choose a file first.")}, status=REFUSED)
        upload, forbidden = files[0]
        told_name = self.request.POST.get("file_name", "")
        is_again, refusal = (False, forbidden) if forbidden else self._attach(upload, told_name)
        if refusal:
            is_too_large = any(error.code == "too_large" for error in refusal.error_list)
            status = TOO_LARGE if is_too_large else CONFLICT if _is_unseen(refusal) else REFUSED
            return JsonResponse({"error": " ".join(refusal.messages)}, status=status)
        return JsonResponse({"error": ""}, status=200 if is_again else 201)

    def _attach(self, upload: UploadedFile, told_name: str = "") -> tuple[bool, ValidationError | None]:
        """Attaches the file, unless the same form brought it before. Returns whether it did so, and the refusal."""
        try:
            made = attachment(self.change, signed_in(self.request), upload, told_name)
        except ValidationError as error:
            return False, error
        made.shown_recipients = recipients.from_field(self.request.POST.get(recipients.FIELD))
        try:
            with once(self.request, made.file_name, content_digest(upload)) as sent:
                if not sent.led_to:
                    made.save()
                    sent.led_to = str(made.pk)
        except RecipientsUnseen as unseen:
            return False, ValidationError(str(unseen), code=UNSEEN)
        except BaseException:
            made.discard_file()
            raise
        return sent.is_again, None

    def _tell(self, upload: UploadedFile, refusal: ValidationError | None, is_again: bool = False) -> None:
        if refusal is None:
            said = _("%(name)s was attached. Submitted twice, saved once.") if is_again else _("%(name)s was attached.")
            messages.success(self.request, said % {"name": apart(sent_name(upload))})
            return
        said = _("%(name)s was not attached. %(why)s")
        messages.error(self.request, said % {"name": apart(sent_name(upload)), "why": " ".join(refusal.messages)})


def _is_unseen(refusal: ValidationError | None) -> bool:
    return refusal is not None and any(error.code == UNSEEN for error in refusal.error_list)


class OneAttachment(OneChange):
    """A view of the attachment that the address names."""

    def answer(self, attachment: Attachment, **how: Any) -> FileResponse:
        try:
            file = attachment.file.open("rb")
        except FileNotFoundError as error:
            said = _("The content of %(name)s is missing in the storage.")
            raise Http404(said % {"name": attachment.shown_name}) from error
        response = FileResponse(file, **how)
        kind = "attachment" if how.get("as_attachment") else "inline"
        response["Content-Disposition"] = disposition(kind, attachment.shown_name)
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def find(self) -> Attachment:
        found = self.change.attachments.filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise Http404(_("%(number)s has no such attachment.") % {"number": self.change.number})
        return found


class AttachmentDownload(OneAttachment):
    """The file, always as a download, so that a partner's file cannot run in our pages."""

    def get(self, request: HttpRequest, number: str, pk: str) -> HttpResponseBase:
        response = self.answer(self.find(), as_attachment=True, content_type="application/octet-stream")
        response["Cache-Control"] = "private, no-store"
        return response


class AttachmentPreview(OneAttachment):
    """The file to show in the browser. Raises Http404 unless it is an image or a PDF."""

    def get(self, request: HttpRequest, number: str, pk: str) -> HttpResponseBase:
        found = self.find()
        tag = f'"{found.sha256}"'
        if seen := get_conditional_response(request, etag=tag):
            return seen
        media_type = attachment_previews.media_type(found)
        if not media_type:
            raise Http404(_("%(name)s cannot be shown here. Download it.") % {"name": found.shown_name})
        response = self.answer(found, content_type=media_type)
        if media_type == PDF:
            # No `sandbox`, in which browsers do not show a PDF. Only our own pages may frame it.
            policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
            response["X-Frame-Options"] = "SAMEORIGIN"
        else:
            policy = "default-src 'none'; sandbox; frame-ancestors 'none'"
        response["Content-Security-Policy"] = policy
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        # The browser must ask each time, so that another user of the computer cannot see it. An ETag saves transfers.
        response["Cache-Control"] = "private, no-cache"
        response["ETag"] = tag
        return response
