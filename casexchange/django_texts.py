"""Texts of libraries for which our German catalog has its own German: theirs lacks them, or is informal.

Nothing imports this module. It is here for `makemessages` to collect the texts.
"""

from django.utils.translation import gettext_noop

# Django
gettext_noop("Raw passwords are not stored, so there is no way to see the user’s password.")
gettext_noop("After you’ve created a user, you’ll be able to edit more user options.")
gettext_noop("This action will <strong>enable</strong> password-based authentication for this user.")
gettext_noop("Enable password-based authentication")
gettext_noop("Enable password-based authentication for this user by setting a password.")
gettext_noop("Disable password-based authentication")
gettext_noop("Password-based authentication")
gettext_noop("Password-based authentication was disabled.")
gettext_noop("Enabled")
gettext_noop(
    "Whether the user will be able to authenticate using a password or not. If disabled, they may still be able to "
    "authenticate using other backends, such as Single Sign-On or LDAP."
)
gettext_noop("Conflicting form data submitted. Please try again.")
gettext_noop("Reset password")
gettext_noop("Set password")
gettext_noop("Set password: %s")

# django-axes
gettext_noop("Locked Out")
gettext_noop("Not set")
gettext_noop("Attempt Remaining")
gettext_noop("Access Attempt")
gettext_noop("Expires At")
gettext_noop("The time when access attempt expires and is no longer valid.")
gettext_noop("Session key hash (sha256)")
gettext_noop("access attempt expiration")
gettext_noop("access attempt expirations")

# django-allauth addresses people as "du".
gettext_noop("Please type your current password.")
gettext_noop("You must type the same password each time.")
gettext_noop("Be patient, you are sending too many requests.")

# Django REST framework does so too, and its catalog comes before Django's, also for our pages.
gettext_noop("Enter a valid URL.")
gettext_noop("Enter a valid email address.")
