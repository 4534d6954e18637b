from __future__ import annotations

import pytest

from integrations.watch import figures, readiness
from integrations.watch.bounded import Look

from .prometheus import TOKEN


@pytest.fixture
def watched(transactional_db, settings, monkeypatch) -> None:
    """The figures may be read, and are never older than the call."""
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(figures, "_systems", Look(figures._look, 0))
    monkeypatch.setattr(readiness, "_database", Look(readiness._LookAtDatabase(), 0))
