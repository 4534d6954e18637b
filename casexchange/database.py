"""What a connection to PostgreSQL is told. Pure: the settings read it."""

from collections.abc import Mapping
from typing import Any

# Of libpq. A server that is gone without a word is noticed after half a minute, not after hours.
CONNECTION = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def postgresql_options(limits: Mapping[str, float], own: Mapping[str, Any]) -> dict[str, Any]:
    """The OPTIONS of the database: our limits in seconds, then those that stand in DATABASE_URL, which win."""
    options = {**CONNECTION, **own}
    # As settings of the session, with no query for them. Without limits none are sent: PgBouncer may refuse them.
    settings = [f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items() if seconds]
    if settings:
        settings.append("-c jit=off")  # compiling a query takes longer than any of ours does
    if text := " ".join([*settings, *filter(None, [str(own.get("options", ""))])]):
        options["options"] = text
    return options
