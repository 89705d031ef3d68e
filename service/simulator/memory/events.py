"""The events of a simulation and the decisions on them, in memory."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from service.domain.model import Event, Kind
from service.store.decisions import Decision, RecordedDecision
from service.store.tasks import Key

_TURNS = frozenset({Kind.COMPLETED, Kind.REOPENED})


class MemoryEvents:
    """`EventRepository` in memory; they are `recorded` in the order in which they happened.

    `last_id` is the last assigned id.
    """

    def __init__(self) -> None:
        self.last_id = 0
        self.recorded: list[Event] = []
        self._turns: dict[Key, list[Event]] = defaultdict(list)

    def is_done_again(self, cause: Event, news: Event) -> bool:
        """Whether a recurring task was completed again between these events of it."""
        return any(
            one.kind is Kind.COMPLETED and cause.id < one.id < news.id
            for one in self._turns[cause.account, cause.task_id]
        )

    def was_reopened(self, completed: Event) -> bool:
        """Whether a completion was undone since: a later reopening undoes a later completion."""
        turns = self._turns[completed.account, completed.task_id]
        then = next((one.kind for one in turns if one.id > completed.id), None)
        return then is Kind.REOPENED

    async def allot_ids(self, count: int) -> list[int]:
        first = self.last_id + 1
        self.last_id += count
        return list(range(first, first + count))

    async def insert(self, events: Sequence[Event], rules_version: str, now: datetime) -> None:
        del rules_version, now
        self.recorded += events
        for event in events:
            if event.kind in _TURNS:
                self._turns[event.account, event.task_id].append(event)

    async def rescheduled(
        self, keys: Iterable[Key], since: datetime
    ) -> Mapping[Key, Sequence[Event]]:
        wanted, found = set(keys), defaultdict[Key, list[Event]](list)
        for event in self.recorded:
            key = event.account, event.task_id
            if key in wanted and event.kind is Kind.RESCHEDULED and event.at >= since:
                found[key].append(event)
        return found


class MemoryDecisions:
    """`DecisionRepository` in memory; they are `recorded` in the order in which they were made."""

    def __init__(self) -> None:
        self.recorded: list[RecordedDecision] = []

    async def insert(
        self, decisions: Sequence[Decision], rules_version: str, now: datetime
    ) -> None:
        self.recorded += [
            RecordedDecision(
                now, one.event, one.rule, rules_version, one.outcome, one.reason, one.group
            )
            for one in decisions
        ]
