"""Addresses below /api/v1/."""

from django.urls import path

from .operations import OperationView

app_name = "api"
urlpatterns = [path("operations/", OperationView.as_view(), name="operations")]
