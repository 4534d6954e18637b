"""The table of all pages of the product. The addresses use the keys of everything.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.factories import PASSWORD


@dataclass(frozen=True)
class Look:
    """One page: the person who opens it, its address, and the action before it is checked.

    `answer`: the status after the action, if it differs.
    """

    name: str
    address: str
    person: str | None = "boss"
    status: int = 200
    act: Callable[[Page], None] | None = None
    answer: int = 200


def _save_without_a_title(page: Page) -> None:
    page.get_by_label("Title").evaluate("field => field.required = false")
    page.get_by_label("Title").fill("")
    page.locator("main form button[type=submit]").last.click()
    expect(page.locator("main [role=alert]").first).to_be_visible()


def _save(page: Page) -> None:
    with page.expect_response("**/preview/"):  # what would be sent: a save meanwhile would break the request off
        page.get_by_label("Category").fill("Netz und Verkabelung")
    page.locator("main form button[type=submit]").last.click()
    expect(page.locator("main [role=status]").filter(has_text="saved").first).to_be_visible()


def _save_after_somebody_else(page: Page) -> None:
    """Opens the same form in a second window, which saves first."""
    other = page.context.new_page()
    other.goto(page.url)
    wanted = "Von anderen geändert"
    title = other.get_by_label("Title")
    if title.input_value() == wanted:
        wanted += ", nochmals"
    title.fill(wanted)
    other.locator("main form button[type=submit]").last.click()
    other.wait_for_url(lambda url: not url.endswith("/edit/"))
    other.close()
    with page.expect_response("**/preview/"):  # what would be sent: a save meanwhile would break the request off
        page.get_by_label("Title").fill("Hier getippt")
    page.locator("main form button[type=submit]").last.click()
    expect(page.locator("main [role=alert]").first).to_be_visible()


def _save_a_faulty_document(page: Page) -> None:
    page.locator("#id_document").fill("base_url: nowhere\noutgoing:\n  Assign: {name: create}\n")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.locator(".fault").first).to_be_visible()


def _connect_nothing(page: Page) -> None:
    page.locator("form.connect-partner").evaluate("form => { form.noValidate = true; }")
    page.locator("main form button[type=submit]").click()
    expect(page.locator("main [role=alert]").first).to_be_visible()


def _begin_from_a_preset(page: Page) -> None:
    page.locator("[name=kind][value=preset]").check()
    page.locator("[name=preset]").select_option("redmine")
    page.locator("[name=system_id]").fill("THETA")
    page.locator("main form button[type=submit]").click()
    expect(page.locator("#adapt")).to_be_visible()


def _connect_and_ping(page: Page) -> None:
    """Each time another partner: the page is looked at once for each language."""
    number = page.evaluate("Math.floor(performance.timeOrigin)")
    page.locator("[name=system_id]").fill(f"IOTA-{number}")
    page.locator("[name=endpoint_url]").fill("http://127.0.0.1:9/operations")
    page.locator("[name=new_groups]").fill(f"IOTA Aufzüge {number}")
    page.locator("main form button[type=submit]").click()
    page.locator("#lines").wait_for(state="attached")
    _ping(page)


def _ping(page: Page) -> None:
    page.locator("form[action$='/ping/'] button, form[hx-post$='/ping/'] button").first.click()
    page.locator(".pinged").wait_for()


def _comment_nothing(page: Page) -> None:
    form = page.locator("form[action$='/comments/']")
    with page.expect_navigation():
        form.evaluate("form => { form.noValidate = true; HTMLFormElement.prototype.submit.call(form) }")


def _choose_two(page: Page) -> None:
    for number in range(2):
        page.locator("input[name=change]").nth(number).check()
    page.locator("button[formaction$='/bulk/comment/']").click()
    page.wait_for_url("**/changes/bulk/comment/**")


def _choose_two_to(action: str) -> Callable[[Page], None]:
    def choose(page: Page) -> None:
        for number in range(2):
            page.locator("input[name=change]").nth(number).check()
        page.locator(f"button[formaction$='/bulk/{action}/']").click()
        page.wait_for_url(f"**/changes/bulk/{action}/**")

    return choose


def _open_the_menu(page: Page) -> None:
    page.locator(".menu > summary").evaluate("summary => summary.click()")


def _acknowledge(page: Page) -> None:
    page.locator(".need-known button").first.click()
    page.locator("#acknowledged > summary").click()


def _preview_a_bulk_comment(page: Page) -> None:
    _choose_two(page)
    page.locator("main textarea").fill("Bitte bis Freitag abschließen.")
    page.locator("button[name=preview]").click()
    page.locator("form[action$='/start/']").wait_for()


def _start_a_bulk_comment(page: Page) -> None:
    _preview_a_bulk_comment(page)
    page.locator("form[action$='/start/'] button").click()
    page.locator("[role=progressbar], progress").first.wait_for()


def _sign_in_wrongly(page: Page) -> None:
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill("falsch")
    page.locator("button[type=submit]").click()
    expect(page.locator("[role=alert]").first).to_be_visible()


def _guess_until_locked(page: Page) -> None:
    """The guesses before are in the data: security/test_sign_in.py counts all of them."""
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("falsch")
    page.locator("main button[type=submit]").click()
    expect(page.get_by_role("heading", name="Locked for a while")).to_be_visible()


def _change_the_password_wrongly(page: Page) -> None:
    page.locator("[name=oldpassword]").fill("falsch")
    page.locator("[name=password1]").fill("kurz")
    page.locator("[name=password2]").fill("anders")
    page.locator("main button[type=submit]").click()
    expect(page.locator(".error").first).to_be_visible()


def _give_a_wrong_code(page: Page) -> None:
    page.locator("[name=code]").fill("falsch")
    page.locator("main form button[type=submit]").click()
    expect(page.locator(".error").first).to_be_visible()


def _make_codes(page: Page) -> None:
    page.locator("main form button[type=submit]").click()
    expect(page.locator(".codes")).to_be_visible()


def _go_to_the_second_step(page: Page) -> None:
    page.get_by_label("Username").fill("protected")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main form button[type=submit]").click()
    expect(page.locator("#use-key")).to_be_visible()


LOOKS = (
    Look("sign in", "/accounts/login/", person=None),
    Look("sign in, wrong", "/accounts/login/", person=None, act=_sign_in_wrongly),
    Look("forgot the password", "/accounts/password/reset/", person=None),
    Look("password link that is not valid", "/accounts/password/reset/1-x/", person=None),
    Look("new password saved", "/accounts/password/reset/done/", person=None),
    Look("password link sent", "/accounts/password/reset/sent/", person=None),
    Look("account not active", "/accounts/inactive/", person=None),
    Look("sign in, cancelled at the provider", "/accounts/oidc/cancelled/", person=None),
    Look("sign in, locked", "/accounts/login/", person=None, act=_guess_until_locked, answer=429),
    Look("sign-in and security", "/accounts/security/", person="alice"),
    Look("change the password", "/accounts/password/", person="alice"),
    Look("change the password, wrong", "/accounts/password/", person="alice", act=_change_the_password_wrongly),
    Look("sessions", "/accounts/sessions/", person="alice"),
    Look("confirm", "/accounts/confirm/?next=/", person="alice"),
    Look("set up an app", "/accounts/security/totp/activate/", person="alice"),
    Look("set up an app, wrong code", "/accounts/security/totp/activate/", person="alice", act=_give_a_wrong_code),
    Look("add a security key", "/accounts/security/webauthn/add/", person="alice"),
    Look("sign-in and security, with an app", "/accounts/security/", person="protected"),
    Look("remove the app", "/accounts/security/totp/deactivate/", person="protected"),
    Look("new recovery codes", "/accounts/security/recovery-codes/generate/", person="protected"),
    Look("recovery codes", "/accounts/security/recovery-codes/generate/", person="protected", act=_make_codes),
    Look("confirm by a code", "/accounts/security/reauthenticate/?next=/", person="protected"),
    Look("second step", "/accounts/login/", person=None, act=_go_to_the_second_step),
    Look("desk", "/"),
    Look("desk of an agent", "/", person="alice"),
    Look("desk, one acknowledged", "/", act=_acknowledge),
    Look("preferences", "/preferences/"),
    Look("keyboard", "/keyboard/"),
    Look("changes", "/changes/"),
    Look("changes, filtered", "/changes/?phase=Plan&priority=Low"),
    Look("changes, searched", "/changes/?q=Kernschalter"),
    Look("changes, none found", "/changes/?q=nirgendwo"),
    Look("changes, filter with an error", "/changes/?phase=Nowhere"),
    Look("changes held by a partner", "/changes/?partner=ACME&relation=held&open=true"),
    Look("changes, with the menu", "/changes/?step=deploy", act=_open_the_menu),
    Look("bulk, choose", "/changes/", act=_choose_two),
    Look("bulk, choose a group", "/changes/", act=_choose_two_to("reassign")),
    Look("bulk, approve", "/changes/", act=_choose_two_to("approve")),
    Look("bulk, preview", "/changes/?q=Kernschalter", act=_preview_a_bulk_comment),
    Look("bulk, under way", "/changes/?q=Kernschalter", act=_start_a_bulk_comment),
    Look("bulk jobs", "/changes/bulk/"),
    Look("new change", "/changes/new/"),
    Look("new change, with errors", "/changes/new/", act=_save_without_a_title),
    Look("change, fresh", "/changes/{fresh}/"),
    Look("change, stuck", "/changes/{stuck}/"),
    Look("change, to approve", "/changes/{approve}/"),
    Look("change, deployed by a partner", "/changes/{deploy}/"),
    Look("change, backed out", "/changes/{backout}/"),
    Look("change, of a paused partner", "/changes/{paused}/"),
    Look("change, emergency", "/changes/{emergency}/"),
    Look("change, closed", "/changes/{closed}/"),
    Look("change, abandoned", "/changes/{abandoned}/"),
    Look("one save of a change", "/changes/{busy}/history/1/"),
    Look("change, much discussed", "/changes/{busy}/", person="alice"),
    Look("change, empty comment", "/changes/{fresh}/", act=_comment_nothing),
    Look("abandon", "/changes/{approve}/abandon/"),
    Look("edit", "/changes/{stuck}/edit/"),
    Look("edit, of a plan to approve", "/changes/{approve}/edit/"),
    Look("edit, saved", "/changes/{emergency}/edit/", act=_save),
    Look("edit, with errors", "/changes/{stuck}/edit/", act=_save_without_a_title),
    Look("edit, conflict", "/changes/{edited}/edit/", act=_save_after_somebody_else, answer=409),
    Look("edit, of a closed change", "/changes/{closed}/edit/"),
    Look("calendar", "/calendar/"),
    Look("new change with its planned start", "/changes/new/?planned_start=2099-12-01T22:00"),
    Look("calendar, a day", "/calendar/?view=day"),
    Look("calendar, days to come by group", "/calendar/?date=2099-12-01&lanes=group&service=LAN"),
    Look("calendar, a month", "/calendar/?view=month"),
    Look("workflow", "/workflow/"),
    Look("exchange", "/exchange/"),
    Look("exchange, incoming", "/exchange/?direction=in"),
    Look("exchange, none found", "/exchange/?status=Skipped"),
    Look("retry a time window", "/exchange/retry/"),
    Look("operation, refused", "/exchange/{refused}/"),
    Look("operation, waiting", "/exchange/{waiting}/"),
    Look("operation, delivered", "/exchange/{delivered}/"),
    Look("operation, handed out", "/exchange/{handed_out}/"),
    Look("operation, in the feed", "/exchange/{in_the_feed}/"),
    Look("operation, applied", "/exchange/{applied}/"),
    Look("operation, failed", "/exchange/{failed}/"),
    Look("operation, skip", "/exchange/{refused}/skip/"),
    Look("status of the exchange", "/exchange/status/"),
    Look("open a circuit breaker", "/exchange/status/ACME/open/"),
    Look("send a test", "/exchange/status/ACME/test/"),
    Look("connect a partner", "/exchange/systems/new/"),
    Look("connect a partner, with errors", "/exchange/systems/new/", act=_connect_nothing),
    Look("connect a partner, a preset", "/exchange/systems/new/", act=_begin_from_a_preset),
    Look("connect a partner, connected", "/exchange/systems/new/", act=_connect_and_ping),
    Look("ping", "/exchange/systems/ACME/ping/", act=_ping),
    Look("ping, of a partner that asks", "/exchange/systems/EPSILON/ping/"),
    Look("connect, push", "/exchange/systems/ACME/connect/"),
    Look("connect, pull", "/exchange/systems/EPSILON/connect/"),
    Look("connect, SMAX", "/exchange/systems/ZETA/connect/"),
    Look("connection", "/exchange/systems/ETA/connection/"),
    Look("connection, reference", "/exchange/connections/reference/"),
    Look("connection, faults", "/exchange/systems/ETA/connection/", act=_save_a_faulty_document),
    Look("connection, try", "/exchange/systems/ETA/connection/try/?change=CHG0000001&operation=Assign"),
    Look("connection, replay", "/exchange/systems/ETA/connection/replay/"),
    Look("connection, revision", "/exchange/systems/ETA/connection/revisions/1/"),
    Look("security log", "/security-log/"),
    Look("security log, none found", "/security-log/?person=niemand"),
    Look("security log, filter with an error", "/security-log/?kind=nonsense"),
    Look("not found", "/changes/CHG9999999/", status=404),
    Look("not allowed", "/exchange/{refused}/skip/", person="alice", status=403),
    Look("no such method", "/accounts/logout/", status=405),
    Look("admin", "/admin/", person="root"),
    Look("admin, sign in", "/admin/login/", person=None),
    Look("admin, changes", "/admin/changes/change/", person="root"),
    Look("admin, add a change", "/admin/changes/change/add/", person="root"),
    Look("admin, change", "/admin/changes/change/{deploy_pk}/change/", person="root"),
    Look("admin, history of a change", "/admin/changes/change/{deploy_pk}/history/", person="root"),
    Look("admin, closed change", "/admin/changes/change/{closed_pk}/change/", person="root"),
    Look("admin, group", "/admin/changes/supportgroup/{acme_group}/change/", person="root"),
    Look("admin, systems", "/admin/integrations/externalsystem/", person="root"),
    Look("admin, add a system", "/admin/integrations/externalsystem/add/", person="root"),
    Look("admin, system", "/admin/integrations/externalsystem/{acme_system}/change/", person="root"),
    Look("admin, delete a system", "/admin/integrations/externalsystem/{acme_system}/delete/", person="root"),
    Look("admin, start a system", "/admin/integrations/externalsystem/{delta_system}/start/", person="root"),
    Look("admin, circuit breaker", "/admin/integrations/externalsystem/{acme_system}/breaker/", person="root"),
    Look("admin, outgoing operations", "/admin/integrations/outgoingoperation/", person="root"),
    Look("admin, outgoing operation", "/admin/integrations/outgoingoperation/{refused}/change/", person="root"),
    Look("admin, incoming operations", "/admin/integrations/incomingoperation/", person="root"),
    Look("admin, users", "/admin/auth/user/", person="root"),
    Look("admin, user", "/admin/auth/user/{alice_user}/change/", person="root"),
    Look("admin, role", "/admin/auth/group/1/change/", person="root"),
    Look("admin, tokens", "/admin/knox/authtoken/", person="root"),
    Look("admin, add a token", "/admin/knox/authtoken/add/", person="root"),
    Look("admin, token", "/admin/knox/authtoken/{token}/change/", person="root"),
)
