"""What the gates look at, and what they answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias
from zoneinfo import ZoneInfo

from service.domain.contacts import NOBODY, Choices, Receivers, SentCounts
from service.domain.model import State, Task
from service.domain.operators.holds import Hold
from service.domain.operators.overrides import Override
from service.domain.operators.silences import Silence
from service.domain.storms import StormScope
from service.rules.visits import Visit, VisitAnnouncement
from service.store.tasks import Key

if TYPE_CHECKING:  # rules take longer to import than a command that acts on deliveries
    from service.rules.ruleset import Ruleset
    from service.rules.timing import SendDecision


@dataclass(slots=True)
class Candidate:
    """A delivery that is due. Times are UTC.

    - `decided_task`: returns the single task that it is about, as it was when the rule decided
    - `approver`, `approve_by`: who still has to approve it, and until when
    - `is_exempt`: exempt from most gates, because it updates a message, requests an approval, goes
      to the operator, or was requested by a person
    - `reaches_customer`: it reaches the customer of its task, or of several
    - `flood`: the group in which the storm guard counts it; None if no storm may hold it
    - `waited`: what has kept it waiting: a hold, a storm, or an account that could not be asked
    - `at_once`: a person wants it sent now, outside its rule's hours too
    - `overtaken`: why it is pointless, by an event that came while an attempt was made
    - `receivers`: whom it reaches, by the task as it was when the rule decided
    - `told_of`: of a digest to a customer, the tasks that it tells of
    """

    id: int
    key: Key
    rule: str
    channel: str
    target: str
    decided_task: Callable[[], Task | None]
    once_key: str = ""
    expires_at: datetime | None = None
    approver: str | None = None
    approve_by: datetime | None = None
    shadow: bool = False
    is_exempt: bool = False
    muted_by: str | None = None
    reaches_customer: bool = False
    flood: StormScope | None = None
    visit: Visit | None = None
    even_if_told: bool = False
    waited: str | None = None
    at_once: bool = False
    overtaken: str | None = None
    receivers: Receivers = NOBODY
    told_of: Sequence[Key] = ()

    @property
    def is_sent_once(self) -> bool:
        return self.visit is not None and not self.even_if_told and not self.is_exempt


class StormCounts(Protocol):
    """The numbers of messages in a storm group, without the candidates themselves.

    - `storm`: the scope of the open storm that holds this group, with its reason
    - `others`: how many were sent lately, are being sent or are due
    - `usual`: how many are usual, if that is known
    """

    def storm(self, flood: StormScope) -> tuple[StormScope, str] | None: ...

    def others(self, flood: StormScope) -> int: ...

    def usual(self, flood: StormScope) -> float | None: ...


@dataclass(frozen=True, slots=True)
class GateFacts:
    """The data that the gates need, as it is at `now` (UTC).

    - `zones`: the time zones of the accounts
    - `present`: a task as it is now
    - `holds`: the holds of customer messages
    - `muting`: the rule and the title of the task that mute a key
    - `announcement`: the last message that a customer got about a visit
    - `floods`: the numbers of messages by storm group
    - `being_announced`: visits about which a message is being sent
    - `overrides`: of rules, by their ids; the `rules` may not know of them yet
    - `choices`: of the receivers, whether they want messages
    - `sent`, `under_way`: what customers got today, and what is being sent to them, without the
      candidates themselves
    """

    now: datetime
    rules: "Ruleset"
    zones: Mapping[str, ZoneInfo]
    silences: Sequence[Silence]
    present: Callable[[Key], Task | None]
    muting: Callable[[str], tuple[str, str] | None]
    announcement: Callable[[str], VisitAnnouncement | None]
    floods: StormCounts
    being_announced: frozenset[str] = frozenset()
    holds: Sequence[Hold] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    sent: SentCounts = field(default_factory=SentCounts)
    under_way: SentCounts = field(default_factory=SentCounts)


@dataclass(frozen=True, slots=True)
class Stop:
    """The new state of a delivery that must not be sent now.

    If it is PLANNED or HELD, it is due `again_at` (UTC); None: not before a person decides. Without
    a reason it keeps its own. `storm` is the scope of the storm that holds it; `hold` and `silence`
    are the ids of what holds or skips it.
    """

    state: State
    reason: str | None
    again_at: datetime | None = None
    storm: StormScope | None = None
    hold: int | None = None
    silence: int | None = None

    @classmethod
    def by(cls, decision: "SendDecision | None") -> "Stop | None":
        """The stop of a message that may not be sent now by this decision; None if it may."""
        if decision is None:
            return None
        again_at = decision.send_at if decision.state is State.HELD else None
        return cls(decision.state, decision.reason, again_at)


Stops: TypeAlias = dict[int, Stop]
"""By the ids of the deliveries that are stopped."""
Gate: TypeAlias = Callable[[Candidate, GateFacts], Stop | None]
GateOfSeveral: TypeAlias = Callable[[Sequence[Candidate], GateFacts], Stops]
