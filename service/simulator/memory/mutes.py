"""The mutes of a simulation."""

from collections import defaultdict
from collections.abc import Iterable

from service.domain.model import Event
from service.outbox import DeliveryRequest
from service.outbox.mutes import Mute
from service.store.tasks import Key


class MemoryMuting:
    """The active messages of rules about tasks, by the keys that they mute."""

    def __init__(self, known: Iterable[Mute] = ()) -> None:
        self._by_key: dict[str, list[Mute]] = defaultdict(list)
        self._of_task: dict[Key, list[Mute]] = defaultdict(list)
        for one in known:
            self._add(one)

    def note(self, request: DeliveryRequest) -> None:
        """Add the mute of a delivery that was placed."""
        plan, event = request.plan, request.event
        if not plan.mutes or request.is_over or plan.shadow:
            return
        title = event.task.title or event.task_id
        key = (event.account, event.task_id)
        for one in plan.mutes:
            self._add(Mute(one, request.rule, title, key, event.id, plan.withdraw_on))

    def end(self, event: Event) -> None:
        """End the mutes that this event of a task ends."""
        key = (event.account, event.task_id)
        for one in self._of_task.pop(key, ()):
            if one.event < event.id and not event.words.isdisjoint(one.ends_on):
                self._by_key[one.key].remove(one)
            else:
                self._of_task[key].append(one)

    def muting(self, key: str) -> tuple[str, str] | None:
        """The rule, and the title of the task, by which this key is muted now."""
        holding = self._by_key.get(key)
        return (holding[0].rule, holding[0].title) if holding else None

    def _add(self, one: Mute) -> None:
        self._by_key[one.key].append(one)
        self._of_task[one.task].append(one)
