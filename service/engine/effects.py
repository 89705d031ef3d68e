"""What remains to be done after a transaction of the engine is committed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from service.domain.model import Cause, Event, Kind, Task
from service.outbox import Lanes


@dataclass(frozen=True, slots=True)
class UnconfirmedChange:
    """Changes that an observation from a webhook announces, but its data does not show.

    `look` is the index of the observation among those observed, `task` the task in its data.
    """

    look: int
    kinds: frozenset[Kind]
    task: Task | None


@dataclass(frozen=True, slots=True)
class Effects:
    """What remains to be done after a commit: lanes to wake up, events to count.

    `events` has the number of events by account, kind and cause. `unproven`: changes announced by
    webhook that the system does not show yet.
    """

    lanes: Lanes = frozenset()
    events: Counter[tuple[str, Kind, Cause]] = field(default_factory=Counter)
    unproven: tuple[UnconfirmedChange, ...] = ()

    @classmethod
    def of(cls, lanes: Lanes, events: Iterable[Event]) -> Self:
        """The effects of these events."""
        return cls(lanes, Counter((one.account, one.kind, one.cause) for one in events))

    @property
    def found_by_poll(self) -> int:
        """The number of changes that a poll found without a webhook."""
        return sum(count for (_, _, cause), count in self.events.items() if cause is Cause.POLL)

    def __or__(self, other: Self) -> Self:
        return replace(
            self,
            lanes=self.lanes | other.lanes,
            events=self.events + other.events,
            unproven=self.unproven + other.unproven,
        )
