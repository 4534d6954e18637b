"""The pages for a person's preferences and for the keyboard shortcuts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from changes.models import Preferences
from changes.models.personal.preferences import Theme, time_zones
from changes.pages.access import StaffPage
from changes.pages.htmx import asks_for_part

from .preferences import language_of, remember, time_zone_of


class PreferencesForm(forms.ModelForm):
    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    class Meta:
        model = Preferences
        fields = ("language", "time_zone", "theme", "keyboard_shortcuts")
        labels = {"language": _("Language"), "theme": _("Theme"), "keyboard_shortcuts": _("Keyboard shortcuts")}
        help_texts = {
            "language": _(
                "Operations keep their English names: partners use the same. So do the values in a CSV file."
            ),
            "keyboard_shortcuts": _(
                "Single keys go to pages and rows. Turn them off if you dictate, or hit keys by chance."
            ),
        }

    def __init__(self, *args: Any, browser_zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["language"].choices = [("", _("Same as my browser")), *settings.LANGUAGES]
        fields["theme"].choices = [("", _("Same as my system")), *Theme.choices]
        automatic = _("Same as my browser (now %(zone)s)") % {"zone": browser_zone}
        fields["time_zone"].choices = [("", automatic), *((zone, zone) for zone in sorted(time_zones()))]


class EditPreferences(StaffPage):
    """The page for a person's own language, time zone, theme and keyboard shortcuts."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(self._form())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self._form(request.POST)
        if not form.is_valid():
            return self._page(form)
        remember(request, form.save())
        with translation.override(language_of(request)):
            messages.success(request, _("Your preferences were saved."))
        return redirect("changes:preferences")

    def _form(self, data: object = None) -> PreferencesForm:
        user: Any = self.request.user
        known = Preferences.objects.filter(user=user).first() or Preferences(user=user)
        return PreferencesForm(data, instance=known, browser_zone=self._browser_zone())

    def _browser_zone(self) -> str:
        zone = time_zone_of(self.request, is_chosen_asked=False)
        return str(zone) if zone else timezone.get_default_timezone_name()

    def _page(self, form: PreferencesForm) -> HttpResponse:
        return render(self.request, "changes/preferences.html", {"form": form, "now": timezone.now()})


class KeyboardMap(StaffPage):
    """The list of keyboard shortcuts, as a page and as the content of the dialog that `?` opens."""

    def get(self, request: HttpRequest) -> HttpResponse:
        name = "includes/keyboard_map" if asks_for_part(request) else "keyboard"
        return render(request, f"changes/{name}.html")
