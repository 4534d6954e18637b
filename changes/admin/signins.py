"""The read-only admin of django-axes' sign-in records, for superusers. Deleting an attempt unlocks its user."""

from axes import admin as axes_admin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from .readonly import ShownOnly

for model in (AccessAttempt, AccessFailureLog, AccessLog):
    admin.site.unregister(model)


@admin.register(AccessAttempt)
class AttemptAdmin(axes_admin.AccessAttemptAdmin):
    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AccessFailureLog)
class FailureAdmin(ShownOnly, axes_admin.AccessFailureLogAdmin):
    pass


@admin.register(AccessLog)
class SignInAdmin(ShownOnly, axes_admin.AccessLogAdmin):
    pass
