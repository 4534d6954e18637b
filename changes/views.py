"""The pages of the changes. What an address does is here; what a page shows, in pages.py and listing.py."""

from __future__ import annotations

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase

from .change_views import OneChange, OnPage
from .forms import AttachmentForm, CommentForm


class CommentAdd(OnPage):
    permission = "changes.add_comment"

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        form = CommentForm(request.POST)
        if not form.is_valid():
            return self.page(comment_form=form)
        comment = form.save(commit=False)
        comment.change, comment.author = self.change, request.user
        comment.save()
        messages.success(request, f"Your {comment.visibility} comment was added.")
        return self.back("#comments")


class AttachmentAdd(OnPage):
    permission = "changes.add_attachment"

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        form = AttachmentForm(request.POST, request.FILES)
        attachment = form.attachment(self.change, request.user) if form.is_valid() else None
        if attachment is None:
            return self.page(attachment_form=form)
        try:
            attachment.save()
        except BaseException:
            attachment.discard_file()
            raise
        messages.success(request, f"{attachment.file_name} was attached.")
        return self.back("#attachments")


class AttachmentDownload(OneChange):
    """The file, always as a download: what a partner sent must not run in our pages."""

    def get(self, request: HttpRequest, number: str, pk: str) -> HttpResponseBase:
        attachment = self.change.attachments.filter(pk=pk).first()
        if attachment is None:
            raise Http404(f"{number} has no such attachment.")
        try:
            file = attachment.file.open("rb")
        except FileNotFoundError as error:
            raise Http404(f"The content of {attachment.file_name} is missing in the storage.") from error
        response = FileResponse(
            file, as_attachment=True, filename=attachment.file_name, content_type="application/octet-stream"
        )
        response["X-Content-Type-Options"] = "nosniff"
        response["Cache-Control"] = "private, no-store"
        return response
