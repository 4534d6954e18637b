"""The addresses below /changes/bulk/. Their names are in the namespace `changes`."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.Jobs.as_view(), name="bulk_jobs"),
    path("<uuid:pk>/", views.JobPage.as_view(), name="bulk_job"),
    path("<uuid:pk>/start/", views.StartJob.as_view(), name="bulk_start"),
    path("<uuid:pk>/stop/", views.StopJob.as_view(), name="bulk_stop"),
    path("<uuid:pk>/again/", views.ChooseAgain.as_view(), name="bulk_again"),
    path("<uuid:pk>/drop/", views.DropJob.as_view(), name="bulk_drop"),
    path("<slug:kind>/", views.Choose.as_view(), name="bulk"),
]
