"""The administration in a real browser: its main path, both themes, a narrow screen, no barriers, nothing blocked."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.files.base import ContentFile
from django.utils import timezone
from knox.models import AuthToken
from playwright.sync_api import expect

from changes.choices import Phase
from changes.models import Attachment, Comment, SupportGroup
from integrations import outbox
from integrations.models import DeliveryAttempt, ExternalSystem, OutgoingOperation

from ..factories import ChangeFactory, UserFactory, change_in

AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def root(db):
    return UserFactory(username="root", is_superuser=True, is_staff=True)


@pytest.fixture
def addresses(root, alice, acme, beta):
    """The main pages, each with something on it."""
    networks = SupportGroup.objects.get(name="ACME Networks")
    change = change_in(Phase.DEPLOY, requested_by=alice)
    change.owning_group = networks
    change.save()
    Comment(change=change, author=alice, body="Line one\nline two").save()
    _attach(change, alice)
    closed = change_in(Phase.CLOSE)
    (operation,) = outbox.claim(1)
    attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1)
    attempt.http_status = 400
    outbox.settle([outbox.Result(operation, attempt, outbox.Outcome.REFUSED, "refused with 400")])
    beta.enabled = False
    beta.save()
    token, _ = AuthToken.objects.create(acme.authorized_user)
    exchange = "/admin/integrations"
    return [
        "/admin/",
        "/admin/changes/change/",
        "/admin/changes/change/add/",
        f"/admin/changes/change/{change.pk}/change/",
        f"/admin/changes/change/{change.pk}/history/",
        f"/admin/changes/change/{closed.pk}/change/",
        f"/admin/changes/supportgroup/{networks.pk}/change/",
        f"{exchange}/externalsystem/",
        f"{exchange}/externalsystem/add/",
        f"{exchange}/externalsystem/{acme.pk}/change/",
        f"{exchange}/externalsystem/{acme.pk}/delete/",
        f"{exchange}/externalsystem/{beta.pk}/start/",
        f"{exchange}/externalsystem/{acme.pk}/breaker/",
        f"{exchange}/outgoingoperation/",
        f"{exchange}/outgoingoperation/{operation.pk}/change/",
        f"{exchange}/incomingoperation/",
        "/admin/auth/user/",
        f"/admin/auth/user/{alice.pk}/change/",
        "/admin/auth/group/1/change/",
        "/admin/knox/authtoken/",
        "/admin/knox/authtoken/add/",
        f"/admin/knox/authtoken/{token.pk}/change/",
    ]


def _attach(change, author):
    Attachment(change=change, author=author, file=ContentFile(b"x", name="plan.pdf"), file_name="plan.pdf").save()


def test_no_page_has_a_barrier_is_too_wide_or_asks_for_what_is_forbidden(signed_in_page, root, addresses):
    page = signed_in_page(root)
    # The checker itself writes styles into the page, which the policy forbids, so it looks at pages without one.
    checked = signed_in_page(root, bypass_csp=True)
    faults = {}
    for address in addresses:
        assert page.goto(address).status == 200, address
        page.set_viewport_size({"width": 375, "height": 800})
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 375:
            faults[address, "width"] = width
        for scheme, options in (("light", AXE), ("dark", {"runOnly": ["color-contrast", "link-in-text-block"]})):
            checked.emulate_media(color_scheme=scheme)
            checked.goto(address)
            for rule in Axe().run(checked, options=options).response["violations"]:
                faults[address, scheme, rule["id"]] = [node["html"][:200] for node in rule["nodes"]]
    assert faults == {}


def test_a_partner_is_registered_gets_a_change_is_disabled_and_taken_up_again(signed_in_page, ingrid, alice):
    UserFactory(username="gamma-integration")
    page = signed_in_page(ingrid)
    page.goto("/admin/")
    page.get_by_role("link", name="External systems").click()
    page.get_by_role("link", name="Add external system").click()
    page.get_by_label("System id").fill("GAMMA")
    page.get_by_label("Authorized user").select_option("gamma-integration")
    page.get_by_label("Endpoint URL").fill("https://gamma.example/operations")
    page.get_by_label("Generate a new secret").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="The new signing secret of GAMMA")).to_be_visible()
    assert page.locator("code").inner_text() == ExternalSystem.objects.get().signing_secret
    page.get_by_role("link", name="I have copied it: continue").click()

    page.goto("/admin/changes/supportgroup/add/")
    page.get_by_label("Name:", exact=True).fill("GAMMA Storage")
    page.locator("#id_external_group-0-system").select_option("GAMMA")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    page.goto(f"/admin/integrations/externalsystem/{ExternalSystem.objects.get().pk}/change/")
    page.get_by_label("Enabled").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    desk = signed_in_page(alice)
    change = ChangeFactory(requested_by=alice)
    desk.goto(f"/admin/changes/change/{change.pk}/change/")
    desk.get_by_label("Owning group").select_option("GAMMA Storage")
    desk.locator("#id_comments-0-body").fill("Please do")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("was changed successfully")).to_be_visible()

    page.goto(f"/admin/integrations/externalsystem/{ExternalSystem.objects.get().pk}/change/")
    page.get_by_label("Enabled").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("2 operations wait.")).to_be_visible()
    page.get_by_label("Reason for skipping").fill("Done by telephone")
    page.get_by_role("button", name="Skip 2 and enable").click()
    expect(page.get_by_text("skipped operations: 2")).to_be_visible()
    assert {row.skip_reason for row in OutgoingOperation.objects.all()} == {"Done by telephone"}
    assert ExternalSystem.objects.get().enabled
