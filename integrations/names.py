"""What the exchange's records and their fields are called, in the language of the page; see changes/models/names.py."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from changes.models.names import name

from .models import (
    DeliveryAttempt,
    DeliveryControl,
    Exchange,
    ExternalGroup,
    ExternalReference,
    ExternalSystem,
    IncomingOperation,
    OutgoingOperation,
)

_CHANGE, _SYSTEM, _OPERATION, _STATUS = _("change"), _("system"), _("operation"), _("status")


def name_all() -> None:
    """Names the models of the exchange; before the first form is made of one."""
    _name_partners()
    _name_operations()


def _name_partners() -> None:
    name(
        ExternalSystem,
        _("external system"),
        _("external systems"),
        description=_("description"),
        authorized_user=_("authorized user"),
        delivery=_("delivery"),
        signing_secret=_("signing secret"),
        previous_signing_secret=_("previous signing secret"),
        rate_limit=_("rate limit"),
        enabled=_("enabled"),
        paused_at=_("paused at"),
        pause_reason=_("pause reason"),
    )
    name(DeliveryControl, _("delivery control"), _("delivery controls"), system=_SYSTEM, breaker=_("circuit breaker"))
    name(ExternalGroup, _("external group"), _("external groups"), group=_("group"), system=_SYSTEM)
    name(
        ExternalReference,
        _("external reference"),
        _("external references"),
        change=_CHANGE,
        system=_SYSTEM,
        external_id=_("external id"),
        external_url=_("external url"),
        external_status=_("external status"),
    )
    name(
        Exchange,
        _("exchange"),
        _("exchanges"),
        change=_CHANGE,
        system=_SYSTEM,
        last_sequence=_("last sequence"),
        assigned_sequence=_("assigned sequence"),
        cancelled_sequence=_("cancelled sequence"),
        rejected_at_sequence=_("rejected at sequence"),
    )


def _name_operations() -> None:
    name(
        IncomingOperation,
        _("incoming operation"),
        _("incoming operations"),
        id=_("id"),
        system=_SYSTEM,
        user=_("user"),
        operation=_OPERATION,
        status=_STATUS,
        idempotency_key=_("idempotency key"),
        payload=_("payload"),
        origin_system_id=_("origin system id"),
        origin_operation_id=_("origin operation id"),
        change=_CHANGE,
        http_status=_("HTTP status"),
        result=_("result"),
        error=_("error"),
        received_at=_("received at"),
    )
    name(
        OutgoingOperation,
        _("outgoing operation"),
        _("outgoing operations"),
        id=_("id"),
        exchange=_("exchange"),
        change=_CHANGE,
        system=_SYSTEM,
        sequence=_("sequence"),
        operation=_OPERATION,
        payload=_("payload"),
        cause=_("cause"),
        comment=_("comment"),
        attachment=_("attachment"),
        status=_STATUS,
        tries=_("tries"),
        next_try_at=_("next try at"),
        last_error=_("last error"),
        created_at=_("created at"),
        settled_at=_("settled at"),
        skipped_by=_("skipped by"),
        skip_reason=_("skip reason"),
    )
    name(
        DeliveryAttempt,
        _("delivery attempt"),
        _("delivery attempts"),
        operation=_OPERATION,
        started_at=_("started at"),
        duration=_("duration"),
        http_status=_("HTTP status"),
        answer=_("answer"),
        error=_("error"),
        note=_("note"),
    )
