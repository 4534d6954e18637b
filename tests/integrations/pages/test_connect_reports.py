"""Connect a partner: no report of an error has one of the secrets that it makes."""

import pytest
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables
from knox.models import AuthToken

from tests.pages import web
from tests.rows import each_row

from .test_connect_partner import NEW, PUSH

pytestmark = pytest.mark.django_db

# Where it breaks, of which kind of partner; the frame that has the secret in a variable then.
BROKEN = [
    ("push", "integrations.pages.connect.registering.record", "register", "fresh"),
    ("push", "integrations.pages.connect.views.sheet_page", "post", "fresh"),
    ("pull", "integrations.pages.connect.registering.making.log", "_token", "text"),
    ("pull", "knox.models.AuthToken.save", "make", "text"),
    ("smax", "django.contrib.auth.models.User.set_password", "_password", "password"),
    ("smax", "django.contrib.auth.models.User.set_password", "replace", "password"),
]


@each_row(("kind", "place", "frame", "name"), BROKEN)
def test_no_report_of_an_error_has_a_secret(ingrid, monkeypatch, kind, place, frame, name):
    client, form = web(ingrid), {**PUSH, "kind": kind}
    real = AuthToken.save

    @sensitive_variables()
    def broken(*args, **kwargs):
        if place.endswith("AuthToken.save") and "update_fields" not in kwargs:
            return real(*args, **kwargs)
        raise RuntimeError("Broken on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(place, broken)
        with pytest.raises(RuntimeError, match="on purpose") as caught:
            client.post(NEW, form)
    values = {each.frame.code.name: each.frame.f_locals for each in caught.traceback}
    found = values[frame][name]
    secrets = [found] if isinstance(found, str) else [found.token, found.signing_secret]
    # Without the frame of this test, which has them, too.
    report = ExceptionReporter(None, caught.type, caught.value, caught.tb.tb_next).get_traceback_html()
    assert "Broken on purpose" in report
    assert all(secrets)
    assert not any(secret in report for secret in secrets)
