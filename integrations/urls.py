from django.urls import path

from . import views

app_name = "exchange"

urlpatterns = [
    path("", views.ExchangeLog.as_view(), name="log"),
    path("<uuid:pk>/", views.OneOperation.as_view(), name="operation"),
    path("<uuid:pk>/retry/", views.Retry.as_view(), name="retry"),
    path("<uuid:pk>/skip/", views.Skip.as_view(), name="skip"),
]
