"""The user of an API token, and the systems that the user speaks for."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from knox.models import AuthToken

from changes.models.prepared import prepared
from integrations.models import ExternalSystem

from .rows import moment, partly, read

# The permissions of a superuser are never asked for, and only staff have any use of theirs.
_CALLER = """
SELECT t.digest, t.user_id, t.expiry, held.id IS NOT NULL AS is_held,
    u.username, u.is_active, u.is_staff, u.is_superuser,
    l.token_id AS life_key, l.last_used_at AS life_used_at,
    CASE WHEN u.is_staff AND NOT u.is_superuser THEN (
        SELECT {joined}(c.app_label || '.' || p.codename, ' ')
        FROM auth_permission p
        JOIN django_content_type c ON c.id = p.content_type_id
        WHERE p.id IN (
            SELECT permission_id FROM auth_user_user_permissions WHERE user_id = u.id
            UNION SELECT g.permission_id FROM auth_group_permissions g
            JOIN auth_user_groups m ON m.group_id = g.group_id WHERE m.user_id = u.id
        )
    ) END AS permissions
FROM knox_authtoken t
JOIN auth_user u ON u.id = t.user_id
LEFT JOIN integrations_tokenlife l ON l.token_id = t.digest
LEFT JOIN changes_restoredcopy held ON TRUE
WHERE t.digest = %s
"""


def token_with_user(digest: str) -> AuthToken | None:
    """The token with its user, or None. It also has `life_key` and `life_used_at`: what was noted of its use;
    and `is_held`: whether this is a restored copy that waits.

    For staff, the user's permissions are loaded too, into Django's own cache.
    """
    sql = _CALLER.format(joined="string_agg" if connection.vendor == "postgresql" else "group_concat")
    with prepared():
        token: Any = next(iter(read(AuthToken, sql, [digest])), None)
    if token is None:
        return None
    token.life_used_at = moment(token.life_used_at)
    user: Any = partly(
        get_user_model(),
        id=token.user_id,
        is_superuser=bool(token.is_superuser),
        username=token.username,
        is_staff=bool(token.is_staff),
        is_active=bool(token.is_active),
    )
    if user.is_staff and not user.is_superuser:
        user._perm_cache = {*(token.permissions or "").split()}
    token.user = user
    return token


_PARTNER = """
SELECT t.digest, t.token_key, t.user_id, t.expiry, held.id IS NOT NULL AS is_held,
    u.username, u.is_active,
    l.token_id AS life_key, l.last_used_at AS life_used_at,
    s.id AS system_key, s.system_id AS system_id, s.delivery AS system_delivery, s.enabled AS system_enabled,
    s.sends_markdown AS system_sends_markdown, s.change_types AS system_change_types,
    s.settable_fields AS system_settable_fields, s.transitions AS system_transitions,
    s.relays_for AS system_relays_for
FROM knox_authtoken t
JOIN auth_user u ON u.id = t.user_id
LEFT JOIN integrations_tokenlife l ON l.token_id = t.digest
LEFT JOIN changes_restoredcopy held ON TRUE
LEFT JOIN integrations_externalsystem s ON s.authorized_user_id = u.id
WHERE t.digest = %s
"""


# The fields of a system that are stored as JSON, in the order of the model.
_LISTS = ("change_types", "settable_fields", "transitions", "relays_for")


def _decoded(text: str | None) -> Any:
    return text if text is None else json.loads(text)


def partner_of_token(digest: str) -> tuple[AuthToken | None, list[ExternalSystem]]:
    """The token as of `token_with_user`, and the systems whose authorized user that is; (None, []) if it is unknown."""
    with prepared():
        rows: list[Any] = read(AuthToken, _PARTNER, [digest])
    if not rows:
        return None, []
    token = rows[0]
    token.life_used_at = moment(token.life_used_at)
    token.user = partly(get_user_model(), id=token.user_id, username=token.username, is_active=bool(token.is_active))
    systems = []
    for row in rows:
        if row.system_key is not None:
            columns = {"id": row.system_key, "system_id": row.system_id, "authorized_user_id": token.user_id}
            system = partly(
                ExternalSystem,
                **columns,
                delivery=row.system_delivery,
                enabled=bool(row.system_enabled),
                sends_markdown=bool(row.system_sends_markdown),
                **{name: _decoded(getattr(row, f"system_{name}")) for name in _LISTS},
            )
            system.authorized_user = token.user
            systems.append(system)
    return token, systems
