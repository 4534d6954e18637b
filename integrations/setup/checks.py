"""System checks: warn at the start of a configuration that would break a guarantee."""

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register
def lease_outlasts_a_try(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    if settings.DELIVERY_LEASE > settings.DELIVERY_TIMEOUT:
        return []
    return [
        Warning(
            f"DELIVERY_LEASE ({settings.DELIVERY_LEASE:g} s) should be longer than "
            f"DELIVERY_TIMEOUT ({settings.DELIVERY_TIMEOUT:g} s). Otherwise an operation may be sent again while its "
            "request is still under way.",
            id="integrations.W001",
        )
    ]
