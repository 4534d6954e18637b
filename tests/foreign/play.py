"""The same play for each desk: a change goes there and comes back, and news of there comes here, each once."""

from __future__ import annotations

from .partnership import CONTENT, FILE_NAME, Partnership

OPENED = "Neuer Schrank für Köln"
TITLE, BODY = 'Größe der "Kühlung" prüfen', "Bitte *bald*.\n\n- zwei Zeilen"


def given(partnership: Partnership, **fields: str) -> tuple[str, str]:
    """alice gives a change, comments on it and attaches a file. Returns its number, and the id of the desk's record."""
    desk = partnership.desk
    number = partnership.give(TITLE, **fields)
    partnership.comment(number, BODY)
    partnership.attach(number, FILE_NAME, CONTENT)
    (record,) = partnership.until("the record is there", lambda: desk.records_of(number))
    return number, record


def goes_there_and_back(partnership: Partnership, number: str, record: str, taken_back: str, withdrawn: str) -> None:
    """alice takes the change back, gives it again, and withdraws it."""
    desk = partnership.desk
    partnership.edit(number, owning_group="Network", title=TITLE + " (2)")
    partnership.until("it is taken back", lambda: desk.status(record) == taken_back)
    assert desk.title(record) == TITLE + " (2)"
    partnership.edit(number, owning_group=partnership.group)
    partnership.edit(number, completion_code="Withdrawn")
    partnership.until("it is withdrawn", lambda: desk.status(record) == withdrawn)
    partnership.until("its status is known here", lambda: partnership.reference(number)["external_status"] == withdrawn)


def news_comes(partnership: Partnership, number: str, record: str, status: str) -> tuple[str, str]:
    """Jane replies, sets a status, and opens a record. Returns the number of the change that it becomes, and its id."""
    desk = partnership.desk
    desk.reply(record, "Ja, morgen früh.")
    desk.set_status(record, status)
    opened = desk.open(f"{OPENED} {partnership.system_id}", "Er ist zu heiß.")
    if partnership.polls:
        partnership.poll()
    found = partnership.change_of(opened)
    assert (found["title"], found["description"]) == (f"{OPENED} {partnership.system_id}", "Er ist zu heiß.")
    assert found["phase"] == "Log"
    assert partnership.reference(number)["external_status"] == status
    assert (partnership.author, "Ja, morgen früh.") in partnership.comments(number)
    return found["number"], opened


def signed(name: str) -> str:
    return f"{name}:\n\n{BODY}"


def is_given_back(partnership: Partnership, number: str) -> None:
    """Jane has rejected the record of this change, and a poll has found that."""
    assert partnership.reference(number) is None
    assert "Change was rejected by the external fulfillment system" in [
        body for _, body in partnership.comments(number)
    ]
