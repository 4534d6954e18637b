"""The kinds of security events of the exchange."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from changes.security_log.kinds import EventKind, Topic

KINDS = (
    # --- Tokens. Their object is the account for which they are ---
    EventKind(
        "token_made",
        Topic.TOKEN,
        _("Token made"),
        _("%(actor)s made the API token %(name)s for %(object)s."),
        is_mailed=True,
    ),
    EventKind(
        "token_changed",
        Topic.TOKEN,
        _("Token changed"),
        _("%(actor)s changed the API token %(name)s of %(object)s."),
    ),
    EventKind(
        "token_revoked",
        Topic.TOKEN,
        _("Token revoked"),
        _("%(actor)s revoked the API token %(name)s of %(object)s."),
    ),
    EventKind(
        "token_expired",
        Topic.TOKEN,
        _("Token expired"),
        _("The API token %(name)s of %(object)s was used after its end, and removed."),
    ),
    EventKind(
        "adapter_signed_in",
        Topic.SIGN_IN,
        _("Adapter signed in"),
        _("%(actor)s signed in from %(address)s, as an SMAX adapter does."),
    ),
    # --- A person's data, by commands. Their object is the account ---
    EventKind(
        "person_exported",
        Topic.ACCOUNT,
        _("Person's data exported"),
        _("%(actor)s exported all that names %(object)s."),
    ),
    EventKind(
        "person_erased",
        Topic.ACCOUNT,
        _("Person erased"),
        _("%(actor)s erased a person, whose account is %(object)s now."),
    ),
    # --- A restored copy. These events have no object ---
    EventKind(
        "exchange_held",
        Topic.OPERATION,
        _("Exchange held"),
        _("%(actor)s marked this as a restored copy, which sends nothing."),
    ),
    EventKind(
        "exchange_resumed",
        Topic.OPERATION,
        _("Exchange resumed"),
        _("%(actor)s let the restored copy of %(of)s exchange with partners. Skipped before: %(skipped)s."),
    ),
    # --- Partners ---
    EventKind(
        "partner_account_made",
        Topic.PARTNER,
        _("Partner's account made"),
        _("%(actor)s made %(object)s the account of a partner's system."),
    ),
    EventKind(
        "partner_account_unmade",
        Topic.PARTNER,
        _("Partner's account unmade"),
        _("%(actor)s removed the mark of a partner's account from %(object)s."),
    ),
    EventKind(
        "system_created",
        Topic.PARTNER,
        _("System registered"),
        _("%(actor)s registered the system %(object)s."),
    ),
    EventKind("system_changed", Topic.PARTNER, _("System changed"), _("%(actor)s changed the system %(object)s.")),
    EventKind("system_deleted", Topic.PARTNER, _("System deleted"), _("%(actor)s deleted the system %(object)s.")),
    EventKind("system_enabled", Topic.PARTNER, _("System enabled"), _("%(actor)s enabled the system %(object)s.")),
    EventKind("system_disabled", Topic.PARTNER, _("System disabled"), _("%(actor)s disabled the system %(object)s.")),
    EventKind(
        "system_paused",
        Topic.PARTNER,
        _("System paused"),
        _("The system %(object)s was paused, because it answered %(status)s."),
    ),
    EventKind(
        "system_unusable",
        Topic.PARTNER,
        _("System paused"),
        _("The system %(object)s was paused, because its connection cannot be used."),
    ),
    EventKind("system_resumed", Topic.PARTNER, _("System resumed"), _("%(actor)s resumed the system %(object)s.")),
    EventKind(
        "authorized_user_set",
        Topic.PARTNER,
        _("Authorized user set"),
        _("%(actor)s made %(user)s the authorized user of %(object)s."),
        is_mailed=True,
    ),
    EventKind(
        "secret_shown",
        Topic.PARTNER,
        _("Secret shown"),
        _("%(actor)s was shown the new signing secret of %(object)s."),
    ),
    EventKind(
        "secrets_encrypted",
        Topic.PARTNER,
        _("Secrets encrypted again"),
        _("%(actor)s encrypted all stored secrets with the present key."),
    ),
    EventKind(
        "connection_activated",
        Topic.PARTNER,
        _("Connection activated"),
        _("%(actor)s activated revision %(number)s of the connection of %(object)s."),
    ),
    EventKind(
        "connection_tested",
        Topic.PARTNER,
        _("Connection tested"),
        _("%(actor)s ran the connection of %(object)s against a test record."),
    ),
    EventKind(
        "connection_secret_written",
        Topic.PARTNER,
        _("Secret of a connection written"),
        _("%(actor)s wrote secrets of the connection of %(object)s: %(names)s."),
    ),
    EventKind(
        "breaker_opened",
        Topic.PARTNER,
        _("Circuit breaker opened"),
        _("%(actor)s opened the circuit breaker of %(object)s."),
    ),
    EventKind(
        "breaker_closed",
        Topic.PARTNER,
        _("Circuit breaker closed"),
        _("%(actor)s closed the circuit breaker of %(object)s."),
    ),
    EventKind(
        "group_made_external",
        Topic.PARTNER,
        _("Group made external"),
        _("%(actor)s gave the group %(object)s to the system %(system)s."),
        is_mailed=True,
    ),
    EventKind(
        "group_made_internal",
        Topic.PARTNER,
        _("Group no longer external"),
        _("%(actor)s took the group %(object)s from the system %(system)s."),
    ),
    EventKind(
        "configuration_loaded",
        Topic.PARTNER,
        _("Configuration loaded"),
        _("%(actor)s loaded a configuration file. Changes: %(count)s."),
    ),
    EventKind(
        "operation_refused",
        Topic.REFUSAL,
        _("Partner's operation refused"),
        _("%(actor)s sent %(operation)s for %(object)s, which is not theirs."),
    ),
    # --- Retries and skips ---
    EventKind(
        "operation_retried",
        Topic.OPERATION,
        pgettext_lazy("security log", "Retried"),
        _("%(actor)s retried %(object)s."),
    ),
    EventKind(
        "retry_started",
        Topic.OPERATION,
        _("Retry of many started"),
        _("%(actor)s started to retry operations: %(count)s."),
    ),
    EventKind(
        "operations_skipped",
        Topic.OPERATION,
        pgettext_lazy("security log", "Skipped"),
        _("%(actor)s skipped operations to %(object)s: %(operations)s."),
    ),
)
