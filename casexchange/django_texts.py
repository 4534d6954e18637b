"""Texts of Django's own pages that its German catalog lacks; ours has them. Nothing imports this: it is collected."""

from django.utils.translation import gettext_noop

gettext_noop("Raw passwords are not stored, so there is no way to see the user’s password.")
