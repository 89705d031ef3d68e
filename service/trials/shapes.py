"""What a rule test looks like in the file, and what is wrong with one."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from service.actions import WRITES
from service.document.validation import Shape, salvaged
from service.document.wording import kind_of
from service.faults import Path, Problem, did_you_mean, refused
from service.model import Task
from service.rules.vocabulary import names
from service.trials import Expected, Fields, Step, Trial
from service.trials.making import NotATask, check_fields

VERBS = ("notify", "updated", "cancelled", "skipped", "expired", "held", *sorted(WRITES))
_WORDS = ("contains", "subject")
_WHEN = "write it like 2026-03-06 16:30"


def _moment(value: Any) -> Any:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise refused(f"this is no date and time; {kind_of(value)}", _WHEN) from None


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class StepShape(Shape):
    """One moment of a test."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"at": "2000-01-01 00:00"}

    at: Moment
    change: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    signal: dict[str, str] = Field(default_factory=dict)
    expect: tuple[Any, ...] | None = None


class TrialShape(Shape):
    """One test; without `rules`, of all of them; without `account`, with tasks of the first."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"name": "unread", "start": "2000-01-01 00:00"}

    name: str
    start: Moment
    rules: tuple[str, ...] | None = None
    account: str | None = None
    given: tuple[dict[str, Any], ...] = ()
    steps: tuple[Any, ...] = Field(default=(), min_length=1)


@dataclass(slots=True)
class TrialReader:
    """Makes tests, and collects what is wrong with them in `problems`."""

    rules: Collection[str]
    accounts: Collection[str]
    zone: ZoneInfo
    problems: list[Problem] = field(default_factory=list)

    def read(self, raws: Collection[Any], places: Mapping[int, str]) -> list[Trial]:
        """Every test that is sound; `places` says where each stands, as file:line."""
        found = (self._trial(raw, ("tests", i), places.get(i, "")) for i, raw in enumerate(raws))
        return [trial for trial in found if trial is not None]

    def _trial(self, raw: Any, path: Path, place: str) -> Trial | None:
        shape, problems = salvaged(TrialShape, raw, path)
        self.problems += problems
        if shape is None:
            return None
        for position, name in enumerate(shape.rules or ()):
            self._known("rule", name, self.rules, (*path, "rules", position))
        if shape.account is not None:
            self._known("account", shape.account, self.accounts, (*path, "account"))
        for position, fields in enumerate(shape.given):
            self._check_task(fields, (*path, "given", position), needs_id=True)
        steps = [self._step(one, (*path, "steps", i)) for i, one in enumerate(shape.steps)]
        self._check_order(shape.start, steps, path)
        return Trial(
            shape.name,
            place,
            self._local(shape.start),
            shape.account or next(iter(self.accounts), ""),
            None if shape.rules is None else frozenset(shape.rules),
            shape.given,
            [step for step in steps if step is not None],
        )

    def _step(self, raw: Any, path: Path) -> Step | None:
        shape, problems = salvaged(StepShape, raw, path)
        self.problems += problems
        if shape is None:
            return None
        for task_id, fields in shape.change.items():
            self._check_task(fields or {}, (*path, "change", task_id))
        expected = None if shape.expect is None else list(self._expected(shape.expect, path))
        return Step(self._local(shape.at), shape.change, shape.signal, expected)

    def _expected(self, raws: Collection[Any], path: Path) -> Iterator[Expected]:
        for position, raw in enumerate(raws):
            place = (*path, "expect", position)
            verbs = [name for name in VERBS if isinstance(raw, dict) and name in raw]
            if len(verbs) != 1:
                message = f"what is expected begins with one of {', '.join(VERBS)}"
                self.problems.append(Problem(place, message))
                continue
            for name in raw.keys() - {verbs[0], "contains", "subject"}:
                hint = did_you_mean(name, ["contains", "subject"])
                self.problems.append(
                    Problem(
                        (*place, name), f"{verbs[0]} does not go with {name}", hint, at_key=True
                    )
                )
            yield _expectation(verbs[0], raw)

    def _check_task(self, fields: Fields, path: Path, *, needs_id: bool = False) -> None:
        if needs_id and "id" not in fields:
            self.problems.append(Problem(path, "the task needs an id, such as T1"))
        for name in fields.keys() - names(Task).keys():
            hint = did_you_mean(name, names(Task))
            self.problems.append(Problem((*path, name), f"a task has no {name}", hint, at_key=True))
        try:
            check_fields(fields, self.zone)
        except NotATask as error:
            self.problems.append(Problem((*path, *error.inside), str(error), error.hint))

    def _check_order(self, start: datetime, steps: list[Step | None], path: Path) -> None:
        before = self._local(start)
        for position, step in enumerate(steps):
            if step is not None and step.at < before:
                place = (*path, "steps", position, "at")
                self.problems.append(Problem(place, "this is earlier than the step before it"))
            before = before if step is None else step.at

    def _known(self, noun: str, name: str, known: Collection[str], path: Path) -> None:
        if name not in known:
            hint = did_you_mean(name, known)
            self.problems.append(Problem(path, f"there is no {noun} {name}", hint))

    def _local(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)


def _expectation(verb: str, raw: Mapping[str, Any]) -> Expected:
    value = raw[verb]
    contains = tuple(str(one) for one in _texts(raw.get("contains", [])))
    fields = value if isinstance(value, dict) else None
    what = "" if verb in WRITES else str(value)
    return Expected(verb, what, contains, raw.get("subject"), fields)
