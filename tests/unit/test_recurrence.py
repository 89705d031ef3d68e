"""Which announcements of a recurring task are completions that nobody was told of."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.model import Task
from service.domain.recurrence import (
    AnnouncedCompletion,
    ConfirmedCompletions,
    Move,
    ReportedCompletion,
    confirm_completions,
    is_same_completion,
    moved,
    was_reported,
)
from tests.harness.tasks import START, task

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOW = START + timedelta(minutes=30)


def due(week: int, *, done: bool = False) -> Task:
    """The task as it is due in that week."""
    return task(due=START + timedelta(weeks=week), done=done)


def move(before: int, after: int, at: datetime = START) -> Move:
    found = moved(due(before), due(after), at)
    assert found is not None
    return found


def weeks(confirmed: ConfirmedCompletions) -> list[int]:
    """Which of the weekly tasks were done."""
    assert all(one.done for one in confirmed.done)
    return [(one.due - START).days // 7 for one in confirmed.done if one.due is not None]


def said(
    week: int | None = None, receipt: int = 1, *, is_repeat: bool = False
) -> AnnouncedCompletion:
    """A webhook that shows the task as it is due then, or does not show it."""
    shown = None if week is None else due(week)
    return AnnouncedCompletion(START + receipt * MINUTE, shown, is_repeat, receipt)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (due(1), due(1)),
        (due(2), due(1)),
        (due(1), due(2, done=True)),
        (task(), due(1)),
    ],
)
def test_what_is_no_move(before: Task, after: Task) -> None:
    """The same date or an earlier one, a task that is done, a first date."""
    assert moved(before, after, START) is None


@given(st.lists(st.integers(2, 6), min_size=1, max_size=12), st.data())
def test_each_date_is_moved_to_once(announced: list[int], data: st.DataObject) -> None:
    """Whatever is announced in whatever order, and however the moves were seen: one for each."""
    stops = [1, *sorted(data.draw(st.sets(st.integers(2, 5)))), 6]
    moves = [move(*pair) for pair in pairwise(stops)]
    reported: Sequence[ReportedCompletion] = ()
    count = 0
    for receipt, week in enumerate(announced):
        confirmed = confirm_completions([said(week, receipt)], moves, reported, due(6), NOW)
        assert confirmed.over == {receipt}
        reported, count = confirmed.reported, count + len(confirmed.done)
    assert count == len(set(announced))


def test_a_webhook_that_shows_the_task_as_it_was_done() -> None:
    """It is about the move from there."""
    confirmed = confirm_completions(
        [AnnouncedCompletion(START, due(1, done=True))], [move(1, 2), move(2, 3)], (), due(3), NOW
    )
    assert weeks(confirmed) == [1]
    assert [one.to for one in confirmed.reported] == [move(1, 2).to]


def test_a_task_that_was_opened_again_and_put_off() -> None:
    """It was not moved at once when it was done: the completion is another one."""
    put_off = replace(due(2), updated_at=START + MINUTE)
    done = replace(due(1, done=True), updated_at=START)
    late = AnnouncedCompletion(START + 2 * MINUTE, done)
    found = [Move(START + MINUTE, due(1), put_off)]
    assert weeks(confirm_completions([late], found, (), due(2), NOW)) == []
    early = replace(late, at=START)
    assert weeks(confirm_completions([early], found, (), due(2), NOW)) == [1]


def test_an_id_alone_waits_for_what_the_system_shows() -> None:
    """A task that was put off a minute before may be done, and only shown as open for a while."""
    earlier = [move(1, 2, START - MINUTE)]
    one = AnnouncedCompletion(START)
    for seconds, reported in ((0, []), (19, []), (20, [1])):
        at = START + timedelta(seconds=seconds)
        assert weeks(confirm_completions([one], earlier, (), due(2), at)) == reported
    together = [move(1, 2, START - timedelta(seconds=3))]
    assert weeks(confirm_completions([one], together, (), due(2), START)) == [1]


def test_an_id_alone_is_about_the_last_move() -> None:
    """And only if the task has stayed there."""
    moves = [move(1, 2), move(2, 3)]
    assert weeks(confirm_completions([said()], moves, (), due(3), NOW)) == [2]
    assert weeks(confirm_completions([said()], moves, (), due(2), NOW)) == []


def test_one_move_is_one_completion() -> None:
    """Of two with an id alone the second waits, unless it is known to be a repetition."""
    again = said(receipt=2)
    confirmed = confirm_completions([again, said()], [move(1, 2)], (), due(2), NOW)
    assert (weeks(confirmed), set(confirmed.over)) == ([1], {1})
    repeated = said(receipt=2, is_repeat=True)
    confirmed = confirm_completions([repeated], [move(1, 2)], confirmed.reported, due(2), NOW)
    assert (weeks(confirmed), set(confirmed.over)) == ([], {2})


def test_what_moved_more_than_an_hour_before_is_not_meant() -> None:
    """Somebody had put the task off long before it was announced."""
    early = move(1, 2, START - timedelta(hours=2))
    for one in (said(), said(2)):
        confirmed = confirm_completions([one], [early], (), due(2), NOW)
        assert (weeks(confirmed), set(confirmed.over)) == ([], set())


def test_what_was_seen_done_is_told() -> None:
    """The task was seen to be done, and then open again with a later date."""
    found = moved(due(1, done=True), due(2), START)
    assert found is not None
    confirmed = confirm_completions([said(2)], [found], (), due(2), NOW)
    assert (weeks(confirmed), set(confirmed.over)) == ([], {1})


def test_a_date_that_is_reached_again_later() -> None:
    """The date was set back, and moved on again with another completion."""
    reported = [ReportedCompletion(START - 5 * MINUTE, move(1, 2).to)]
    assert weeks(confirm_completions([said(2)], [move(1, 2)], reported, due(2), NOW)) == [1]


@pytest.mark.parametrize(
    ("seconds", "is_announced", "same"), [(30, False, True), (90, False, False), (30, True, False)]
)
def test_a_task_that_is_done_where_it_was_moved_to(
    seconds: int, *, is_announced: bool, same: bool
) -> None:
    """Soon it is the same completion, unless it is announced anew; later it is another one."""
    reported = [ReportedCompletion(START, move(1, 2).to)]
    at = START + timedelta(seconds=seconds)
    undated = due(2, done=True)
    dated = task(due=undated.due, done=True, completed_at=at)
    for seen in (undated, dated):
        assert is_same_completion(due(2), seen, reported, at, is_announced=is_announced) is same
    assert not is_same_completion(due(3), undated, reported, START, is_announced=False)


@pytest.mark.parametrize(
    ("seconds", "same"), [(-1, True), (0, True), (0.9, True), (2, False), (30, False)]
)
@pytest.mark.parametrize("is_announced", [True, False])
def test_the_system_says_when_the_task_was_done(
    seconds: float, *, same: bool, is_announced: bool
) -> None:
    """A second completion is told from the first by its time, however soon after it is seen."""
    first = replace(due(1, done=True), completed_at=START - HOUR)
    confirmed = confirm_completions(
        [AnnouncedCompletion(START, first)], [move(1, 2)], (), due(2), NOW
    )
    assert weeks(confirmed) == [1]
    shown_at = START - HOUR + timedelta(seconds=seconds)
    again = replace(due(2, done=True), completed_at=shown_at)
    found = is_same_completion(due(2), again, confirmed.reported, START, is_announced=is_announced)
    assert found is same


def test_what_was_told_answers_an_announcement_for_an_hour() -> None:
    """A receipt does not say that nothing came of it."""
    reported = [ReportedCompletion(START, move(1, 2).to)]
    assert was_reported(reported, START + timedelta(minutes=59))
    assert not was_reported(reported, START + timedelta(minutes=61))
    assert not was_reported((), START)
