from django.contrib.admin.apps import AdminConfig


class CaseExchangeAdminConfig(AdminConfig):
    default_site = "casexchange.admin.CaseExchangeAdminSite"
