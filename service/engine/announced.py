"""Matches changes announced by webhooks with the observations of one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Self

from service.domain.model import Event, Kind, Observation
from service.domain.recurrence import (
    WINDOW,
    AnnouncedCompletion,
    ConfirmedCompletions,
    Move,
    confirm_completions,
    moved,
)
from service.engine.tracking import shown
from service.engine.transaction import Transaction
from service.store.announcements import Announcement
from service.store.tasks import Key, TaskState

_NOTHING = ConfirmedCompletions()


class PendingAnnouncements:
    """The pending announcements by task, and when the dates of these tasks were moved.

    `over`: announcements that are no longer pending, because observations have confirmed them.
    """

    def __init__(
        self,
        waiting: Mapping[Key, Sequence[Announcement]],
        moves: Mapping[Key, Sequence[Move]],
    ) -> None:
        self.over: list[Announcement] = []
        self._waiting = dict(waiting)
        self._moves = dict(moves)

    @classmethod
    async def about(
        cls, tx: Transaction, seen: Sequence[Observation], awaiting: Sequence[Key]
    ) -> Self:
        """The announcements for the tasks `awaiting` one, and those in these observations."""
        waiting = await tx.announcements.by_task(awaiting) if awaiting else {}
        said: dict[Key, list[AnnouncedCompletion]] = defaultdict(list)
        for look in seen:
            key = (look.account, look.task_id)
            is_said = Kind.COMPLETED in look.announced or key in waiting
            if is_said and look.task is not None and not look.task.done:
                said[key] += _announced_completions(look, waiting.get(key, ()))
        moments = [one.at for each in said.values() for one in each]
        if not moments:
            return cls(waiting, {})
        keys = [key for key, each in said.items() if each]
        found = await tx.events.rescheduled(keys, min(moments) - WINDOW)
        return cls(waiting, {key: _moves(found.get(key, ())) for key in keys})

    def of(self, look: Observation) -> Observation:
        """The observation, with the changes that were announced earlier."""
        waiting = self._waiting.get((look.account, look.task_id))
        if not waiting:
            return look
        return replace(look, announced=look.announced | {one.kind for one in waiting})

    def confirmed(self, look: Observation, last: TaskState) -> ConfirmedCompletions:
        """Announced completions of a recurring task that this observation confirms."""
        key = (look.account, look.task_id)
        if look.task is None or look.task.done or key not in self._moves:
            return _NOTHING
        said = _announced_completions(look, self._waiting.get(key, ()))
        moves = self._moves_until(look, last)
        return confirm_completions(said, moves, last.told, look.task, look.observed_at)

    def take(
        self, look: Observation, last: TaskState, confirmed: ConfirmedCompletions
    ) -> frozenset[Kind]:
        """Process an observation; returns the changes that it announces and does not show."""
        key = (look.account, look.task_id)
        if not look.announced and key not in self._waiting and key not in self._moves:
            return look.announced
        seen, waiting = shown(look), self._waiting.get(key, ())
        # What was pushed may be of before; the reading that is under way shows what is.
        proven = frozenset() if look.pushed else seen
        over = [one for one in waiting if one.kind in proven or _is_over(one, confirmed)]
        self.over += over
        self._waiting[key] = [one for one in waiting if one not in over]
        if key in self._moves:
            self._moves[key] = self._moves_until(look, last)
        return look.announced - (seen | {Kind.COMPLETED} if None in confirmed.over else seen)

    def _moves_until(self, look: Observation, last: TaskState) -> Sequence[Move]:
        """The moves of a task's date up to this observation."""
        move = moved(last.present, look.task, look.observed_at)
        before = self._moves[look.account, look.task_id]
        return before if move is None else [*before, move]


def _announced_completions(
    look: Observation, waiting: Iterable[Announcement]
) -> list[AnnouncedCompletion]:
    """The announced completions of a task, including one announced by the observation itself."""
    said = [
        AnnouncedCompletion(one.at, one.task, one.is_repeat, one.receipt)
        for one in waiting
        if one.kind is Kind.COMPLETED
    ]
    is_own = Kind.COMPLETED in look.announced
    return [*said, AnnouncedCompletion(look.observed_at, look.task)] if is_own else said


def _is_over(one: Announcement, confirmed: ConfirmedCompletions) -> bool:
    return one.kind is Kind.COMPLETED and one.receipt in confirmed.over


def _moves(events: Iterable[Event]) -> list[Move]:
    moves = [moved(one.before, one.after, one.at) for one in events]
    return [move for move in moves if move is not None]
