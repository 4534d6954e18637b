"""How pages and the log name an API token."""

from __future__ import annotations

from knox.models import AuthToken


def token_name(token: AuthToken) -> str:
    """The beginning of the token: enough for its holder to recognise it, too little to guess the rest."""
    return f"{token.token_key[:8]}…"
