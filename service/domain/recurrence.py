"""Completions of recurring tasks, which are open again with a later date as soon as they are done.

Only a `completed` webhook distinguishes a completion from a postponement. It may come before the
later date is observed, or after. So the announcements for a task are matched with the moves of its
date. A completion is identified by the date to which it has moved the task: a second report for the
same date is ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from service.domain.model import DAYS, Task

Dates: TypeAlias = tuple[datetime | None, datetime | None]
"""When a task is due, and when it starts."""

# How long before an announcement the date may have been seen to move. A sender that was not
# answered tries again for about as long.
WINDOW = timedelta(hours=1)
# A webhook that comes with the move is surely about it. It may be about an earlier one if the
# system goes on showing the task as open: until then it may be done, and not be shown so yet.
_TOGETHER = timedelta(seconds=10)
_PATIENCE = timedelta(seconds=20)
# How long after the report of a completion it may become visible, or be dated by another clock.
_SOON = timedelta(minutes=1)
# A system may show the same time in a webhook with more digits than when it is read.
_ROUNDED = timedelta(seconds=1)
# The fields of a task that belong to one completion, and differ in the next.
_OF_COMPLETIONS = ("completed_at", *DAYS.values(), "due", "start", "end")
# How many completions of a task are remembered, to know one that is announced again.
_REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class ReportedCompletion:
    """A reported completion: the dates `to` which it moved the task, and when it became known.

    It is known once it was both observed and announced. `done_at` is the time of the completion by
    the system's own clock, if the announcement showed it.
    """

    at: datetime
    to: Dates
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A task was observed as open, with later dates than it had `before`."""

    at: datetime
    before: Task
    after: Task

    @property
    def to(self) -> Dates:
        return _dates(self.after)


@dataclass(frozen=True, slots=True)
class AnnouncedCompletion:
    """A webhook that came `at` that time announced that the task was completed.

    `task` is the task as the webhook shows it, if it does. `is_repeat` says that its body had come
    before. `receipt` is its number; None for the observation that is being processed.
    """

    at: datetime
    task: Task | None = None
    is_repeat: bool = False
    receipt: int | None = None


@dataclass(frozen=True, slots=True)
class ConfirmedCompletions:
    """The result of matching: the tasks that were `done`, as they were then.

    `reported` are all completions that are reported by now, `over` the receipts that are no longer
    pending.
    """

    done: Sequence[Task] = ()
    reported: Sequence[ReportedCompletion] = ()
    over: frozenset[int | None] = frozenset()


def moved(before: Task | None, after: Task | None, at: datetime) -> Move | None:
    """The move of a task from `before` to `after`, if it is open and has later dates."""
    if before is None or after is None or after.done:
        return None
    return Move(at, before, after) if _is_later(_dates(before), _dates(after)) else None


def confirm_completions(
    announced: Sequence[AnnouncedCompletion],
    moves: Sequence[Move],
    reported: Sequence[ReportedCompletion],
    shown: Task,
    shown_at: datetime,
) -> ConfirmedCompletions:
    """Match announcements for an open task, which is `shown` so at that time, with these moves.

    A completion that was reported is not reported again. Its announcement is no longer pending,
    unless it may be about a completion that is not visible yet.
    """
    done, now_reported, over = list[Task](), list(reported), set[int | None]()
    for one in sorted(announced, key=lambda each: each.at):
        recent = [move for move in reversed(moves) if move.at >= one.at - WINDOW]
        if one.task is None:
            found = _last(one, recent, _dates(shown), shown_at)
        else:
            found = _target(one, one.task, recent, now_reported)
        if found is None:
            continue
        to, move = found
        if move is None or _is_reported(move, to, now_reported):
            if one.task is not None or one.is_repeat:
                over.add(one.receipt)
            continue
        done.append(replace(move.before, done=True, completed_at=min(one.at, move.at)))
        now_reported.append(ReportedCompletion(max(one.at, move.at), to, _done_at(one.task)))
        over.add(one.receipt)
    return ConfirmedCompletions(done, now_reported[-_REMEMBERED:], frozenset(over))


def still_completed(then: Task, now: Task) -> Task | None:
    """A recurring task that is open again, as it was completed `then`, otherwise as it is `now`.

    None if it is not open again for a later date.
    """
    if not then.done or now.done or not _is_later(_dates(then), _dates(now)):
        return None
    gone = {name: getattr(then, name) for name in _OF_COMPLETIONS}
    return replace(now, done=True, **gone)


def was_reported(reported: Sequence[ReportedCompletion], at: datetime) -> bool:
    """Whether a change announced at that time may be a completion that was reported."""
    return any(one.at >= at - WINDOW for one in reported)


def is_same_completion(
    before: Task,
    after: Task,
    reported: Sequence[ReportedCompletion],
    seen_at: datetime,
    *,
    is_announced: bool,
) -> bool:
    """Whether a task that is now observed as done is the completion that was reported before.

    For a while, the system showed the task as moved and open, although it was done. If the system
    reports the time of completion, that decides; otherwise whether it was announced again, and how
    soon it was observed.
    """
    last = reported[-1] if reported else None
    if last is None or last.to != _dates(before):
        return False
    done_at = _done_at(after)
    if done_at is None:
        return not is_announced and seen_at <= last.at + _SOON
    if last.done_at is not None:
        return done_at <= last.done_at + _ROUNDED
    return done_at <= (last.at if is_announced else last.at + _SOON)


def _target(
    one: AnnouncedCompletion,
    task: Task,
    recent: Sequence[Move],
    reported: Sequence[ReportedCompletion],
) -> tuple[Dates, Move | None] | None:
    """The dates to which this completion has moved the task, and the move; None if unknown.

    The webhook may show the task after the move, or before.
    """
    dates = _dates(task)
    if not task.done:
        for move in recent:
            if dates == move.to or _is_between(dates, move):
                return dates, move
        if any(past.to == dates for past in reported):
            return dates, None
    return next(((move.to, move) for move in recent if _is_from(one, task, move)), None)


def _last(
    one: AnnouncedCompletion, recent: Sequence[Move], shown: Dates, shown_at: datetime
) -> tuple[Dates, Move | None] | None:
    """The last move and its dates, if they are still valid, and this, with no task, is about it."""
    if not recent or recent[0].to != shown:
        return None
    is_together = recent[0].at >= one.at - _TOGETHER
    return (shown, recent[0]) if is_together or shown_at >= one.at + _PATIENCE else None


def _is_from(one: AnnouncedCompletion, task: Task, move: Move) -> bool:
    """Whether the move begins with the dates that the webhook shows.

    A move that was observed before the webhook came may be a task that was reopened and postponed.
    A system moves a completed task at once.
    """
    if _dates(move.before) != _dates(task):
        return False
    if move.at >= one.at or task.updated_at is None or move.after.updated_at is None:
        return True
    return move.after.updated_at - task.updated_at <= _TOGETHER


def _is_between(dates: Dates, move: Move) -> bool:
    """Whether a task that was moved twice between two observations had these dates in between."""
    return _is_later(_dates(move.before), dates) and _is_later(dates, move.to)


def _is_reported(move: Move, to: Dates, reported: Sequence[ReportedCompletion]) -> bool:
    """Whether that completion was reported; if the task was observed as done, it was."""
    return move.before.done or any(one.to == to and one.at >= move.at for one in reported)


def _done_at(task: Task | None) -> datetime | None:
    """The moment at which a task was completed, if the system says it."""
    if task is None or not task.done or task.completed_at_is_day:
        return None
    return task.completed_at


def _dates(task: Task) -> Dates:
    return task.due, task.start


def _is_later(old: Dates, new: Dates) -> bool:
    pairs = zip(old, new, strict=True)
    return any(before and after and before < after for before, after in pairs)
