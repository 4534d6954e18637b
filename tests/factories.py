"""Ready-made records for the tests: named people, partners, and a change that is ready for any transition."""

from datetime import timedelta
from functools import cache

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.utils import timezone
from factory.django import DjangoModelFactory

from changes.choices import ChangeType, CompletionCode, Decision, Phase, Role
from changes.models import Approval, Change, SupportGroup
from integrations.models import DeliveryControl, ExternalGroup, ExternalSystem, PartnerAccount

PASSWORD = "correct horse battery staple"
SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5"


@cache
def hashed_password() -> str:
    """The hash is computed once per process, since the real hasher is slow on purpose."""
    return make_password(PASSWORD)


class UserFactory(DjangoModelFactory):
    """A user. `roles=[Role.AGENT]` assigns roles, which makes the user a member of staff."""

    class Meta:
        model = get_user_model()
        django_get_or_create = ("username",)
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    password = factory.LazyFunction(hashed_password)

    @factory.post_generation
    def roles(self, create, extracted, **kwargs):
        """As if they had been given long ago: no signal is sent, so the security log does not tell it."""
        if extracted:
            given = Group.objects.filter(name__in=[Role(role).value for role in extracted])
            of_user = self.groups.through
            of_user.objects.bulk_create([of_user(user=self, group=group) for group in given], ignore_conflicts=True)
            get_user_model().objects.filter(pk=self.pk).update(is_staff=True)
            self.is_staff = True


class PartnerUserFactory(UserFactory):
    """The account of a partner."""

    @factory.post_generation
    def is_marked(self, create, extracted, **kwargs):
        PartnerAccount.objects.get_or_create(user=self)


class SupportGroupFactory(DjangoModelFactory):
    class Meta:
        model = SupportGroup
        django_get_or_create = ("name",)

    name = factory.Sequence(lambda n: f"Group {n}")


class ExternalSystemFactory(DjangoModelFactory):
    class Meta:
        model = ExternalSystem
        django_get_or_create = ("system_id",)
        skip_postgeneration_save = True

    system_id = factory.Sequence(lambda n: f"SYS{n}")
    authorized_user = factory.SubFactory(
        PartnerUserFactory,
        username=factory.LazyAttribute(lambda o: f"{o.factory_parent.system_id.lower()}-integration"),
    )
    endpoint_url = "http://127.0.0.1:9/operations"
    signing_secret = SECRET

    @factory.post_generation
    def has_taken_operations(self, create, extracted, **kwargs):
        """By default the system counts as one that has accepted an operation before."""
        if extracted is not False:
            DeliveryControl.objects.filter(system=self).update(first_delivered_at=timezone.now())


class ExternalGroupFactory(DjangoModelFactory):
    """`ExternalGroupFactory(group__name="ACME Networks", system__system_id="ACME")`."""

    class Meta:
        model = ExternalGroup
        django_get_or_create = ("group",)

    group = factory.SubFactory(SupportGroupFactory)
    system = factory.SubFactory(ExternalSystemFactory)


class ChangeFactory(DjangoModelFactory):
    """A change in Log. Every field that a transition needs is filled, except the completion code."""

    class Meta:
        model = Change

    title = "Replace core switch"
    description = "The core switch is out of support."
    reason = "End of support"
    justification = "No spare parts"
    category = "Network"
    service = "LAN"
    risk = "Low"
    requested_by = factory.SubFactory(UserFactory, username="alice")
    owning_group = factory.SubFactory(SupportGroupFactory, name="Network")
    implementation_plan = "Swap it at night."
    backout_plan = "Put the old one back."
    planned_start = factory.LazyFunction(lambda: timezone.now() + timedelta(days=1))
    planned_end = factory.LazyFunction(lambda: timezone.now() + timedelta(days=1, hours=2))


ROUTES = {
    ChangeType.NORMAL: [
        Phase.EVALUATE,
        Phase.PLAN,
        Phase.APPROVE_PLAN,
        Phase.DEPLOY,
        Phase.VALIDATE,
        Phase.REVIEW,
        Phase.CLOSE,
    ],
    ChangeType.STANDARD: [Phase.PLAN, Phase.DEPLOY, Phase.VALIDATE, Phase.CLOSE],
    ChangeType.EMERGENCY: [Phase.APPROVE_PLAN, Phase.DEPLOY, Phase.VALIDATE, Phase.REVIEW, Phase.CLOSE],
}


def change_in(phase: str, change_type: str = ChangeType.NORMAL, **fields) -> Change:
    """A change that reached `phase` by real transitions. Carol approves where an approval is needed."""
    change = ChangeFactory(change_type=change_type, **fields)
    for target in _route(ChangeType(change_type), Phase(phase)):
        if change.phase == Phase.APPROVE_PLAN and target == Phase.DEPLOY:
            carol = UserFactory(username="carol")
            Approval(change=change, author=carol, decision=Decision.APPROVED).save()
        if target == Phase.ABANDON:
            change.completion_code = CompletionCode.WITHDRAWN
        if target == Phase.CLOSE:
            change.completion_code = CompletionCode.SUCCESSFUL
        change.move_to(target)
        change.save()
    return change


def _route(change_type: ChangeType, phase: Phase) -> list[Phase]:
    path = ROUTES[change_type]
    if phase == Phase.LOG:
        return []
    if phase == Phase.ABANDON:
        return [Phase.ABANDON]
    if phase == Phase.BACKOUT or phase not in path:
        route = [*path[: path.index(Phase.DEPLOY) + 1], Phase.BACKOUT]
        return route if phase == Phase.BACKOUT else [*route, Phase.REVIEW]
    return path[: path.index(phase) + 1]
