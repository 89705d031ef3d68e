"""From the rules in the file to rules at work, or everything that is wrong with them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic_core import PydanticCustomError

from service.document.validation import validated
from service.durations import Duration
from service.faults import Path, Problem, Severity, did_you_mean
from service.rules.advice import advice
from service.rules.cel_words import KNOWN
from service.rules.expressions import Expression, condition, key, proofs
from service.rules.hours import Hours, read_hours
from service.rules.planning import Planning, Timing
from service.rules.reach import Reach
from service.rules.rule import Rule, Settle
from service.rules.shapes import RuleShape
from service.rules.step_reader import StepReader
from service.rules.steps import Step, Wait

Compiled: TypeAlias = tuple[Expression | None, list[Problem]]


_HOLIDAY = re.compile(r"\bPH\b")
_ANY_TIME = "24/7"
# What came before, the event and its zone are forgotten when `until` is asked.
_LASTING = KNOWN - {"before", "event", "date"}


@dataclass(slots=True)
class Compiler:
    """Makes rules, and collects what is wrong with them in `problems`."""

    reach: Reach
    hours: Mapping[str, Hours]
    problems: list[Problem] = field(default_factory=list)

    def rules(self, raws: Sequence[Any]) -> list[Rule]:
        """Every rule that is sound and switched on, in the order of the file."""
        found: dict[str, Rule | None] = {}
        for position, raw in enumerate(raws):
            path: Path = ("rules", position)
            shape = self._shape(raw, path)
            if shape is None:
                continue
            if shape.id in found:
                self._fault((*path, "id"), f"there are two rules {shape.id}")
            rule = self._rule(shape, path)
            found[shape.id] = rule if shape.enabled else None
        return [rule for rule in found.values() if rule is not None]

    def _shape(self, raw: Any, path: Path) -> RuleShape | None:
        """The rule's shape; where parts of it are wrong the others, so that they are checked."""
        shape, problems = validated(RuleShape, raw, path)
        self.problems += problems
        wrong = {problem.path[len(path)] for problem in problems if len(problem.path) > len(path)}
        if shape is not None or not isinstance(raw, dict) or "when" in wrong:
            return shape
        sound = {name: value for name, value in raw.items() if name not in wrong}
        stand_ins = {"id": f"unnamed-{path[-1]}", "then": [{"wait": "1s"}]}
        shape, _ = validated(RuleShape, {**stand_ins, **sound}, path)
        return shape

    def _rule(self, shape: RuleShape, path: Path) -> Rule:
        sure = shape.when.guarantees.union(*(proofs(text) for text in shape.conditions))
        conditions = self._all(condition, shape.conditions, (*path, "if"), sure)
        accounts = self._accounts(shape, path)
        rule = Rule(
            shape.id,
            shape.when,
            conditions,
            self._planning(shape, accounts, sure, path),
            settle=Settle(shape.settle.quiet, shape.settle.max) if shape.settle else None,
            until=self._until(shape, path),
            accounts=frozenset(accounts) if shape.accounts else None,
            own_writes=shape.own_writes,
        )
        self.problems += advice(rule, path)
        return rule

    def _all(
        self,
        compiled: Callable[[str, Path, frozenset[str]], Compiled],
        texts: Sequence[str],
        path: Path,
        known: frozenset[str],
    ) -> tuple[Expression, ...]:
        found = []
        for position, text in enumerate(texts):
            expression, problems = compiled(text, (*path, position), known)
            self.problems += problems
            if expression is not None:
                found.append(expression)
        return tuple(found)

    def _until(self, shape: RuleShape, path: Path) -> Expression | None:
        if shape.until is None:
            return None
        place = (*path, "until")
        until, problems = condition(shape.until, place, shape.when.guarantees, _LASTING)
        self.problems += problems
        return until

    def _accounts(self, shape: RuleShape, path: Path) -> tuple[str, ...]:
        known = self.reach.accounts
        for position, name in enumerate(shape.accounts or ()):
            if name not in known:
                place = (*path, "accounts", position)
                self._fault(place, f"there is no account {name}", did_you_mean(name, known))
        return shape.accounts or tuple(known)

    def _planning(
        self, shape: RuleShape, accounts: Sequence[str], sure: frozenset[str], path: Path
    ) -> Planning:
        reader = StepReader(self.reach, accounts)
        steps = reader.read(shape.then, (*path, "then"))
        self.problems += reader.problems
        timing = self._timing(shape, path)
        if timing.business is None:
            self._refuse_business(steps, path)
        once_per = self._all(key, shape.once_per, (*path, "once_per"), sure)
        return Planning(steps, once_per, timing, self.reach)

    def _timing(self, shape: RuleShape, path: Path) -> Timing:
        office = self.hours.get("office")
        if shape.hours is None:
            return Timing(expires=shape.expires, business=office)
        used = self.hours.get(shape.hours.use)
        if used is None:
            message = f"there are no hours {shape.hours.use}"
            hint = did_you_mean(shape.hours.use, self.hours)
            self._fault((*path, "hours", "use"), message, hint)
        return Timing(used, shape.hours.outside, shape.expires, office or used)

    def _refuse_business(self, steps: Iterable[Step], path: Path) -> None:
        for step in steps:
            for name, duration in _durations(step):
                if duration.is_business:
                    place = (*path, "then", step.number - 1, *name)
                    hint = "give hours: { office: … } at the top of the file"
                    self._fault(place, f"{duration.text} needs opening hours to count by", hint)

    def _fault(self, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(path, message, hint))


def compile_hours(
    texts: Mapping[str, str], country: str | None
) -> tuple[dict[str, Hours], list[Problem]]:
    """The named opening hours, and what is wrong with them."""
    hours: dict[str, Hours] = {}
    problems: list[Problem] = []
    for name, text in texts.items():
        if country is None and _HOLIDAY.search(text):
            problems.append(_no_country(name))
        try:
            hours[name] = read_hours(name, text, country)
        except PydanticCustomError as error:
            said = error.context or {}
            hours[name] = Hours(name, _ANY_TIME)
            problems.append(Problem(("hours", name), said["message"], said["hint"], said["offset"]))
    return hours, problems


def _no_country(name: str) -> Problem:
    message = "PH is never: it is not said whose public holidays"
    hint = "give holidays: { country: US }"
    return Problem(("hours", name), message, hint, severity=Severity.WARNING)


def _durations(step: Step) -> Iterable[tuple[Path, Duration]]:
    if isinstance(step, Wait):
        yield ("wait",), step.duration
        return
    for name, value in step.fields.items():
        if isinstance(value, Duration):
            yield (step.channel, name), value
