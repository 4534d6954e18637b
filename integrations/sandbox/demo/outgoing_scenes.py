"""The scenes of `manage.py demo` in which the staff act and the partners receive."""

from __future__ import annotations

import hashlib
import uuid

from integrations.sandbox.local.simulation import until

from .stage import PATIENCE, Stage


def assign(stage: Stage) -> None:
    """Assign: a change is given to a partner"""
    number = stage.create("Replace the core switch")
    stage.edit(number, owning_group="ACME Networks")
    (message,) = stage.until_received("ACME", number, ["Assign"])
    body = message["body"]
    stage.expect(uuid.UUID(body["id"]).version == 7, "the operation's id is a UUIDv7")
    expected = {"old": "Network", "new": "ACME Networks"}
    stage.expect(body["changed_fields"]["owning_group"] == expected, "it says what changed")
    stage.expect(body["change"]["title"] == "Replace the core switch", "it carries the change")
    stage.until_referenced("ACME", number)
    reference = stage.read(number)["external_references"][0]
    stage.expect(reference["external_status"] == "Assigned", "the partner's status fills the reference")


def update(stage: Stage) -> None:
    """Update: comments and attachments follow, private ones stay"""
    number = stage.create("Renew the VPN certificate", "ACME Networks")
    stage.until_received("ACME", number, ["Assign"])
    stage.comment(number, "Between us: the quote is too high.", visibility="private")
    stage.comment(number, "Please confirm the date.")
    plan = b"1. Import\n2. Bind\n3. Test\n"
    stage.attach(number, "plan.txt", plan)
    stage.edit(number, title="Renew the certificate of the VPN gateway")
    stage.comment(number, "The title is clearer now.")
    messages = stage.until_received("ACME", number, ["Assign", "Update", "Update", "Update"])
    bodies = [message["body"]["comment"]["body"] for message in messages if message["body"]["comment"]]
    stage.expect(
        bodies == ["Please confirm the date.", "The title is clearer now."],
        "the private comment was not sent, nor an edit that neither reassigns nor withdraws",
    )
    attachment = messages[2]["body"]["attachment"]
    stage.expect(attachment["sha256"] == hashlib.sha256(plan).hexdigest(), "the attachment's checksum is right")
    path = attachment["url"].removeprefix(stage.alice.base_url)
    content = stage.good(stage.partners["ACME"].get(path), "Fetching the attachment")
    stage.expect(content == plan.decode(), "ACME can fetch the attachment with its token")
    stage.expect(stage.partners["BETA"].get(path).status == 404, "to BETA the attachment does not exist")


def accept(stage: Stage) -> None:
    """Accept: a change is taken back, or goes straight to another partner"""
    number = stage.create("Move the file servers", "ACME Networks")
    stage.until_received("ACME", number, ["Assign"])
    stage.edit(number, owning_group="ACME Field Service")
    stage.edit(number, owning_group="BETA Hosting")
    stage.until_received("ACME", number, ["Assign", "Accept"])
    stage.until_received("BETA", number, ["Assign"])
    stage.say("between the two groups of ACME, nothing was sent")
    stage.edit(number, owning_group=None)
    stage.until_received("BETA", number, ["Assign", "Accept"])
    stage.until_referenced("BETA", number)
    stage.comment(number, "It is ours again, but you may like to know.")
    stage.until_received("BETA", number, ["Assign", "Accept", "Update"])
    stage.until_received("ACME", number, ["Assign", "Accept", "Update"])
    stage.say("the references, and so the links, are still there")


def cancel(stage: Stage) -> None:
    """Cancel: a change is withdrawn, and no Update follows the Cancel"""
    number = stage.create("Extend the storage", "ACME Networks")
    stage.edit(number, owning_group="BETA Hosting")
    stage.until_referenced("ACME", number)
    stage.until_referenced("BETA", number)
    stage.edit(number, completion_code="Withdrawn")
    stage.until_received("ACME", number, ["Assign", "Accept", "Cancel"])
    stage.until_received("BETA", number, ["Assign", "Cancel"])
    stage.comment(number, "Sorry for the trouble.")
    stage.edit(number, completion_code=None)
    stage.edit(number, completion_code="Withdrawn")
    stage.comment(number, "Still withdrawn.")
    stage.edit(number, completion_code=None, owning_group="ACME Networks")
    stage.comment(number, "We do need it after all.")
    stage.until_received("ACME", number, ["Assign", "Accept", "Cancel", "Assign", "Update"])
    stage.until_received("BETA", number, ["Assign", "Cancel", "Accept"])
    stage.say("no Update and no second Cancel came in between; a new Assign starts the exchange anew")


def reassign_and_withdraw(stage: Stage) -> None:
    """One edit that reassigns and withdraws sends both, in order"""
    number = stage.create("Patch the shop", "BETA Hosting")
    stage.until_received("BETA", number, ["Assign"])
    stage.edit(number, owning_group="Network", completion_code="Withdrawn")
    stage.until_received("BETA", number, ["Assign", "Accept", "Cancel"])


def partner_down(stage: Stage) -> None:
    """A partner is down for a while: nothing is lost, and all comes in order"""
    stage.simulation.behave("BETA", mode="down")
    stage.say("BETA is down now")
    number = stage.create("Restore the mail archive", "BETA Hosting")
    for body in ("One of three.", "Two of three.", "Three of three."):
        stage.comment(number, body)
    other = stage.create("Meanwhile at the other partner", "ACME Networks")
    stage.until_received("ACME", other, ["Assign"])
    stage.expect(stage.simulation.taken("BETA", number) == [], "BETA has nothing, and holds up nobody else")
    stage.simulation.behave("BETA", mode="normal")
    stage.say("BETA is up again")
    messages = stage.until_received("BETA", number, ["Assign", "Update", "Update", "Update"])
    bodies = [message["body"]["comment"]["body"] for message in messages[1:]]
    stage.expect(bodies == ["One of three.", "Two of three.", "Three of three."], "the comments are in order")
    stage.until_referenced("BETA", number)


def lost_answer(stage: Stage) -> None:
    """A partner's answer gets lost: the operation comes again, with the same id"""
    stage.simulation.behave("GAMMA", mode="hang_up", times=1)
    stage.say("GAMMA hangs up on the next message, after it has taken it")
    number = stage.create("Correct the closing report", "GAMMA Applications")

    def arrivals() -> list[str]:
        return [message["id"] for message in stage.simulation.received("GAMMA") if message["change_number"] == number]

    until("GAMMA gets it again", lambda: len(arrivals()) == 2, PATIENCE)
    stage.expect(len({*arrivals()}) == 1, "it came twice, with one id")
    stage.until_received("GAMMA", number, ["Assign"])
    stage.until_referenced("GAMMA", number)


SCENES = (assign, update, accept, cancel, reassign_and_withdraw, partner_down, lost_answer)
