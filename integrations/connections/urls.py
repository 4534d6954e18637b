"""The address of the inboxes, under /api/v1/."""

from django.urls import path

from .inbox import InboxView

app_name = "connections"

urlpatterns = [path("inbox/<path:system_id>/", InboxView.as_view(), name="inbox")]
