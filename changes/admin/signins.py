"""The read-only admin of django-axes' sign-in records, for superusers. Deleting an attempt unlocks its user.

The records of django-allauth have no admin. They hold secrets, or belong to the person alone.
"""

# Their admin modules register the models, which are unregistered here.
from allauth.account import admin as _account  # noqa: F401
from allauth.account.models import EmailAddress
from allauth.mfa import admin as _mfa  # noqa: F401
from allauth.mfa.models import Authenticator
from allauth.socialaccount import admin as _socialaccount  # noqa: F401
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions import admin as _usersessions  # noqa: F401
from allauth.usersessions.models import UserSession
from axes import admin as axes_admin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .readonly import ShownOnly

for owned in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(owned)
for model in (AccessAttempt, AccessFailureLog, AccessLog):
    admin.site.unregister(model)


@admin.register(AccessAttempt)
class AttemptAdmin(axes_admin.AccessAttemptAdmin):
    @admin.action(description=_("Clean up expired attempts"))
    def cleanup_expired_attempts(self, request: HttpRequest, queryset: QuerySet[AccessAttempt]) -> None:
        """As in django-axes, with a message that can be translated."""
        count = self.handler.clean_expired_user_attempts(request=request)
        said = ngettext("%(count)s expired attempt is removed.", "%(count)s expired attempts are removed.", count)
        self.message_user(request, said % {"count": count})

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AccessFailureLog)
class FailureAdmin(ShownOnly, axes_admin.AccessFailureLogAdmin):
    pass


@admin.register(AccessLog)
class SignInAdmin(ShownOnly, axes_admin.AccessLogAdmin):
    pass
