"""Writes the demo changes and their history through the models, as the pages and the API do."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile

from changes.actor import acting
from changes.choices import ChangeType, Decision, Impact, Phase, Urgency, Visibility
from changes.models import Approval, Attachment, Change, Comment, SupportGroup

from .clock import at
from .lives import KEEPS, PASSES_ON, RETURNS, STOPS, Life

PUBLIC = {
    Phase.EVALUATE: ("Risk assessed with the service owner.", "No other change is planned at that time."),
    Phase.PLAN: ("The date suits the department.", "Waiting for the supplier to confirm the technician."),
    Phase.APPROVE_PLAN: ("Plan is complete, please decide by Thursday.", "Presented in the change advisory board."),
    Phase.DEPLOY: ("Work has begun.", "First half is done, no complaints so far.", "Users were informed by mail."),
    Phase.BACKOUT: ("Error rate is too high, going back.", "The test after the change failed, backing out."),
    Phase.VALIDATE: ("Done. Key users test until tomorrow noon.", "Monitoring shows nothing unusual."),
    Phase.REVIEW: ("Took an hour longer than planned.", "Documentation is updated."),
    Phase.CLOSE: ("Closed with the consent of the service owner.",),
    Phase.ABANDON: ("The department does not need it any more.", "Solved with the next release instead."),
}
PRIVATE = (
    "The quote is above budget, do not tell the supplier yet.",
    "Told the night shift to keep an eye on it.",
    "Same device as in the incident of last spring, see the problem record.",
)
HANDED_OVER = (
    "Please take over and confirm the date.",
    "Access to the site is arranged at the gate, ask for Mr Holm.",
    "The spare parts are in the store room, shelf 14.",
)
APPROVED = ("Fine by the board.", "Approved, mind the month-end closing.", "")
DENIED = "The backout plan does not say who decides. Please add it."


class Historian:
    """Writes changes as if `agent`, `manager` and the `requesters` had worked on them over time."""

    def __init__(self, agent: User, manager: User, requesters: list[Any]) -> None:
        self.agent, self.manager, self.requesters = agent, manager, requesters
        self.groups: Mapping[str, SupportGroup] = {group.name: group for group in SupportGroup.objects.all()}
        self.attachments: list[Attachment] = []
        self._chance = random.Random(11)

    def write(self, life: Life) -> Change:
        change = self._create(life)
        for number, step in enumerate(life.steps):
            if life.holding == STOPS and step.phase == Phase.ABANDON:
                self._give(change, life)
                self._move(change, step.phase, life.given_at + timedelta(minutes=40), life)
                return change
            self._prepare(change, step.phase, step.at, life)
            self._move(change, step.phase, step.at, life)
            if step.phase == Phase.APPROVE_PLAN and number + 1 < len(life.steps):
                following = life.steps[number + 1]
                self._decide(change, following.phase, following.at - timedelta(minutes=20))
        if life.holding:
            self._give(change, life)
        return change

    def _create(self, life: Life) -> Change:
        subject, chance = life.subject, self._chance
        is_urgent = subject.change_type == ChangeType.EMERGENCY
        change = Change(
            title=subject.title,
            description=subject.description,
            change_type=subject.change_type,
            category=subject.category if subject.category not in {"Routine", "Incident"} else "Operations",
            service=subject.service,
            requested_by=chance.choice(self.requesters),
            business_impact=chance.choices([*Impact], (3, 4, 3, 0) if is_urgent else (1, 3, 6, 4))[0],
            urgency=chance.choices([*Urgency], (4, 5, 1, 0) if is_urgent else (0, 1, 5, 6))[0],
        )
        # Some new changes still lack the fields that leaving Log requires, as if noted in a hurry.
        if life.steps or chance.random() < 0.5:
            change.reason, change.justification = subject.reason, subject.justification
        with at(life.created_at), acting(self.agent):
            change.save()
        return change

    def _prepare(self, change: Change, target: Phase, moment: datetime, life: Life) -> None:
        """Fills in the fields that a change needs before it moves to `target`."""
        subject = life.subject
        values: dict[str, Any] = {}
        if change.risk is None and target in (Phase.PLAN, Phase.APPROVE_PLAN):
            values |= {"risk": subject.risk, "owning_group": self.groups[subject.group]}
        if target in (Phase.APPROVE_PLAN, Phase.DEPLOY) and not change.implementation_plan:
            values |= {"implementation_plan": subject.plan, "backout_plan": subject.backout}
            hours = self._chance.randint(1, 5)
            values |= {"planned_start": life.deploys_at, "planned_end": life.deploys_at + timedelta(hours=hours)}
        if target in (Phase.REVIEW, Phase.CLOSE) and not change.completion_code:
            values["completion_code"] = life.completion_code
        if not values:
            return
        for name, value in values.items():
            setattr(change, name, value)
        with at(moment - timedelta(minutes=self._chance.randint(5, 30))), acting(self.agent):
            change.save()

    def _move(self, change: Change, target: Phase, moment: datetime, life: Life) -> None:
        with at(moment), acting(self.manager if target == Phase.ABANDON else self.agent):
            if target == Phase.ABANDON:
                change.completion_code = life.completion_code
            change.move_to(target)
            change.save()
        self._remark(change, target, moment + timedelta(minutes=4))
        if target == Phase.PLAN and self._chance.random() < 0.25:
            self._attach(change, "runbook.txt", f"{life.subject.title}\n\n{life.subject.plan}\n", moment)
        if target == Phase.VALIDATE and self._chance.random() < 0.3:
            self._attach(change, "test-report.csv", "check,result\nsign in,ok\nprint,ok\ncall,ok\n", moment)

    def _decide(self, change: Change, following: Phase, moment: datetime) -> None:
        """Saves the change manager's decision that fits the following phase."""
        if following not in (Phase.DEPLOY, Phase.PLAN):
            return
        is_approved = following == Phase.DEPLOY
        with at(moment), acting(self.manager):
            Approval(
                change=change,
                author=self.manager,
                decision=Decision.APPROVED if is_approved else Decision.DENIED,
                comment=self._chance.choice(APPROVED) if is_approved else DENIED,
            ).save()

    def _remark(self, change: Change, phase: Phase, moment: datetime) -> None:
        if self._chance.random() < 0.45:
            self._comment(change, self._chance.choice(PUBLIC[phase]), moment)
        if self._chance.random() < 0.06:
            self._comment(change, self._chance.choice(PRIVATE), moment + timedelta(minutes=9), Visibility.PRIVATE)

    def _comment(self, change: Change, body: str, moment: datetime, visibility: Visibility = Visibility.PUBLIC) -> None:
        with at(moment), acting(self.agent):
            Comment(change=change, author=self.agent, body=body, visibility=visibility).save()

    def _attach(self, change: Change, name: str, content: str, moment: datetime) -> None:
        attachment = Attachment(
            change=change,
            author=self.agent,
            file=ContentFile(content.encode(), name=name),
            file_name=name,
            content_type="text/csv" if name.endswith("csv") else "text/plain",
        )
        self.attachments.append(attachment)
        with at(moment + timedelta(minutes=2)), acting(self.agent):
            attachment.save()

    def _give(self, change: Change, life: Life) -> None:
        """Gives the change to its partner, then does what `life.holding` says."""
        moment = life.given_at
        self._own(change, life.subject.partner, moment)
        if self._chance.random() < 0.6 or life.holding != KEEPS:
            self._comment(change, self._chance.choice(HANDED_OVER), moment + timedelta(minutes=6))
        if life.holding == RETURNS:
            self._own(change, life.subject.group, moment + timedelta(minutes=50))
        if life.holding == PASSES_ON:
            other = "BETA Hosting" if life.subject.partner != "BETA Hosting" else "ACME Networks"
            self._own(change, other, moment + timedelta(minutes=50))

    def _own(self, change: Change, group: str, moment: datetime) -> None:
        with at(moment), acting(self.agent):
            change.owning_group = self.groups[group]
            change.save()
