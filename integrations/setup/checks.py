"""System checks: a configuration that would weaken a promise is named at the start."""

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register
def lease_outlasts_a_try(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    if settings.DELIVERY_LEASE > settings.DELIVERY_TIMEOUT:
        return []
    return [
        Warning(
            f"DELIVERY_LEASE ({settings.DELIVERY_LEASE:g} s) should be longer than "
            f"DELIVERY_TIMEOUT ({settings.DELIVERY_TIMEOUT:g} s): a try that is still going is sent twice.",
            id="integrations.W001",
        )
    ]
