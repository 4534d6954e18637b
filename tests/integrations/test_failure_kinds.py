"""The kind of each failed try is stored, for every kind that a transport can report."""

from integrations.choices import Failure
from integrations.standing import failures
from integrations.transports.base import NoAnswer
from tests.factories import ChangeFactory


def test_each_reason_why_no_answer_came_is_a_kind_of_failure_with_a_text_of_its_own(acme):
    operation = ChangeFactory(owning_group=acme.external_groups.get().group).outgoing_operations.get()
    operation.last_error = "what the transport said"
    told = {}
    for reason in NoAnswer:
        operation.last_failure = Failure(reason.value)
        told[reason] = failures.last_failure(operation)
    assert len({*told.values()}) == len(NoAnswer)
    assert [reason for reason, text in told.items() if "what the transport said" in text.lower()] == []
