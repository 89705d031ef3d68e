"""What the rule editor shows: the text, its faults, the effects of a change, and the recipes."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from service.change_plan import Change, ChangePlan, RulePlan
from service.change_plan.wording import alarms, matching, pending
from service.config.working_copy import WorkingCopy
from service.diagnostics import Diagnostic, Severity
from service.store.views.task_search import FoundTask
from service.web import labels
from service.web.presenters.dry_runs import TriedTask
from service.web.presenters.rule_recipes import Recipe, RecipeField

MOST_FAULTS = 200
_CHANGES = {
    Change.ADDED: "new",
    Change.REMOVED: "removed",
    Change.CHANGED: "changed",
    Change.SAME: "the same",
}


@dataclass(frozen=True, slots=True)
class ShownFault:
    """An error or a warning. `is_here`: it is in the file that is edited."""

    file: str
    line: int
    column: int
    message: str
    hint: str
    source: str
    is_error: bool
    is_here: bool


@dataclass(frozen=True, slots=True)
class RuleEffects:
    """What a change does to one rule: its name, how it changes, and sentences."""

    rule: str
    change: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class EditorView:
    """The screen of the editor.

    - `faults`: None if the text was not checked
    - `effects`, `difference`: what saving would change; None if that was not asked for
    - `tasks`: those to choose from; `trial`: the result for the chosen one
    - `error`, `notice`: what went wrong, and what was done
    """

    copy: WorkingCopy
    names: Sequence[str]
    recipes: Sequence[tuple[Recipe, Sequence[RecipeField]]]
    faults: Sequence[ShownFault] | None = None
    effects: Sequence[RuleEffects] | None = None
    difference: Sequence[str] = ()
    is_ready: bool = False
    tasks: Sequence[FoundTask] | None = None
    trial: TriedTask | None = None
    query: str = ""
    error: str = ""
    notice: str = ""

    @property
    def has_errors(self) -> bool:
        """Whether the text cannot be used."""
        return any(one.is_error for one in self.faults or ())

    @property
    def summary(self) -> str:
        """How many errors and warnings there are."""
        return summary(self.faults or ())


def shown_faults(copy: WorkingCopy, faults: Sequence[Diagnostic]) -> Sequence[ShownFault]:
    """The first faults; those of the file that is edited come first."""
    found = [_fault(copy, one) for one in faults]
    return sorted(found, key=lambda one: not one.is_here)[:MOST_FAULTS]


def _fault(copy: WorkingCopy, one: Diagnostic) -> ShownFault:
    name = Path(one.file).name
    return ShownFault(
        file=name,
        line=one.line,
        column=one.column,
        message=one.message,
        hint=one.hint or "",
        source=one.source_line.strip(),
        is_error=one.severity is Severity.ERROR,
        is_here=name == copy.name,
    )


def summary(faults: Sequence[ShownFault]) -> str:
    """Such as `2 errors and 1 warning`."""
    errors = sum(one.is_error for one in faults)
    counts = ((errors, "error"), (len(faults) - errors, "warning"))
    return " and ".join(labels.many(*one) for one in counts if one[0]) or "No errors"


def faults_as_json(faults: Sequence[ShownFault]) -> dict[str, Any]:
    """The faults for the script of the page."""
    return {"summary": summary(faults), "faults": [asdict(one) for one in faults]}


def effects_of(plan: ChangePlan, zone: ZoneInfo) -> Sequence[RuleEffects]:
    """What a change does, rule by rule."""
    rules = [one for one in plan.rules if one.is_affected]
    found = [RuleEffects(one.rule, _CHANGES[one.change], tuple(_lines(one, zone))) for one in rules]
    return [*found, *_others(plan)]


def _lines(one: RulePlan, zone: ZoneInfo) -> Iterator[str]:
    yield from matching(one)
    yield from alarms(one)
    if one.next_ring is not None:
        yield f"next alarm: {labels.local(one.next_ring, zone)}"
    yield from pending(one)


def _others(plan: ChangePlan) -> Iterator[RuleEffects]:
    """What a change does to everything that is no rule."""
    if plan.settings:
        yield RuleEffects("Settings for all rules", "changed", ())
    yield from (RuleEffects(f"Account {name}", "new", ()) for name in plan.accounts_added)
    yield from (RuleEffects(f"Account {name}", "removed", ()) for name in plan.accounts_gone)
    for lane in plan.lanes_gone:
        yield RuleEffects(f"Channel {lane}", "removed", ("its pending messages are cancelled",))
