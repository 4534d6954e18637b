"""The page of the workflow: each change type as a diagram and as a table with the conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changes import workflow
from changes.choices import ChangeType, Phase
from changes.pages.access import StaffPage
from changes.pages.change.page import roles_for

from . import diagram


@dataclass(frozen=True)
class Step:
    """One transition in words, with its conditions and the roles that may make it."""

    source: Phase
    target: Phase
    kind: str
    conditions: list[str]
    roles: str

    @property
    def kind_in_words(self) -> str:
        return {
            diagram.MAIN: _("Main path"),
            diagram.BACK: _("Back"),
            diagram.END: _("Ends there"),
            diagram.SIDE: _("Side path"),
        }[self.kind]


@dataclass(frozen=True)
class Kind:
    """One change type as a diagram and in words."""

    change_type: ChangeType
    diagram: diagram.Diagram
    steps: list[Step]

    @property
    def name(self) -> str:
        return str(self.change_type.label)

    @property
    def path(self) -> str:
        return ", ".join(str(phase.label) for phase in self.diagram.path)


def kind_of(change_type: ChangeType) -> Kind:
    drawn = diagram.Diagram(change_type)
    return Kind(change_type, drawn, [_step(drawn, source, target) for source, target in drawn.transitions])


def _step(drawn: diagram.Diagram, source: Phase, target: Phase) -> Step:
    conditions: tuple[Any, ...] = workflow.conditions(drawn.change_type, source, target)
    return Step(
        source=source,
        target=target,
        kind=drawn.kind(source, target),
        conditions=[str(condition.message) for condition in conditions],
        roles=roles_for(workflow.permission(target)),
    )


class WorkflowPage(StaffPage):
    """The page with all change types, or with the one in `?type=`."""

    def get(self, request: HttpRequest) -> HttpResponse:
        wanted = request.GET.get("type", "")
        shown = [kind for kind in ChangeType if kind.value == wanted] or list(ChangeType)
        context = {
            "types": [*ChangeType],
            "shown": wanted if wanted in ChangeType.values else "",
            "kinds": [kind_of(change_type) for change_type in shown],
        }
        return render(request, "changes/workflow.html", context)
