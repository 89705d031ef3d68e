"""The engine's transaction in memory, for simulations: nothing is kept when the process ends."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.digests import DigestRebuild
from service.domain.model import Event, Kind, Task
from service.domain.operators.silences import Silence
from service.domain.recurrence import still_completed
from service.rules.revision import RevisedMessage, revision, superseded
from service.rules.rewriting import NewText, rewriting
from service.rules.ruleset import Ruleset
from service.rules.verdict import Plan
from service.simulator.memory.deliveries import Delivery
from service.simulator.memory.digests import MemoryDigests
from service.simulator.memory.events import MemoryDecisions, MemoryEvents
from service.simulator.memory.final_check import MemoryFinalCheck
from service.simulator.memory.outbox import MemoryOutbox
from service.simulator.memory.provenance import MemoryProvenance
from service.simulator.memory.schedules import MemorySchedules
from service.simulator.memory.tasks import MemoryTasks
from service.simulator.memory.unchanging import MemoryAccounts, MemoryAnnouncements, MemoryLookups
from service.simulator.memory.waits import MemoryWaits
from service.store.accounts import AccountState


class MemoryTransaction:
    """Storage for one simulation. `states` are the accounts.

    Batch limits are ignored: a simulation has no other work that could be delayed.
    """

    def __init__(
        self, states: Mapping[str, AccountState], silenced: Sequence[Silence] = ()
    ) -> None:
        self.accounts = MemoryAccounts(states)
        self.tasks = MemoryTasks()
        self.announcements = MemoryAnnouncements()
        self.lookups = MemoryLookups()
        self.events = MemoryEvents()
        self.waits = MemoryWaits()
        self.digests = MemoryDigests(self.tasks)
        self.schedules = MemorySchedules()
        self.decisions = MemoryDecisions()
        self.outbox = MemoryOutbox(self.events, silenced)
        self.provenance = MemoryProvenance()

    async def send(self, rules: Ruleset, zones: Mapping[str, ZoneInfo], now: datetime) -> None:
        """Send due deliveries that no gate stops, in these zones of the accounts."""

        def final_check(one: Delivery) -> RevisedMessage | NewText | None:
            grounds, zone = one.grounds, zones.get(one.key[0])
            if grounds is None or zone is None:
                return None
            there = {each.event.task_id: self._spoken_of(each.event) for each in grounds.each}
            present = {task_id: task for task_id, task in there.items() if task is not None}
            found = revision(grounds, present, rules, now, zone)
            task = present.get(grounds.event.task_id)
            if found is None and any(each.follows(one) for each in self.outbox.of_task(one.key)):
                found = superseded(grounds, task)
            return found or rewriting(grounds, task, rules, now, zone)

        def rebuild_digest(one: DigestRebuild) -> Plan | str:
            return rules.rebuild_digest(one, now, zones[one.event.account])

        facts = self.outbox.facts(rules, zones, self.tasks.current, now)
        await self.outbox.send(facts, MemoryFinalCheck(final_check, rebuild_digest))

    def _spoken_of(self, event: Event) -> Task | None:
        """The task of a message as it is now; a recurring one as it was completed."""
        task = self.tasks.current((event.account, event.task_id))
        if task is None or event.kind is not Kind.COMPLETED:
            return task
        completed = still_completed(event.task, task)
        return task if completed is None or self.events.was_reopened(event) else completed

    def next_moment(self) -> datetime | None:
        """When anything is due next: an alarm, the end of a wait, a digest, a delivery … (UTC)."""
        moments = (
            self.tasks.next_moment(),
            self.waits.next_moment(),
            self.digests.next_moment(),
            self.schedules.next_moment(),
            self.outbox.next_due(),
        )
        return min((one for one in moments if one is not None), default=None)
