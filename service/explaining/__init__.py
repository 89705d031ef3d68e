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
from service.store.dossier import Ruling, Sending


class Standing(StrEnum):
    """What came of a rule for a task.

    `UNHEARD`: nothing happened to it that the rule listens to; `ELSEWHERE`: the rule is for other
    accounts; `SEVERAL`: it tells of several tasks at once.
    """

    FIRED = "fired"
    NOT_MATCHED = "not_matched"
    FAILED = "failed"
    SETTLING = "settling"
    UNHEARD = "unheard"
    OFF = "off"
    ELSEWHERE = "elsewhere"
    SEVERAL = "several"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule and one task. `says` is why, in a sentence.

    `heard` are the numbers of the events that it listens to, `event` the one that it was asked
    about last, `asked_at` when. `conditions` are its conditions as they were then.
    `decision` and `deliveries` are what is on record about that event. `clock` is what the clock
    will do, for a rule by the clock. `notes` are sentences on what else a reader should know.
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
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of the file, `now`, and those `then`, by the version that decided something."""

    now: Ruleset
    then: Mapping[str, Ruleset]
