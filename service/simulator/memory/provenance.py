"""The tasks and changes in a simulation that Taskbell made."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from service.domain.model import Observation
from service.outbox.provenance import Rules
from service.store.tasks import Key


class MemoryProvenance:
    """`ProvenanceRepository` in memory. Nothing is really created or written.

    `written` are the fields that Taskbell is assumed to be writing, by task.
    """

    def __init__(self) -> None:
        self.written: dict[Key, frozenset[str]] = {}

    async def writes_under_way(self, seen: Sequence[Observation]) -> Mapping[Key, frozenset[str]]:
        keys = [(look.account, look.task_id) for look in seen]
        return {key: self.written[key] for key in keys if key in self.written}

    async def creator_rules(self, keys: Iterable[Key]) -> Mapping[Key, Rules]:
        del keys
        return {}

    async def writer_rules(self, events: Collection[int]) -> Mapping[int, Rules]:
        del events
        return {}
