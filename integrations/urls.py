from django.urls import path

from .pages import attention_views, status_views
from .pages.by_hand import views as by_hand_views
from .pages.connect import views as connect_views
from .pages.connection import views as connection_views
from .pages.log import views as log_views
from .pages.ping import views as ping_views
from .pages.test_operation import views as test_operation_views

app_name = "exchange"

urlpatterns = [
    path("", log_views.ExchangeLog.as_view(), name="log"),
    path("log.csv", log_views.LogExport.as_view(), name="log_export"),
    path("retry/", log_views.RetryWindow.as_view(), name="retry_window"),
    path("systems/new/", connect_views.ConnectPartner.as_view(), name="connect_partner"),
    path("systems/<str:system_id>/ping/", ping_views.Ping.as_view(), name="ping"),
    path("systems/<str:system_id>/connect/", connect_views.Connect.as_view(), name="connect"),
    path("connections/reference/", connection_views.ReferencePage.as_view(), name="connection_reference"),
    path("systems/<str:system_id>/connection/", connection_views.ConnectionPage.as_view(), name="connection"),
    path("systems/<str:system_id>/connection/try/", connection_views.TryPage.as_view(), name="connection_try"),
    path("systems/<str:system_id>/connection/replay/", connection_views.ReplayPage.as_view(), name="connection_replay"),
    path("systems/<str:system_id>/connection/poll/", connection_views.PollPage.as_view(), name="connection_poll"),
    path(
        "systems/<str:system_id>/connection/secrets/", connection_views.SecretsPage.as_view(), name="connection_secrets"
    ),
    path(
        "systems/<str:system_id>/connection/revisions/<int:number>/",
        connection_views.RevisionPage.as_view(),
        name="connection_revision",
    ),
    path("status/", status_views.ExchangeStatus.as_view(), name="status"),
    path("status/<str:system_id>/open/", status_views.OpenBreaker.as_view(), name="open_breaker"),
    path("status/<str:system_id>/close/", status_views.CloseBreaker.as_view(), name="close_breaker"),
    path("status/<str:system_id>/test/", test_operation_views.SendTest.as_view(), name="test"),
    path("status/<str:system_id>/test/<str:number>/", test_operation_views.TestResult.as_view(), name="test_result"),
    path("attention/<slug:kind>/<str:key>/", attention_views.Acknowledge.as_view(), name="acknowledge"),
    path("<uuid:pk>/", log_views.OneOperation.as_view(), name="operation"),
    path("<uuid:pk>/<slug:part>.json", log_views.OperationFile.as_view(), name="file"),
    path("<uuid:pk>/retry/", by_hand_views.Retry.as_view(), name="retry"),
    path("<uuid:pk>/skip/", by_hand_views.Skip.as_view(), name="skip"),
]
