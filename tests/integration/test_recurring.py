"""A recurring task is done and open again with a later date: news of it cross on their way."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.outbox import DeliveryRequest
from service.sandbox.system import Raw
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import batches
from service.store import Pool, history
from service.store.views import api_lists, listing
from tests.harness.corridor import Corridor, begun, copy, kinds

RULES = "- { id: done, when: task.completed, if: task.done, then: [{ notify: accounting }] }"
LOOKS = (2, 5, 15, 60, 180)
SYSTEMS = {"london": "plannr", "field": "kickserv"}
# The news of one completion: a change and what it was, that again in other words, and a poll.
NEWS = ("updated", "completed", "again", "poll")
# Of two in a row.
TWICE = ("updated 1", "completed 1", "updated 2", "completed 2")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync; Kickserv does not say when a task was changed."""
    async with begun(folder, pool, clock, RULES) as running:
        running.sandbox.kickserv.set_quirks(stamped=False)
        yield running


def orders(*news: str) -> list[Sequence[str]]:
    """Every order in which these may come."""
    return list(permutations(news))


class Week:
    """A task that comes every week, and the news of what becomes of it.

    What is pushed is the `whole` task, or its id alone.
    """

    def __init__(self, taskbell: Corridor, account: str = "london", *, whole: bool = True) -> None:
        self.taskbell = taskbell
        self.account = account
        self.system = taskbell.sandbox.systems[SYSTEMS[account]]
        self.is_whole = whole
        self.task_id = ""
        self.news: list[Raw] = []
        self.receipts: list[int] = []

    async def begin(self) -> None:
        """The task is known, and due tomorrow."""
        due = self.taskbell.clock.now() + timedelta(days=1)
        made = self.system.make(**{self.system.when: due})
        self.task_id = self.taskbell.sources[self.account].identify(made) or ""
        await self.taskbell.poll(self.account)
        self.taskbell.clock.advance(timedelta(hours=2))

    def move_on(self, weeks: int = 1) -> None:
        """It is due that many weeks after the beginning; its news are of how it is now."""
        due = self.taskbell.clock.now() + timedelta(days=1, weeks=weeks)
        self.system.change(self.task_id, **{self.system.when: due})
        self.news.append(copy(self.system.whole(self.task_id)))
        self.taskbell.clock.advance(timedelta(seconds=3))

    async def come(self, news: str) -> None:
        """This comes, and is read; `again` is a completion that its sender tells once more."""
        word, _, number = news.partition(" ")
        if word == "poll":
            await self.taskbell.poll(self.account)
        elif word == "restart":
            await self.taskbell.restart(RULES)
        else:
            await self.receive(word, int(number or 1))
            await self.taskbell.ingest()
        await self.look_up()

    async def receive(self, word: str, number: int = 1) -> None:
        """A webhook comes, and waits to be read."""
        hint = {"id": self.task_id, "uuid": self.task_id}
        told = self.news[number - 1] if self.is_whole else hint
        event = "task.updated" if word == "updated" else "task.completed"
        body: dict[str, Any] = {"event": event, "data": told}
        if word == "again":
            body["attempt"] = 2
        self.receipts.append(await self.taskbell.receive(body, self.account))

    async def look_up(self) -> None:
        """Read by id what is asked for, and let a second pass."""
        await self.taskbell.look_up(self.account)
        self.taskbell.clock.advance(timedelta(seconds=1))

    async def end(self) -> None:
        """Wait for as long as anything is waited for."""
        for seconds in LOOKS:
            self.taskbell.clock.advance(timedelta(seconds=seconds))
            await self.look_up()
        await self.taskbell.poll(self.account, full=True)

    async def told(self, kind: str) -> int:
        return kinds(await self.taskbell.events(self.task_id)).count(kind)

    async def reasons(self) -> list[str]:
        """What the receipts say of what did not come of them."""
        page = await listing.read_page(self.taskbell.pool, api_lists.RECEIPTS, {}, 50)
        mine = [row for row in page.rows if row["id"] in self.receipts]
        return [str(row["reason"]) for row in mine if row["reason"] is not None]

    async def is_told_once(self) -> bool:
        """Whether one completion was told, and nothing is said to be missing or is waited for."""
        assert await self.told("completed") == 1
        assert await self.told("rescheduled") == 1
        assert await self.told("reopened") == 0
        assert await self.reasons() == []
        return await self.is_nothing_left()

    async def is_nothing_left(self) -> bool:
        left = await self.taskbell.pool.fetchval(
            "SELECT (SELECT count(*) FROM announcements) + (SELECT count(*) FROM lookups)"
        )
        return bool(left == 0)


@pytest.fixture(params=["london whole", "london id", "field whole"])
async def week(taskbell: Corridor, request: pytest.FixtureRequest) -> Week:
    account, _, content = request.param.partition(" ")
    made = Week(taskbell, account, whole=content == "whole")
    await made.begin()
    return made


@pytest.mark.parametrize("order", orders(*NEWS), ids=" ".join)
async def test_one_completion_is_told_once_in_any_order(week: Week, order: Sequence[str]) -> None:
    """Change, completion, the completion again and a poll: whichever comes first."""
    week.move_on()
    for news in order:
        await week.come(news)
    assert await week.told("completed") == 1, "within seconds"
    await week.end()
    assert await week.is_told_once()
    [done] = await week.taskbell.deliveries("done")
    assert done["task"] == week.task_id


@pytest.mark.parametrize("order", orders("updated", "completed", "again"), ids=" ".join)
async def test_what_is_read_together_is_told_once(week: Week, order: Sequence[str]) -> None:
    """All webhooks have come before the first one is read."""
    week.move_on()
    for word in order:
        await week.receive(word)
    await week.taskbell.ingest()
    await week.look_up()
    assert await week.told("completed") == 1
    await week.end()
    assert await week.is_told_once()


async def test_what_is_pushed_whole_needs_no_reading(taskbell: Corridor) -> None:
    """That the date has moved, and why, is in the same batch of webhooks."""
    week = Week(taskbell)
    await week.begin()
    week.move_on()
    for word in ("updated", "completed", "again"):
        await week.receive(word)
    await taskbell.ingest()
    assert await week.is_told_once()


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("first", ["updated", "completed", "poll"])
async def test_it_is_told_once_over_a_restart(week: Week, first: str, place: int) -> None:
    """A new process knows what was told, and what was seen before."""
    week.move_on()
    rest = [one for one in ("updated", "completed", "again") if one != first]
    order = [first, *rest]
    order.insert(place, "restart")
    for news in order:
        await week.come(news)
    await week.end()
    assert await week.is_told_once()


@pytest.mark.parametrize("first", ["updated", "completed", "poll"])
async def test_what_is_sent_again_later_is_the_same(week: Week, first: str) -> None:
    """A sender that got no answer sends the same again after a minute, and after half an hour."""
    week.move_on()
    for news in (first, "completed"):
        await week.come(news)
    for pause in (1, 30):
        week.taskbell.clock.advance(timedelta(minutes=pause))
        for news in ("completed", "again", "updated"):
            await week.come(news)
    await week.end()
    assert await week.is_told_once()


@pytest.mark.parametrize("order", orders(*TWICE), ids=" / ".join)
async def test_two_in_a_row_are_two_in_any_order(taskbell: Corridor, order: Sequence[str]) -> None:
    """Each says where it has moved the task to, so that none is taken for the other."""
    week = Week(taskbell)
    await week.begin()
    week.move_on()
    week.move_on(weeks=2)
    for news in (*order, "poll", *order):
        await week.come(news)
    await week.end()
    assert await week.told("completed") == 2
    assert await week.told("reopened") == 0
    assert await week.reasons() == []
    assert await week.is_nothing_left()


@pytest.mark.parametrize("order", orders("updated", "completed", "poll"), ids=" ".join)
async def test_the_next_one_is_told_too(week: Week, order: Sequence[str]) -> None:
    """What was told of one completion keeps nobody from telling of the next."""
    for number in (1, 2, 3):
        week.move_on(weeks=number)
        for news in order:
            await week.come(f"{news} {number}")
        assert await week.told("completed") == number
    await week.end()
    assert await week.told("completed") == 3
    assert await week.reasons() == []


@pytest.mark.parametrize("order", orders("updated", "poll"), ids=" ".join)
async def test_what_was_put_off_is_not_completed(week: Week, order: Sequence[str]) -> None:
    """Nobody said that it was done, neither before nor within the time that is waited."""
    week.move_on()
    for news in order:
        await week.come(news)
    await week.end()
    assert await week.told("completed") == 0


async def test_what_was_put_off_after_it_was_told_is_not_completed(week: Week) -> None:
    """A completion that is sent again is not taken for another one."""
    week.move_on()
    for news in ("updated", "completed", "completed"):
        await week.come(news)
    week.move_on(weeks=2)
    for news in ("updated 2", "poll"):
        await week.come(news)
    await week.end()
    assert await week.told("completed") == 1
    assert await week.told("rescheduled") == 2


async def test_what_was_put_off_long_ago_is_not_what_is_announced(week: Week) -> None:
    """The system shows no later date than it did yesterday: the receipt says so."""
    week.move_on()
    await week.come("poll")
    week.taskbell.clock.advance(timedelta(days=1))
    week.system.change(week.task_id, **{week.system.title: "Feed the cat"})
    week.news[0] = copy(week.system.whole(week.task_id))
    await week.come("completed")
    await week.end()
    assert await week.told("completed") == 0
    [reason] = await week.reasons()
    assert "does not show that task" in reason


@pytest.mark.parametrize("pause", [0, 30])
async def test_a_task_put_off_and_then_done_is_told_once(week: Week, pause: int) -> None:
    """Put off until today, and done at once; where it is read, it is still open for a while."""
    week.move_on()
    await week.come("updated")
    week.taskbell.clock.advance(timedelta(seconds=pause))
    tasks = week.system.tasks
    behind = copy(tasks[week.task_id])
    week.system.finish(week.task_id)
    done, tasks[week.task_id] = tasks[week.task_id], behind
    body = {"event": "task.completed", "data": {"id": week.task_id, "uuid": week.task_id}}
    await week.taskbell.webhook(body, week.account)
    await week.look_up()
    assert await week.told("completed") == (0 if pause else 1)
    week.taskbell.clock.advance(timedelta(seconds=15))
    tasks[week.task_id] = done
    await week.look_up()
    await week.come("poll")
    await week.end()
    assert await week.told("completed") == 1
    assert await week.told("reopened") == 0
    snapshot = await week.taskbell.snapshot(week.task_id)
    assert snapshot is not None
    assert snapshot["done"]


async def test_the_last_one_of_a_series_is_told(week: Week) -> None:
    """Two minutes later the task is done for good, and a poll is the first to see it."""
    week.move_on()
    for news in ("updated", "completed"):
        await week.come(news)
    week.taskbell.clock.advance(timedelta(minutes=2))
    week.system.finish(week.task_id)
    await week.come("poll")
    assert await week.told("completed") == 2


async def test_it_tells_of_the_task_that_was_done(week: Week) -> None:
    """The event has the date that the task was done for, not the one it has moved on to."""
    was = await week.taskbell.snapshot(week.task_id)
    week.move_on()
    for news in ("poll", "completed"):
        await week.come(news)
    row = await week.taskbell.pool.fetchrow(
        "SELECT after ->> 'due' AS due, after ->> 'done' AS done FROM events"
        " WHERE kind = 'completed'"
    )
    assert was is not None
    assert row is not None
    assert (row["due"], row["done"]) == (was["due"], "true")


def rehearsed(taskbell: Corridor, begin: datetime) -> Simulator:
    config = taskbell.config
    return Simulator(config.rules, config.zones, ways(config.kinds), begin)


async def backtested(
    taskbell: Corridor, begin: datetime, until: datetime, simulator: Simulator | None = None
) -> list[DeliveryRequest]:
    """What would have been sent in that time."""
    simulator = simulator or rehearsed(taskbell, begin)
    async with taskbell.pool.acquire() as connection, connection.transaction():
        known = history.tasks_at(connection, begin)
        recorded = batches(history.events(connection, begin, until))
        sent = await backtest(simulator, known, recorded, until, lambda _: None)
    return [one.request for one in sent]


async def test_a_backtest_tells_of_it_as_well(week: Week) -> None:
    """It was told after the task was seen to be moved on, and is open there as well."""
    taskbell, begin = week.taskbell, week.taskbell.clock.now()
    week.move_on()
    for news in ("poll", "completed"):
        await week.come(news)
    simulator = rehearsed(taskbell, begin)
    sent = await backtested(taskbell, begin, taskbell.clock.now(), simulator)
    assert [order.rule for order in sent] == ["done"]
    task = simulator.tx.tasks.current((week.account, week.task_id))
    assert task is not None
    assert not task.done


@pytest.mark.parametrize("seconds", [5, 30, 50])
async def test_a_second_completion_soon_after_the_first_is_told(
    taskbell: Corridor, seconds: int
) -> None:
    """The webhook of the first came late and has its time: the second cannot be taken for it."""
    week = Week(taskbell)
    await week.begin()
    week.system.finish(week.task_id)
    first = copy(week.system.whole(week.task_id))
    taskbell.clock.advance(timedelta(seconds=4))
    week.system.reopen(week.task_id)
    week.move_on()
    await week.come("poll")
    await taskbell.receive({"event": "task.completed", "data": first}, week.account)
    await taskbell.ingest()
    await week.look_up()
    assert await week.told("completed") == 1
    taskbell.clock.advance(timedelta(seconds=seconds))
    week.system.finish(week.task_id)
    await week.come("poll")
    assert await week.told("completed") == 2


THANKS = """
- { id: thanks, when: task.completed, accounts: [field], if: task.done,
    then: [{ wait: 1h }, { notify: customer:details }] }
"""


@pytest.mark.parametrize("ending", ["recurs", "reopened", "recurs, then reopened"])
async def test_its_customer_is_told(
    ending: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The visit was made, though the next one is open by then; but not one that is opened again."""
    async with begun(folder, pool, clock, THANKS) as taskbell:
        visit = Week(taskbell, "field")
        await visit.begin()
        if ending.startswith("recurs"):
            visit.move_on()
            await visit.come("completed")
        else:
            visit.system.finish(visit.task_id)
            await visit.come("poll")
        taskbell.clock.advance(timedelta(minutes=59))
        if ending == "recurs, then reopened":
            visit.system.finish(visit.task_id)
            await visit.come("poll")
        if ending.endswith("reopened"):
            visit.system.reopen(visit.task_id)
            visit.move_on(2)
        await taskbell.tick(minutes=1)
        await taskbell.deliver()
        assert len(taskbell.told) == (0 if ending == "reopened" else 1)


async def test_a_backtest_tells_its_customer(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """An hour after the visit, when the next one is open."""
    async with begun(folder, pool, clock, THANKS) as taskbell:
        visit = Week(taskbell, "field")
        await visit.begin()
        begin = clock.now()
        visit.move_on()
        await visit.come("completed")
        sent = await backtested(taskbell, begin, clock.now() + timedelta(hours=2))
        assert [order.rule for order in sent] == ["thanks"]
