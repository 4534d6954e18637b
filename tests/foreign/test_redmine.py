"""The preset for Redmine, against Redmine."""

from __future__ import annotations

import pytest

from .desk import OLD
from .partnership import CONTENT, FILE_NAME, Partnership
from .play import OPENED, given, goes_there_and_back, is_given_back, news_comes, signed

pytestmark = pytest.mark.xdist_group("foreign")


@pytest.fixture(scope="module")
def partnership(exchange, redmine):
    partnership = Partnership(exchange, redmine, "REDMINE")
    adapted = {
        "https://redmine.example.com": redmine.url,
        "account: 5": f"account: {redmine.account}",
        "cf_1:": f"cf_{redmine.number_field}:",
        "id: 1,": f"id: {redmine.number_field},",
    }
    partnership.connect("redmine.yaml", adapted, {"REDMINE_KEY": redmine.token})
    return partnership


def test_a_change_and_an_issue(partnership, redmine):
    number, issue = given(partnership, urgency="TotalLossOfService", planned_end="2026-12-01T23:30:15.123Z")
    partnership.until("the file is there", lambda: redmine.files(issue))
    assert redmine.files(issue) == [(FILE_NAME, CONTENT)]
    assert redmine.texts(issue) == [signed("alice")]
    fields = redmine.issue(issue)
    # In Berlin it is the next day.
    assert (fields["start_date"], fields["due_date"]) == (None, "2026-12-02")
    assert (fields["status"]["name"], fields["priority"]["name"]) == ("In Progress", "Normal")
    assert partnership.reference(number)["external_url"] == f"{redmine.url}/issues/{issue}"

    redmine.note(issue, "Only for us.")
    redmine.attach(issue, "plan.txt")
    redmine.remove_file(issue, "plan.txt")
    other, opened = news_comes(partnership, number, issue, "Feedback")
    goes_there_and_back(partnership, number, issue, "Resolved", "Rejected")
    redmine.set_status(opened, "Rejected")
    partnership.poll_anew()
    is_given_back(partnership, other)
    assert redmine.texts(opened) == []
    assert redmine.texts(issue) == [signed("alice"), "Only for us.", "Ja, morgen früh."]
    assert [body for author, body in partnership.comments(number) if author == partnership.author] == [
        "Attached there: plan.txt",
        "Ja, morgen früh.",
        "Status: Feedback",
    ]
    assert len(partnership.comments(number)) == 4
    assert (partnership.count(OLD), partnership.count(f"{OPENED} {partnership.system_id}")) == (0, 1)


def test_a_wrong_key_pauses_the_system_instead_of_finding_nothing(partnership, redmine):
    """Redmine answers 200 with an empty list to a wrong key, except for a private project."""
    partnership.write_secrets(REDMINE_KEY="wrong")
    assert partnership.poll_until_paused() == 401
    opened = redmine.open("While it was paused", "")
    partnership.write_secrets(REDMINE_KEY=redmine.token)
    partnership.poll()
    assert partnership.change_of(opened)["title"] == "While it was paused"
