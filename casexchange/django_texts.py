"""Texts of libraries for which our German catalog has its own German: theirs lacks them, or is informal.

Nothing imports this module. It is here for `makemessages` to collect the texts.
"""

from django.utils.translation import gettext_noop

# Django
gettext_noop("Raw passwords are not stored, so there is no way to see the user’s password.")

# django-allauth addresses people as "du".
gettext_noop("Please type your current password.")
gettext_noop("You must type the same password each time.")
gettext_noop("Be patient, you are sending too many requests.")

# Django REST framework does so too, and its catalog comes before Django's, also for our pages.
gettext_noop("Enter a valid URL.")
gettext_noop("Enter a valid email address.")
