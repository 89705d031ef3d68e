"""A rule test at work: what happened between its steps against what it expects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from service.actions import WRITES
from service.books.outbox import Delivery
from service.channels import Channel
from service.model import Cause, Observation, Signal, State, Task
from service.rehearsal import Rehearsal
from service.rules import Ruleset
from service.trials import Expected, Fields, Step, Trial
from service.trials.making import changed

_VERBS = {
    State.CANCELLED: "cancelled",
    State.SKIPPED: "skipped",
    State.EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What tests are tried on: rules, and accounts with their systems and zones.

    `ways` are all that rules can send by, under their names.
    """

    rules: Ruleset
    zone: ZoneInfo
    zones: Mapping[str, ZoneInfo]
    systems: Mapping[str, str]
    ways: Mapping[str, type[Channel]]


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that came of the rules, in the words of `Expected`; `why` is its reason."""

    verb: str
    what: str
    text: str
    subject: str | None
    fields: Fields
    rule: str
    why: str | None

    def __str__(self) -> str:
        said = f' "{self.text}"' if self.text else ""
        written = f" {dict(self.fields)}" if self.fields else ""
        why = f" ({self.why})" if self.why else ""
        return f"{self.verb} {self.what}{written}".rstrip() + f"{said}, by {self.rule}{why}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that did not go as expected: what was missing, and what came unasked."""

    at: datetime
    missing: Sequence[Expected]
    unasked: Sequence[Happened]
    decided: Sequence[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test went; without failures it passed."""

    trial: Trial
    failures: Sequence[Failure]


async def run(trial: Trial, stage: Stage) -> Outcome:
    """Try the rules on the made-up tasks, step by step."""
    return await _Run(trial, stage).outcome()


class _Run:
    def __init__(self, trial: Trial, stage: Stage) -> None:
        rules = stage.rules if trial.rules is None else stage.rules.only(trial.rules)
        self._trial = trial
        self._stage = stage
        self._rehearsal = Rehearsal(rules, stage.zones, stage.ways, trial.start)
        self._tasks: dict[str, Task] = {}
        self._told = 0

    async def outcome(self) -> Outcome:
        given = {str(fields["id"]): fields for fields in self._trial.given}
        await self._rehearsal.begin([self._look(one, fields) for one, fields in given.items()])
        failures = [await self._step(step) for step in self._trial.steps]
        return Outcome(self._trial, [one for one in failures if one is not None])

    async def _step(self, step: Step) -> Failure | None:
        since = self._rehearsal.clock.now()
        await self._rehearsal.go_on(step.at)
        for task_id, fields in step.changes.items():
            await self._rehearsal.observe([self._look(task_id, fields)])
        now, account = self._rehearsal.clock.now(), self._trial.account
        signals = [Signal(account, one, name, now) for one, name in step.signals.items()]
        await self._rehearsal.hear(signals)
        happened, decided = self._news(since)
        if step.expected is None:
            return None
        missing, unasked = compared(step.expected, happened)
        return Failure(step.at, missing, unasked, decided) if missing or unasked else None

    def _look(self, task_id: str, fields: Fields | None) -> Observation:
        now, account = self._rehearsal.clock.now(), self._trial.account
        if fields is None:
            self._tasks.pop(task_id, None)
        else:
            new = Task(id=task_id, account=account, system=self._stage.systems[account])
            known = self._tasks.get(task_id, new)
            self._tasks[task_id] = changed(known, fields, self._stage.zone, now)
        return Observation(account, task_id, self._tasks.get(task_id), now, Cause.WEBHOOK)

    def _news(self, since: datetime) -> tuple[list[Happened], list[str]]:
        """What came about after the last look at the outbox, and what was decided meanwhile."""
        books = self._rehearsal.books
        news = list(books.outbox.news(self._told))
        self._told = books.outbox.changes
        decided = [
            f"{one.decision.rule}: {one.decision.reason}"
            for one in books.decisions
            if one.at >= since
        ]
        return [happened(one) for one in news], decided


def happened(one: Delivery) -> Happened:
    """What a delivery has come to, in the words of a test."""
    plan = one.order.plan
    address = f"{plan.channel}:{plan.target}" if plan.target else plan.channel
    verb = _VERBS.get(one.state, "notify")
    if one.state is State.HELD:
        verb = "held"
    elif one.updates is not None and one.state is State.SENT:
        verb = "updated"
    elif plan.channel in WRITES and one.state is State.SENT:
        verb, address = plan.channel, ""
    return Happened(
        verb, address, one.text, plan.subject, plan.fields or {}, one.order.rule, one.reason
    )


def compared(
    expected: Iterable[Expected], happened: Iterable[Happened]
) -> tuple[list[Expected], list[Happened]]:
    """What is missing, and what came unasked: everything that went out has to be expected."""
    left = list(happened)
    missing = []
    for wanted in expected:
        found = next((one for one in left if _is(wanted, one)), None)
        if found is None:
            missing.append(wanted)
        else:
            left.remove(found)
    return missing, [one for one in left if one.verb in {"notify", "updated", *WRITES}]


def _is(wanted: Expected, one: Happened) -> bool:
    return (
        wanted.verb == one.verb
        and wanted.what == one.what
        and all(text in f"{one.subject or ''}\n{one.text}" for text in wanted.contains)
        and wanted.subject in {None, one.subject}
        and all(str(one.fields.get(name)) == str(v) for name, v in (wanted.fields or {}).items())
    )
