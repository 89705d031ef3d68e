"""Builds rule tests from the file, or reports their problems."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from service.config.rule_tests import Expected, RuleTest, RuleTestStep, Values
from service.config.rule_tests.expectations import read_expected
from service.config.rule_tests.shapes import TrialShape, TrialStepShape
from service.config.rule_tests.silences import SilenceShape, silence_faults
from service.config.rule_tests.tasks import GivenShape, TaskShape, local
from service.diagnostics import Issue, Path, did_you_mean
from service.document.validation import Shape, salvaged
from service.domain.days import Calendar
from service.domain.operators.silences import Silence
from service.domain.system_actions import BUILT_IN

Form = TypeVar("Form", bound=Shape)

DELETED = "deleted"
_LONGEST = timedelta(days=3660)
# Suggestions from more names take too long if there are many errors.
_FEW = 1_000


@dataclass(slots=True)
class RuleTestReader:
    """Builds tests, and collects their problems in `problems`.

    - `rules`, `accounts`, `channels`: the names in the configuration
    - `switched_on`: the rules that a test is about if it names none
    - `zone`: the configuration's time zone
    - `calendars`: the calendar of each account
    - `place`: returns the place of a value, as file:line
    - `unread`: the parts of the configuration that could not be read; every name that a test uses
      from there is assumed to exist
    """

    rules: Collection[str]
    switched_on: Collection[str]
    accounts: Sequence[str]
    channels: Collection[str]
    zone: ZoneInfo
    calendars: Mapping[str, Calendar]
    place: Callable[[Path], str]
    unread: frozenset[str] = frozenset()
    problems: list[Issue] = field(default_factory=list)
    _usual: str = field(default="", init=False)
    _homes: dict[str, str] = field(default_factory=dict, init=False)

    def read(self, raws: Iterable[Any]) -> list[RuleTest]:
        """The tests, as far as they can be read; they can be run only if there are no problems."""
        found = (self._trial(raw, ("tests", i)) for i, raw in enumerate(raws))
        return [trial for trial in found if trial is not None]

    def _trial(self, raw: Any, path: Path) -> RuleTest | None:
        begun = len(self.problems)
        shape = self._shape(TrialShape, raw, path)
        if shape is None:
            return None
        for position, name in enumerate(shape.rules or ()):
            self._check("rule", name, self.rules, (*path, "rules", position))
        self._usual, self._homes = shape.account or next(iter(self.accounts), ""), {}
        given = self._given(shape.given, (*path, "given"))
        is_dated = self._are_read(begun, (*path, "start"), (*path, "steps"))
        return RuleTest(
            name=shape.name,
            place=self.place(path),
            start=local(shape.start, self.zone),
            account=self._account(shape, path),
            rules=frozenset(self.switched_on if shape.rules is None else shape.rules),
            given=given,
            steps=self._steps(shape, given, path, is_dated=is_dated),
            silences=self._silences(shape, (*path, "silences"), is_dated=is_dated),
        )

    def _account(self, shape: TrialShape, path: Path) -> str:
        if shape.account is not None:
            self._check("account", shape.account, self.accounts, (*path, "account"))
            return shape.account
        if not self.accounts and "accounts" not in self.unread:
            self._fault(path, "this test needs an account", "add accounts:")
        return next(iter(self.accounts), "")

    def _given(self, raws: Iterable[Any], path: Path) -> dict[str, Values]:
        given: dict[str, Values] = {}
        for position, raw in enumerate(raws):
            task = self._shape(GivenShape, raw, (*path, position))
            if task is None:
                continue
            if task.id in given:
                self._fault((*path, position, "id"), f"two tasks have the id {task.id}")
            given[task.id] = self._values(task.id, task, (*path, position))
        return given

    def _values(self, one: str, task: TaskShape, path: Path) -> Values:
        """The given fields; its days are those of its account."""
        account = self._home(one, task.account, (*path, "account"))
        return task.values(self.zone, self.calendars.get(account, Calendar(self.zone)))

    def _home(self, one: str, written: str | None, path: Path) -> str:
        """The account of a task, which stays the same."""
        if written is not None:
            self._check("account", written, self.accounts, path)
        home = self._homes.setdefault(one, written or self._usual)
        if written not in {None, home}:
            self._fault(path, f"{one} is a task of {home}, and stays there", "remove account")
        return home

    def _silences(self, shape: TrialShape, path: Path, *, is_dated: bool) -> list[Silence]:
        start = local(shape.start, self.zone)
        found = []
        for number, raw in enumerate(shape.silences, 1):
            place: Path = (*path, number - 1)
            begun = len(self.problems)
            written = self._shape(SilenceShape, raw, place)
            if written is None:
                continue
            silence = written.silence(number, start, self.zone)
            if is_dated and len(self.problems) == begun:
                self.problems += silence_faults(silence, written.scopes, place)
            if written.rule is not None:
                self._check("rule", written.rule, self.rules, (*place, "rule"))
            if written.account is not None:
                self._check("account", written.account, self.accounts, (*place, "account"))
            found.append(silence)
        return found

    def _steps(
        self, shape: TrialShape, given: Collection[str], path: Path, *, is_dated: bool
    ) -> list[RuleTestStep]:
        known, start = set(given), local(shape.start, self.zone)
        last = start
        steps = []
        for position, raw in enumerate(shape.steps):
            place: Path = (*path, "steps", position)
            begun = len(self.problems)
            step = self._step(raw, known, place)
            if step is not None:
                if is_dated and self._are_read(begun, (*place, "at")):
                    self._check_moment(start, last, step.at, (*place, "at"))
                last = max(last, step.at)
                steps.append(step)
        return steps

    def _step(self, raw: Any, known: set[str], path: Path) -> RuleTestStep | None:
        shape = self._shape(TrialStepShape, raw, path)
        if shape is None:
            return None
        changes = {
            one: self._change(one, change, known, (*path, "change", one))
            for one, change in shape.change.items()
        }
        for one in shape.signal:
            self._check("task", one, known, (*path, "signal", one), at_key=True)
        return RuleTestStep(
            place=self.place(path),
            at=local(shape.at, self.zone),
            changes=changes,
            signals=shape.signal,
            fails=self._ways(shape.fails, (*path, "fails")),
            expected=self._expected(shape.expect, (*path, "expect")),
        )

    def _ways(self, ways: Sequence[str], path: Path) -> Sequence[str]:
        known = {*self.channels, *BUILT_IN}
        for position, way in enumerate(ways):
            self._check("channel", way.partition(":")[0], known, (*path, position))
        return ways

    def _change(self, one: str, raw: Any, known: set[str], path: Path) -> Values | None:
        """The changes of a task; an unknown task is new from then on."""
        if raw == DELETED:
            self._check("task", one, known, path, at_key=True)
            known.discard(one)
            self._homes.pop(one, None)
            return None
        known.add(one)
        if not isinstance(raw, dict):
            self._fault(path, f"write what changes, such as {{ done: true }}, or {DELETED}")
            return {}
        task = self._shape(TaskShape, raw, path)
        return {} if task is None else self._values(one, task, path)

    def _expected(self, raws: Iterable[Any] | None, path: Path) -> list[Expected] | None:
        if raws is None:
            return None
        read = [read_expected(raw, (*path, i), self.zone) for i, raw in enumerate(raws)]
        self.problems += [problem for _, problems in read for problem in problems]
        return [expected for expected, _ in read if expected is not None]

    def _shape(self, shape: type[Form], raw: Any, path: Path) -> Form | None:
        made, problems = salvaged(shape, raw, path)
        self.problems += problems
        return made

    def _are_read(self, begun: int, *paths: Path) -> bool:
        """Whether these are valid: none of the problems found since `begun` is about them."""
        return not any(problem.path in paths for problem in self.problems[begun:])

    def _check_moment(self, start: datetime, last: datetime, at: datetime, path: Path) -> None:
        if at.timestamp() < last.timestamp():
            message = f"this is earlier than the previous step ({last:%Y-%m-%d %H:%M})"
            self._fault(path, message)
        elif at - start > _LONGEST:
            self._fault(path, "a test can cover at most ten years")

    def _check(
        self, noun: str, name: str, known: Collection[str], path: Path, *, at_key: bool = False
    ) -> None:
        if name not in known and f"{noun}s" not in self.unread:
            hint = did_you_mean(name, known) if len(known) <= _FEW else None
            self._fault(path, f"there is no {noun} {name}", hint, at_key=at_key)

    def _fault(
        self, path: Path, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        self.problems.append(Issue(path, message, hint, at_key=at_key))
