"""Why each rule did what it did with a task, and why it did not: from what is on record.

What was decided and sent is read from the record. What did not match is on no record: it is
decided again, by the rules of then and the code that decides at work, which gives the same again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.rules import Ruleset
from service.rules.tracing import Trace
from service.rules.verdict import Outcome
from service.store.outcomes import Ruling, Sending
from service.store.together import Named


class Standing(StrEnum):
    """What came of a rule for a task.

    `UNHEARD`: nothing happened to it that the rule listens to; `ELSEWHERE`: the rule is for other
    accounts; `GATHERED`: it tells of the task with others, and has not yet; `NO_TASK`: it is about
    none.
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
    Outcome.MATCHED: Standing.FIRED,
    Outcome.SETTLING: Standing.SETTLING,
    Outcome.NOT_MATCHED: Standing.NOT_MATCHED,
    Outcome.GATHERED: Standing.GATHERED,
    Outcome.LAPSED: Standing.NOT_MATCHED,
    Outcome.FAILED: Standing.FAILED,
}
"""What came of a rule, by the outcome of its decision."""


@dataclass(frozen=True, slots=True)
class InDigest:
    """The digest that a task belongs to: what it is `of`, as a person reads it.

    While it is open until `closes_at` it holds `tasks`; what it held is on no record once it was
    `told_at`.
    """

    of: str
    closes_at: datetime | None = None
    tasks: tuple[Named, ...] = ()
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BySchedule:
    """When a rule's schedule came last and comes next in the account; None for never.

    `chosen` are the tasks that it asked then, one by one. `said` is what the rule made of it, also
    where it told of all of them at once: then only their number is on record.
    """

    came_at: datetime | None
    comes_at: datetime | None
    chosen: tuple[Named, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule and one task. `says` is why, in a sentence.

    `heard` are the numbers of the events that it listens to, `event` the one that it was asked
    about last, `asked_at` when. `conditions` are its conditions as they were then.
    `decision` and `deliveries` are what is on record about that event. `clock` is what the clock
    will do, for a rule by the clock. `digest` and `schedule` are of rules that have such.
    `notes` are sentences on what else a reader should know.
    """

    rule: str
    when: str
    standing: Standing
    says: str
    heard: tuple[int, ...] = ()
    event: int | None = None
    asked_at: datetime | None = None
    conditions: tuple[Trace, ...] = ()
    decision: Ruling | None = None
    deliveries: tuple[Sending, ...] = ()
    clock: str | None = None
    digest: InDigest | None = None
    schedule: BySchedule | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of the file, `now`, and those `then`, by the version that decided something."""

    now: Ruleset
    then: Mapping[str, Ruleset]
