"""A person's own API tokens, on the pages of sign-in and security: what they have, and what would revoke them."""

from __future__ import annotations

from typing import Any

from django.template import Context
from knox.models import AuthToken

from integrations.tokens.life import what_ends
from integrations.tokens.naming import token_name


def listed(context: Context) -> dict[str, Any]:
    """The tokens of the person who is signed in."""
    tokens = AuthToken.objects.filter(user=context["request"].user).select_related("life").order_by("-created")
    rows = [
        {"name": token_name(token), "token": token, "life": getattr(token, "life", None), "ends": what_ends(token)}
        for token in tokens
    ]
    return {"tokens": rows}


def counted(context: Context) -> dict[str, Any]:
    """How many tokens `owner` has. The pages of the same account only."""
    return {"token_count": AuthToken.objects.filter(user=context["owner"]).count()}
