"""A person's preferences for the pages, and the filters that they saved."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from changes.texts.lines import LineField
from changes.validators import validate_text

USER = settings.AUTH_USER_MODEL


@cache
def time_zones() -> frozenset[str]:
    """The names in the time zone database, which is read from the disk once."""
    return frozenset(available_timezones())


def validate_time_zone(name: str) -> None:
    """Raises ValidationError unless the time zone database has this name."""
    if name not in time_zones():
        raise ValidationError(
            _("There is no time zone %(name)s: write one such as Europe/Berlin."), params={"name": name}
        )


class Theme(models.TextChoices):
    LIGHT = "light", pgettext_lazy("theme", "Light")
    DARK = "dark", pgettext_lazy("theme", "Dark")


class Preferences(models.Model):
    """Language, time zone, theme and shortcuts of one person's pages. Where one is empty, the browser decides."""

    user = models.OneToOneField(USER, on_delete=models.CASCADE, related_name="preferences")
    language = models.CharField(_("language"), max_length=10, blank=True, choices=settings.LANGUAGES)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, validators=[validate_time_zone])
    theme = models.CharField(_("theme"), max_length=5, blank=True, choices=Theme.choices)
    keyboard_shortcuts = models.BooleanField(_("keyboard shortcuts"), default=True)

    class Meta:
        verbose_name = verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return f"Preferences of {self.user_id}"


class SavedFilter(models.Model):
    """A named filter of the list of changes. `query` is the query string, without the `?`."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="saved_filters")
    name = LineField(_("name"), max_length=60, validators=[validate_text])
    query = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="saved_filter_once_per_name")]

    def __str__(self) -> str:
        return self.name
