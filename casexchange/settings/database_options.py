"""Connection options for PostgreSQL. Pure."""

from collections.abc import Mapping
from typing import Any

# Options of libpq. A server that vanishes without closing the connection is noticed after half a minute, not after
# hours.
CONNECTION = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# For a replica the primary can step in, so a page waits less for it.
REPLICA_CONNECTION = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 3_000,
}


def postgresql_options(limits: Mapping[str, float], own: Mapping[str, Any]) -> dict[str, Any]:
    """The OPTIONS of the database. `limits` are in seconds, 0 for none. `own` are those in DATABASE_URL; they win."""
    options = {**CONNECTION, **own}
    # Sent as startup parameters, which costs no query. Without limits nothing is sent, since PgBouncer may refuse them.
    settings = [f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items() if seconds]
    if settings:
        settings.append("-c jit=off")  # JIT compilation takes longer than any of our queries
    if text := " ".join([*settings, *filter(None, [str(own.get("options", ""))])]):
        options["options"] = text
    return options
