"""Texts of Django's own pages that Django's German catalog lacks and ours has.

Nothing imports this module. It is here for `makemessages` to collect the texts.
"""

from django.utils.translation import gettext_noop

gettext_noop("Raw passwords are not stored, so there is no way to see the user’s password.")
