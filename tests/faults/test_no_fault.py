"""The control test: without a fault, every operation is delivered exactly once."""

import pytest

pytestmark = pytest.mark.xdist_group("faults")


def test_without_a_fault_all_is_delivered_and_no_request_fails(exchange, load, nothing_is_lost):
    with load(at_least=25) as work:
        pass
    assert nothing_is_lost(work) > 50
    assert work.failures == []
