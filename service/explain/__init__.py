"""`taskbell explain`: why each rule fired for a task or did not.

Decisions and deliveries are read from the database. A rule that did not match has left nothing
there: it is asked again, as it was at that time, by the code that also decides at work, and gives
the same answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.rules import Ruleset
from service.rules.language.tracing import Trace
from service.rules.verdict import Outcome
from service.store.decisions import RecordedDecision
from service.store.deliveries import RecordedDelivery
from service.store.views.digest_history import Named


class ExplanationStatus(StrEnum):
    """What came of a rule for a task.

    `UNHEARD`: nothing that the rule listens to has happened to the task. `OFF`: the rule is
    switched off. `ELSEWHERE`: the rule is for other accounts only. `GATHERED`: the task is in a
    digest that has not been sent yet. `NO_TASK`: the rule comes by a schedule and is about no task.
    """

    FIRED = "fired"
    NOT_MATCHED = "not_matched"
    FAILED = "failed"
    SETTLING = "settling"
    UNHEARD = "unheard"
    OFF = "off"
    ELSEWHERE = "elsewhere"
    GATHERED = "gathered"
    NO_TASK = "no_task"


STANDINGS = {
    Outcome.MATCHED: ExplanationStatus.FIRED,
    Outcome.SETTLING: ExplanationStatus.SETTLING,
    Outcome.NOT_MATCHED: ExplanationStatus.NOT_MATCHED,
    Outcome.GATHERED: ExplanationStatus.GATHERED,
    Outcome.LAPSED: ExplanationStatus.NOT_MATCHED,
    Outcome.FAILED: ExplanationStatus.FAILED,
    Outcome.GIVEN_UP: ExplanationStatus.NOT_MATCHED,
    Outcome.MISSED: ExplanationStatus.NOT_MATCHED,
}
"""What came of a rule, by the outcome of its decision."""


@dataclass(frozen=True, slots=True)
class DigestExplanation:
    """The digest that a task belongs to. `of` is its key, as a person reads it.

    An open digest has `closes_at` and the `tasks` that it holds so far. One that was sent has only
    `told_at`: which tasks it held is not on record. Times are UTC.
    """

    of: str
    closes_at: datetime | None = None
    tasks: tuple[Named, ...] = ()
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScheduleExplanation:
    """When a rule's schedule came last and comes next in the account (UTC; None: never).

    `chosen` are the tasks that the rule was asked about, one by one, when it came last. For a rule
    with `group` there are none: only how many they were is on record. `said` are the reasons of
    what the rule decided about the schedule itself.
    """

    came_at: datetime | None
    comes_at: datetime | None
    chosen: tuple[Named, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one rule made of one task.

    - `when`: its trigger, in one line; `says`: why it stands as it does, in a sentence
    - `heard`: ids of the task's events that it listens to
    - `event`, `asked_at`: the event that it was asked about last, and when (UTC)
    - `conditions`: its conditions with the values that they had then
    - `decision`, `deliveries`: what is on record about that event
    - `clock`: for a rule by the clock or a schedule, when it comes next or why it does not
    - `digest`, `schedule`: for rules with `group`, and for rules by a schedule
    - `notes`: what else a reader should know, in sentences
    """

    rule: str
    when: str
    standing: ExplanationStatus
    says: str
    heard: tuple[int, ...] = ()
    event: int | None = None
    asked_at: datetime | None = None
    conditions: tuple[Trace, ...] = ()
    decision: RecordedDecision | None = None
    deliveries: tuple[RecordedDelivery, ...] = ()
    clock: str | None = None
    digest: DigestExplanation | None = None
    schedule: ScheduleExplanation | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleVersions:
    """The rules of the file (`now`), and by version those that decided something `then`."""

    now: Ruleset
    then: Mapping[str, Ruleset]
