"""Stores the partners' answers in the external references. An unusable answer never fails a delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from integrations import statements
from integrations.models import Exchange, ExternalReference
from integrations.standing import notes as sentences

from .message import References, references_of
from .missed_news import note_news
from .results import Result

FIELDS = ("external_id", "external_url", "external_status")


def keep_answers(results: Sequence[Result], exchanges: Mapping[int, Exchange], now: datetime) -> dict[UUID, str]:
    """Fills the references from these answers. Returns a note per operation on what could not be used ("" if all was).

    The caller holds locks on `exchanges`, so that no Reject of the partner can come in meanwhile.
    """
    if not results:
        return {}
    references = references_of([result.operation for result in results])
    # With the operations whose answers it is made of: a partner may acknowledge several of one exchange at once.
    new: dict[tuple[int, int], list[UUID]] = {}
    heard_of, altered, notes = [], [], {}
    for result in results:
        operation = result.operation
        pair = (operation.change_id, operation.system_id)
        known = references.get(pair)
        before = _values(known)
        reference, notes[operation.pk] = _fill(result, exchanges[operation.exchange_id], known)
        if reference is None:
            continue
        reference.updated_at = now
        if known is None:
            references[pair], new[pair] = reference, [operation.pk]
        elif pair in new:
            new[pair].append(operation.pk)
        elif _values(reference) != before:
            altered.append(reference)
        else:
            heard_of.append(reference.pk)
    if heard_of:
        statements.write_heard_of(heard_of, now)
    if altered:
        ExternalReference.objects.bulk_update(altered, [*FIELDS, "updated_at"])
    refused = _insert({pair: references[pair] for pair in new})
    note_news({reference.change_id for reference in altered} | {pair[0] for pair in new if pair not in refused}, now)
    for pair in refused:
        taken = sentences.TAKEN % {"named": f"{references[pair].external_id!r:.100}"}
        for pk in new[pair]:
            notes[pk] = f"{notes[pk]} {taken}".strip()
    return notes


def _insert(new: References) -> list[tuple[int, int]]:
    """Inserts these references. Returns the keys of those whose external id is taken."""
    if not new:
        return []
    try:
        with transaction.atomic():
            ExternalReference.objects.bulk_create(new.values())
    except IntegrityError:
        if len(new) == 1:
            return [*new]
        return [pair for one in new for pair in _insert({one: new[one]})]
    return []


def _values(reference: ExternalReference | None) -> list[str]:
    return [getattr(reference, name) for name in FIELDS] if reference else []


def _external_id(said: Any) -> Any:
    return ExternalReference._meta.get_field("external_id").to_python(said)


def _fill(
    result: Result, exchange: Exchange, reference: ExternalReference | None
) -> tuple[ExternalReference | None, str]:
    """The reference, filled from the answer but not saved, or None if there is nothing to store; and a note on what
    could not be used ("" if all was)."""
    operation, answer = result.operation, result.answer
    if exchange.state.was_sent_before_reject(operation.sequence):
        return None, sentences.REJECTED_SINCE
    if reference is None:
        if not answer.get("external_id"):
            return None, sentences.NO_REFERENCE
        reference = ExternalReference(change_id=operation.change_id, system=operation.system)
    elif _external_id(answer.get("external_id")) not in (None, "", reference.external_id):
        named, known = f"{answer['external_id']!r:.100}", f"{reference.external_id!r:.100}"
        return None, sentences.NAMES_ANOTHER % {"named": named, "known": known}
    notes = []
    for name in FIELDS:
        if not answer.get(name):
            continue
        try:
            field: Any = ExternalReference._meta.get_field(name)
            setattr(reference, name, field.clean(answer[name], reference))
        except ValidationError as error:
            notes.append(f"{name} was not used: {' '.join(error.messages)}")
    return reference if reference.external_id else None, " ".join(notes)
