"""The compiler: from the rules in the file to executable rules, or all their errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

from service.diagnostics import Issue, Path, Severity, did_you_mean
from service.document.files import Folder
from service.document.validation import salvaged
from service.domain.durations import Duration
from service.domain.model import Kind
from service.domain.opening_hours import Hours
from service.rules.capabilities import Capabilities
from service.rules.compiler.combinations import (
    invalid_combinations,
    subjects,
    without_one_task,
)
from service.rules.compiler.contradictions import never
from service.rules.compiler.lints import Placed, advice, duplicate_messages, unannounced_moves
from service.rules.compiler.missing_fields import (
    MissingFields,
    check_once_per,
    guarantees,
    impossible,
    never_triggered,
    never_true,
)
from service.rules.compiler.rule_hours import RuleHoursReader
from service.rules.compiler.shapes import STEPS, RuleShape
from service.rules.compiler.steps import StepReader
from service.rules.groups import MOST, Grouping
from service.rules.language.expressions import Expression, condition, key, proofs
from service.rules.language.field_reads import by_noun
from service.rules.language.named_lists import NO_LISTS, NamedLists
from service.rules.language.variables import LASTING
from service.rules.mute_links import linked, muting_faults
from service.rules.mutes import MuteIndex, MuteRule
from service.rules.planning import Planning
from service.rules.rule import Rule, Settle
from service.rules.selection import Selection, selection
from service.rules.steps import Action, Pause, Step
from service.rules.timing import Timing
from service.rules.triggers import Trigger

Compiled: TypeAlias = tuple[Expression | None, list[Issue]]

# The most repetitions of one message, each with a fallback: no person wants to read more.
_MOST_MESSAGES = 250
_OFFICE_HOURS = "add hours: { office: … } at the top of the file"


@dataclass(slots=True)
class Compiler:
    """Compiles rules, and collects their errors in `problems`.

    `off` has the valid rules that are disabled.
    """

    reach: Capabilities
    hours: Mapping[str, Hours]
    folder: Folder
    lists: NamedLists = NO_LISTS
    problems: list[Issue] = field(default_factory=list)
    off: list[Rule] = field(default_factory=list)

    def rules(self, raws: Sequence[Any]) -> list[Rule]:
        """Every rule that is valid and enabled, in the order of the file."""
        found: list[Placed] = []
        self.problems += _duplicate_ids(raws)
        for position, raw in enumerate(raws):
            path: Path = ("rules", position)
            shape, problems = salvaged(RuleShape, raw, path, STEPS)
            self.problems += problems
            if shape is None:
                continue
            rule = self._rule(shape, raw, path)
            if shape.enabled:
                found.append((rule, path))
            else:
                self.off.append(rule)
        self.problems += duplicate_messages(found)
        if all(one.severity is Severity.WARNING for one in self.problems):
            # A rule that could not be read may be the one that is missing.
            self.problems += unannounced_moves(found)
        ids = {str(raw.get("id")) for raw in raws if isinstance(raw, dict)}
        self.problems += muting_faults(found, ids)
        return linked(rule for rule, _ in found)

    def _rule(self, shape: RuleShape, written: Mapping[str, Any], path: Path) -> Rule:
        """The rule; `written` is used where its shape could not be read."""
        known = () if "accounts" in self.reach.unread else self._named(shape)
        self.problems += invalid_combinations(shape, known, path)
        asked, told = subjects(shape)
        for_each = self._for_each(shape, path)
        chosen = frozenset[str]() if for_each is None else for_each.sure
        accounts = self._accounts(shape, path)
        gaps = MissingFields(self.reach, accounts)
        guaranteed = guarantees(shape.when, gaps)
        sure = guaranteed.union(chosen, *(proofs(text) for text in shape.conditions))
        asking = partial(condition, lists=self.lists)
        conditions = self._all(asking, shape.conditions, (*path, "if"), sure, asked)
        gaps = self._gaps(gaps, shape, for_each, conditions, path)
        planning = self._planning(shape, written, gaps, sure, told, path)
        rule = Rule(
            shape.id,
            self._trigger(shape, planning.timing.business, path),
            conditions,
            planning,
            settle=Settle(shape.settle.quiet, shape.settle.max) if shape.settle else None,
            until=self._until(shape, guaranteed, path),
            accounts=frozenset(accounts) if shape.accounts or shape.together else None,
            together=shape.together,
            own_writes=shape.own_writes,
            limit=shape.limit,
            lasts=shape.lasts,
            for_each=for_each,
            grouping=self._grouping(shape, sure, asked, path),
            mutings=self._mutings(shape, sure, asked, path),
        )
        self.problems += _parts_without_effect(gaps, rule, path)
        if shape.lasts is not None:
            self._check_lasts(shape, path)
        if rule.settle is not None and not rule.trigger.is_change:
            what = "a rule with signal:" if rule.trigger.signal is not None else "a time-based rule"
            message = f"settle cannot be used in {what}, because nothing changes"
            self._fault((*path, "settle"), message, "remove settle")
        self.problems += advice(rule, written, path, self.reach)
        return rule

    def _trigger(self, shape: RuleShape, business: Hours | None, path: Path) -> Trigger:
        """The trigger; one in business days counts them by these hours."""
        alarm = shape.when.alarm
        if alarm is None or not alarm.is_business:
            return shape.when
        if business is None and "hours" not in self.reach.unread:
            message = "business days need opening hours"
            self._fault((*path, "when"), message, _OFFICE_HOURS)
        return replace(shape.when, alarm=replace(alarm, hours=business))

    def _mutings(
        self, shape: RuleShape, sure: frozenset[str], asked: frozenset[str], path: Path
    ) -> MuteIndex:
        if shape.muted_by is None:
            return MuteIndex()
        if (why := without_one_task(shape)) is not None:
            message = f"muted_by needs exactly one task, and {why}"
            self._fault((*path, "muted_by"), message, "remove muted_by")
            return MuteIndex()
        same = self._all(key, shape.muted_by.same, (*path, "muted_by", "same"), sure, asked)
        return MuteIndex(MuteRule(shape.muted_by.rule, same))

    def _check_lasts(self, shape: RuleShape, path: Path) -> None:
        if shape.settle is not None:
            hint = (
                "use only one of them: for waits while a condition stays true, settle waits until"
                " changes stop"
            )
            self._fault((*path, "for"), "for and settle cannot be combined", hint)
        if shape.when.kinds == {Kind.DELETED}:
            message = "for has no effect with task.deleted"
            self._fault((*path, "for"), message, "remove for")

    def _all(
        self,
        compiled: Callable[[Any, Path, frozenset[str], frozenset[str]], Compiled],
        texts: Sequence[Any],
        path: Path,
        known: frozenset[str],
        subjects: frozenset[str],
    ) -> tuple[Expression, ...]:
        found = []
        for position, text in enumerate(texts):
            expression, problems = compiled(text, (*path, position), known, subjects)
            self.problems += problems
            if expression is not None:
                found.append(expression)
        return tuple(found)

    def _gaps(
        self,
        gaps: MissingFields,
        shape: RuleShape,
        for_each: Selection | None,
        conditions: Sequence[Expression],
        path: Path,
    ) -> MissingFields:
        """The missing fields of accounts in which the rule can match; warns about the others."""
        gaps, problems = never_triggered(gaps, shape.when, path)
        self.problems += problems
        if never(conditions, shape.when) is not None:
            return gaps  # that is told already
        asked = [] if for_each is None else [for_each.asked((*path, "for_each"))]
        asked += [one.asked((*path, "if", number)) for number, one in enumerate(conditions)]
        gaps, problems = impossible(gaps, asked)
        self.problems += problems
        return gaps

    def _until(self, shape: RuleShape, guaranteed: frozenset[str], path: Path) -> Expression | None:
        if shape.until is None:
            return None
        place = (*path, "until")
        until, problems = condition(shape.until, place, guaranteed, LASTING, self.lists)
        self.problems += problems
        return until

    def _for_each(self, shape: RuleShape, path: Path) -> Selection | None:
        if shape.for_each is None:
            return None
        chosen, problems = selection(shape.for_each, (*path, "for_each"), self.lists)
        self.problems += problems
        return chosen

    def _grouping(
        self, shape: RuleShape, sure: frozenset[str], asked: frozenset[str], path: Path
    ) -> Grouping | None:
        if shape.group is None:
            return None
        by, problems = key(shape.group.by, (*path, "group", "by"), sure, asked)
        self.problems += problems
        wait, most = shape.group.wait or timedelta(0), shape.group.max or MOST
        when_empty = shape.group.empty == "send"
        if by is not None and when_empty and "task" in by_noun([by.reads]):
            message = "empty: send needs one message for all tasks, but by depends on the task"
            self._fault((*path, "group", "by"), message, "write for example by: \"'all'\"")
        return None if by is None else Grouping(by, wait, most, when_empty)

    def _accounts(self, shape: RuleShape, path: Path) -> tuple[str, ...]:
        known = self.reach.accounts
        names = self._named(shape)
        for position, name in enumerate(names):
            if name not in known and "accounts" not in self.reach.unread:
                place = (*path, "accounts", position)
                self._fault(place, f"there is no account {name}", did_you_mean(name, known))
        return names

    def _named(self, shape: RuleShape) -> tuple[str, ...]:
        """The accounts that the rule is for."""
        names = tuple(str(name) for name in shape.accounts or ())
        return names or tuple(self.reach.accounts)

    def _planning(
        self,
        shape: RuleShape,
        written: Mapping[str, Any],
        gaps: MissingFields,
        sure: frozenset[str],
        told: frozenset[str],
        path: Path,
    ) -> Planning:
        accounts = self._named(shape)
        reader = StepReader(self.reach, accounts, gaps, told, self.folder)
        steps = reader.read(shape.then, shape.escalate, path)
        self.problems += reader.problems
        if sum(_messages(step) for step in steps) > _MOST_MESSAGES:
            message = f"for one event the rule would send more than {_MOST_MESSAGES} messages"
            self._fault((*path, "then"), message, "repetitions and on_fail steps count too")
        timing = self._timing(shape, guarantees(shape.when, gaps), path)
        is_unread = "hours" in self.reach.unread or written.get("hours") is not None
        if timing.business is None and not is_unread:
            self._refuse_business(steps, path)
        once_per = self._all(key, shape.once_per, (*path, "once_per"), sure, told)
        return Planning(
            steps,
            once_per,
            timing,
            self.reach,
            shadow=shape.enabled == "shadow",
            is_together=shape.together is not None,
        )

    def _timing(self, shape: RuleShape, guaranteed: frozenset[str], path: Path) -> Timing:
        office = self.hours.get("office")
        if shape.hours is None:
            return Timing(expires=shape.expires, business=office)
        is_unread = "hours" in self.reach.unread
        reader = RuleHoursReader(
            self.hours, without_one_task(shape), guaranteed, is_unread, self.lists
        )
        hours = reader.read(shape.hours, (*path, "hours"))
        self.problems += reader.problems
        used = next((one.hours for one in reversed(hours) if one.hours is not None), None)
        return Timing(hours, shape.expires, office or used)

    def _refuse_business(self, steps: Iterable[Step], path: Path) -> None:
        for step in steps:
            for name, duration in _durations(step):
                if duration.is_business:
                    place = (*path, *step.place, *name)
                    self._fault(place, f"{duration.text} needs opening hours", _OFFICE_HOURS)

    def _fault(self, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(Issue(path, message, hint))


def _parts_without_effect(gaps: MissingFields, rule: Rule, path: Path) -> Iterable[Issue]:
    """Warnings about other parts of a rule that have no effect because fields are always empty."""
    if rule.until is not None:
        until = rule.until.asked((*path, "until"))
        yield from never_true(gaps, until, "until is never true")
    for position, hours in enumerate(rule.planning.timing.hours):
        if hours.condition is not None:
            chosen = hours.condition.asked((*path, "hours", position, "if"))
            yield from never_true(gaps, chosen, "these hours are never used")
    once = [one.asked((*path, "once_per")) for one in rule.planning.once_per]
    yield from check_once_per(gaps, once, "only the first message is sent")
    if rule.grouping is not None:
        by = rule.grouping.by.asked((*path, "group", "by"))
        yield from check_once_per(gaps, [by], "all tasks are one group")
    if rule.mutings.by is not None:
        for one in rule.mutings.by.same:
            same = one.asked((*path, "muted_by", "same"))
            yield from check_once_per(gaps, [same], "no message is ever muted")


def _messages(step: Step) -> int:
    """How many deliveries a step can create."""
    if not isinstance(step, Action):
        return 0
    times = 1 if step.repeat is None else 1 + step.repeat.times
    return times * (1 + len(step.on_fail))


def _duplicate_ids(raws: Iterable[Any]) -> Iterable[Issue]:
    """Rules with the id of an earlier one."""
    known: set[str] = set()
    for position, raw in enumerate(raws):
        name = raw.get("id") if isinstance(raw, dict) else None
        if not isinstance(name, str):
            continue
        if name in known:
            yield Issue(("rules", position, "id"), f"two rules have the id {name}")
        known.add(name)


def _durations(step: Step) -> Iterable[tuple[Path, Duration]]:
    if isinstance(step, Pause):
        yield ("wait" if step.escalation is None else "after",), step.duration
        return
    if step.repeat is not None:
        yield ("repeat", "every"), step.repeat.every
    for position, instead in enumerate(step.on_fail):
        for place, duration in _durations(instead):
            yield ("on_fail", position, *place), duration
    for name, value in step.fields.items():
        if isinstance(value, Duration):
            yield (step.channel, name), value
