"""What is left to do once a transaction of the engine is committed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from service.domain.model import Cause, Event, Kind, Task
from service.outbox import Lanes


@dataclass(frozen=True, slots=True)
class UnconfirmedChange:
    """What a look that was pushed, by its place among those observed, says and does not show.

    `task` is how it shows the task.
    """

    look: int
    kinds: frozenset[Kind]
    task: Task | None


@dataclass(frozen=True, slots=True)
class Effects:
    """What is left to do once a transaction is committed: lanes to ring, and events to count.

    `events` has how many there were, by account, kind and cause. `unproven` is what was pushed and
    the system has yet to show.
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
        """How many changes came to light by a poll, without a webhook."""
        return sum(count for (_, _, cause), count in self.events.items() if cause is Cause.POLL)

    def __or__(self, other: Self) -> Self:
        return replace(
            self,
            lanes=self.lanes | other.lanes,
            events=self.events + other.events,
            unproven=self.unproven + other.unproven,
        )
