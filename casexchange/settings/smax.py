"""The settings of the SMAX face, under /auth/ and /rest/."""

import re

from django.core.exceptions import ImproperlyConfigured

from casexchange.settings.environment import env, whole, zero_or_more

__all__ = ["SMAX_FEED_OVERLAP_SECONDS", "SMAX_LOGIN_IN_QUERY", "SMAX_TENANTS", "SMAX_TOKEN_SECONDS"]

# The names that adapters may use for {tenant} in /rest/{tenant}/.
SMAX_TENANTS = env.list("SMAX_TENANTS", default=["default"])
if not SMAX_TENANTS or not all(re.fullmatch(r"[\w.-]{1,64}", name) for name in SMAX_TENANTS):
    raise ImproperlyConfigured("SMAX_TENANTS: give names of letters, digits, - . _ only, such as default,123456789")
# Whether an adapter may sign in with its password in the address, as the oldest ones do.
SMAX_LOGIN_IN_QUERY = env.bool("SMAX_LOGIN_IN_QUERY", False)
SMAX_TOKEN_SECONDS = whole("SMAX_TOKEN_SECONDS", 3600, most=31_536_000)
# An adapter asks from the time of its last poll on, in whole seconds. So much earlier counts as asked for too.
SMAX_FEED_OVERLAP_SECONDS = zero_or_more("SMAX_FEED_OVERLAP_SECONDS", 5)
