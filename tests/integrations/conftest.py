"""What the tests of the exchange share: ACME's own server, over real HTTP."""

from collections.abc import Iterator

import pytest

from integrations.models import ExternalSystem

from .partner import Partner


@pytest.fixture
def partner(acme: ExternalSystem) -> Iterator[Partner]:
    """ACME's scripted server, which is also its endpoint."""
    partner = Partner()
    acme.endpoint_url = partner.url
    acme.save()
    yield partner
    partner.close()
