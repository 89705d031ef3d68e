"""`taskbell explain`: why each rule fired for a task or did not.

Decisions and deliveries are read from the database. A rule that did not match has no stored
decision: it is evaluated again, in its version at that time, by the same code as in operation, and
gives the same result.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.rules.language.trace import Trace
from service.rules.verdict import Outcome
from service.store.decisions import RecordedDecision
from service.store.deliveries import RecordedDelivery
from service.store.views.digest_history import Named


class ExplanationStatus(StrEnum):
    """The result of a rule for a task.

    - `UNHEARD`: no event of the task triggers the rule
    - `OFF`: the rule is disabled
    - `ELSEWHERE`: the rule is for other accounts only
    - `GATHERED`: the task is in a digest that has not been sent yet
    - `NO_TASK`: the rule has a schedule and is not about a task
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
    """The digest that a task belongs to. `of` is its displayed key.

    An open digest has `closes_at` and the `tasks` that it has so far. A sent one has only
    `told_at`: the list of its tasks is not stored. Times are UTC.
    """

    of: str
    closes_at: datetime | None = None
    tasks: tuple[Named, ...] = ()
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScheduleExplanation:
    """The last and the next slot of a rule's schedule in the account (UTC; None: never).

    `chosen` are the tasks for which the rule was evaluated, one by one, at the last slot. For a
    rule with `group` there are none: only their number is stored. `said` are the reasons of the
    rule's decisions on the slot itself.
    """

    came_at: datetime | None
    comes_at: datetime | None
    chosen: tuple[Named, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of one rule for one task.

    - `when`: its trigger, in one line; `says`: the reason for its status, in a sentence
    - `heard`: ids of the task's events that trigger it
    - `event`, `asked_at`: the event that it was evaluated for last, and when (UTC)
    - `conditions`: its conditions with the values that they had then
    - `decision`, `deliveries`: the stored ones for that event
    - `clock`: for a rule with an alarm or a schedule, when that fires next, or why it does not
    - `digest`, `schedule`: for rules with `group`, and for rules with a schedule
    - `notes`: further remarks, in sentences
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
