"""The exchange of a generated change with a partner: operations in both directions, and their comments."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from changes.choices import CompletionCode, Phase, Visibility
from changes.models import Comment
from integrations.choices import DeliveryStatus, IncomingKind, IncomingStatus, Operation
from integrations.models import DeliveryAttempt, Exchange, ExternalReference, IncomingOperation, OutgoingOperation

from .cast import Partner
from .lives import Life
from .tables import Table
from .words import COMMENTS, ERRORS, STATUSES

# The share of open changes' exchanges whose last operations wait or were refused, and the share of refused among these.
_UNSETTLED, _REFUSED = 0.2, 0.3
_FAILED_INCOMING = 0.02
# Payloads are short: full ones would make up most of the database.
_PAYLOAD = '{"change":{"number":"%s"},"changed_fields":{},"comment":null,"attachment":null}'
_NO_HASH = "0" * 64


@dataclass
class Counters:
    """The next free keys of comments and exchanges, to which other rows refer."""

    comment: int
    exchange: int

    def next_comment(self) -> int:
        self.comment += 1
        return self.comment - 1

    def next_exchange(self) -> int:
        self.exchange += 1
        return self.exchange - 1


class Exchanges:
    """Generates exchanges one by one and adds their rows to `tables`."""

    def __init__(self, chance: Random, counters: Counters, now: datetime, all_settled: bool) -> None:
        self._chance, self._counters, self._now, self._all_settled = chance, counters, now, all_settled
        added = ("id", "change", "author", "author_name", "source_system", "created_at", "body", "visibility")
        self._comments = Table(Comment, *added)
        counted = ("assigned_sequence", "cancelled_sequence", "rejected_at_sequence")
        self._exchanges = Table(Exchange, "id", "change", "system", "last_sequence", *counted)
        reference = ("external_id", "external_url", "external_status", "updated_at")
        self._references = Table(ExternalReference, "change", "system", *reference)
        self._outgoing = Table(
            OutgoingOperation,
            *("id", "exchange", "change", "system", "sequence", "operation", "payload", "comment", "status", "is_next"),
            *("tries", "claim", "next_try_at", "last_error", "created_at", "settled_at"),
        )
        answered = ("duration", "http_status", "answer", "error")
        self._attempts = Table(DeliveryAttempt, "operation", "claim", "started_at", *answered)
        self._incoming = Table(
            IncomingOperation,
            *("id", "system", "user", "operation", "status", "idempotency_key", "body_sha256", "payload"),
            *("change", "http_status", "result", "error", "received_at"),
        )
        self.tables = (
            *(self._comments, self._exchanges, self._references),
            *(self._incoming, self._outgoing, self._attempts),
        )

    def note(self, life: Life, author: int, moment: datetime) -> None:
        """Adds a private comment, which is sent to nobody."""
        body, private = self._chance.choice(COMMENTS), Visibility.PRIVATE.value
        self._comments.add(self._counters.next_comment(), life.pk, author, "", None, moment, body, private)

    def add(self, life: Life, partner: Partner, author: int, count: int) -> None:
        """Adds an exchange with `count` outgoing operations, and incoming operations in reply to some of them."""
        pk = self._counters.next_exchange()
        kinds = [Operation.ASSIGN, *(Operation.UPDATE,) * (count - 1)]
        if count > 1 and life.fields["completion_code"] == CompletionCode.WITHDRAWN:
            kinds[-1] = Operation.CANCEL
        elif count > 2 and life.owning_group not in partner.groups:
            kinds[-1] = Operation.ACCEPT
        cancelled = count if kinds[-1] == Operation.CANCEL else None
        self._exchanges.add(pk, life.pk, partner.pk, count, 1, cancelled, None)
        first_unsettled = self._first_unsettled(life, count)
        for sequence, kind in enumerate(kinds, 1):
            moment = self._moment(life, sequence, count)
            comment = self._public_comment(life, author, moment) if kind == Operation.UPDATE else None
            payload = _PAYLOAD % f"CHG{life.pk:07}"
            kept = (self._uuid7(moment), pk, life.pk, partner.pk, sequence, kind.value, payload, comment)
            if sequence >= first_unsettled:
                self._add_unsettled(kept, moment, sequence == first_unsettled)
                continue
            self._add_delivered(kept, moment)
            if sequence == 1 or self._chance.random() < 0.15:
                self._add_incoming(life, partner, moment + timedelta(minutes=9), is_first=sequence == 1)
        if first_unsettled > 1:
            external = f"{partner.system_id}-{life.pk:08}"
            url = f"https://{partner.system_id.lower()}.invalid/records/{external}"
            status = self._chance.choice(STATUSES)
            self._references.add(life.pk, partner.pk, external, url, status, life.updated_at)

    def _first_unsettled(self, life: Life, count: int) -> int:
        if self._all_settled or not life.is_open or life.phase == Phase.LOG or self._chance.random() > _UNSETTLED:
            return count + 1
        return max(1, count - self._chance.randrange(3))

    def _moment(self, life: Life, sequence: int, count: int) -> datetime:
        return life.created_at + (life.updated_at - life.created_at) * (sequence / count)

    def _public_comment(self, life: Life, author: int, moment: datetime) -> int:
        pk, body = self._counters.next_comment(), self._chance.choice(COMMENTS)
        self._comments.add(pk, life.pk, author, "", None, moment, body, Visibility.PUBLIC.value)
        return pk

    def _add_delivered(self, kept: tuple[Any, ...], moment: datetime) -> None:
        settled = moment + timedelta(seconds=0.4)
        self._outgoing.add(*kept, DeliveryStatus.DELIVERED.value, False, 1, 1, moment, "", moment, settled)
        self._attempts.add(kept[0], 1, moment, 0.2, 200, "{}", "")

    def _add_unsettled(self, kept: tuple[Any, ...], moment: datetime, is_next: bool) -> None:
        """Adds an unsettled operation. The next one waits for a retry or was refused; the others wait behind it."""
        status, tries, error, due = DeliveryStatus.WAITING, 0, "", moment
        if is_next and self._chance.random() < _REFUSED:
            detail = self._chance.choice(ERRORS)
            status, tries, error = DeliveryStatus.REFUSED, 1, f"refused with 422: {detail}"
            self._attempts.add(kept[0], 1, moment, 0.2, 422, f'{{"detail": "{detail}"}}', "")
        elif is_next:
            tries, error = self._chance.randint(1, 6), "no answer within 15 s"
            due = self._now + timedelta(minutes=self._chance.randint(1, 240))
            for claim in range(1, tries + 1):
                self._attempts.add(kept[0], claim, moment + timedelta(minutes=claim), 15.0, None, "", error)
        self._outgoing.add(*kept, status.value, is_next, tries, tries, due, error, moment, None)

    def _add_incoming(self, life: Life, partner: Partner, moment: datetime, is_first: bool) -> None:
        pk = self._uuid7(moment)
        kind = IncomingKind.ASSIGN if is_first else IncomingKind.UPDATE
        payload = f'{{"operation":"{kind.value}","external_id":"{partner.system_id}-{life.pk:08}"}}'
        result: str | None = "{}"
        status, http_status, error = IncomingStatus.APPLIED, 200, ""
        if not is_first and self._chance.random() < _FAILED_INCOMING:
            status, http_status, error, result = IncomingStatus.FAILED, 409, self._chance.choice(ERRORS), None
        elif not is_first:
            comment, body = self._counters.next_comment(), self._chance.choice(COMMENTS)
            who = (partner.user, "Their service desk", partner.system_id)
            self._comments.add(comment, life.pk, *who, moment, body, Visibility.PUBLIC.value)
        came: tuple[Any, ...] = (pk, partner.pk, partner.user, kind.value, status.value, str(pk), _NO_HASH, payload)
        self._incoming.add(*came, life.pk, http_status, result, error, moment)

    def _uuid7(self, moment: datetime) -> uuid.UUID:
        """A UUIDv7 of this moment, as real operations have."""
        milliseconds = int(moment.timestamp() * 1000)
        chance = self._chance.getrandbits(74)
        return uuid.UUID(int=milliseconds << 80 | 7 << 76 | chance >> 62 << 64 | 2 << 62 | chance & (1 << 62) - 1)
