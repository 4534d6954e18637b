"""The REST API is English, whatever language its caller asks for."""

from changes.models import Change
from tests.factories import ChangeFactory

GERMAN = {"Accept-Language": "de"}


def test_what_is_refused_is_told_in_english(api, alice):
    change = ChangeFactory(title="Replace core switch", requested_by=alice, reason="", service="")
    address = f"/api/v1/changes/{change.number}/transitions/"
    response = api(alice).post(address, {"phase": "Evaluate"}, headers=GERMAN)
    assert response.status_code in (400, 409, 422)
    said = response.content.decode()
    assert "Reason must be set." in said
    assert "Service must be set." in said
    assert Change.objects.get().phase == "Log"


def test_so_is_what_is_invalid(api, alice):
    response = api(alice).post("/api/v1/changes/", {"title": ""}, headers=GERMAN)
    assert response.status_code == 400
    assert "This field may not be blank." in response.content.decode()
    assert not Change.objects.exists()
