"""`together`, as it is foreseen: by a backtest, by `next`, by Coming up and by `plan`."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import config
from service.change_plan import PendingEffect
from service.channels import ways
from service.clock import VirtualClock
from service.simulator import Simulator, foresight
from service.simulator.backtest import backtest, findings, row_of
from service.simulator.batches import batches
from service.simulator.memory.deliveries import Delivery
from service.simulator.rule_backtest import try_rule
from service.simulator.upcoming import in_order, upcoming
from service.store import Pool, history
from tests.harness.corridor import Corridor, begun
from tests.integration.test_change_plan import planned
from tests.integration.test_together import (
    APART,
    MORNING,
    TOGETHER,
    finish,
    one_in_each,
    pass_by,
)

DAY = timedelta(days=1)
HALF_PAST_SEVEN = datetime(2026, 3, 6, 12, 30, tzinfo=UTC)  # in New York, where `field` is


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, MORNING + TOGETHER) as made:
        yield made


async def come_next(taskbell: Corridor, within: timedelta = DAY) -> Sequence[Delivery]:
    """What `taskbell next` shows."""
    sketch, now = config.sketch(taskbell.folder / "taskbell.yaml", {}), taskbell.clock.now()
    simulator = Simulator(sketch.rules, sketch.zones, ways(sketch.kinds), now)
    async with taskbell.pool.acquire() as connection, connection.transaction(readonly=True):
        return await upcoming(simulator, connection, now + within)


async def coming_up(taskbell: Corridor, within: timedelta = DAY) -> Sequence[Delivery]:
    """What the page shows under Coming up."""
    sketch, now = config.sketch(taskbell.folder / "taskbell.yaml", {}), taskbell.clock.now()
    setting = foresight.Setting(sketch.rules, sketch.zones, ways(sketch.kinds))
    found = await foresight.foresee(setting, taskbell.pool, now, now + within, lambda: True)
    return in_order(found.deliveries)


def told(found: Sequence[Delivery]) -> list[tuple[str, str]]:
    return [(one.request.rule, one.text) for one in found]


async def backtested(taskbell: Corridor, since: datetime) -> Sequence[Delivery]:
    """What `taskbell backtest` finds."""
    sketch, until = config.sketch(taskbell.folder / "taskbell.yaml", {}), taskbell.clock.now()
    simulator = Simulator(sketch.rules, sketch.zones, ways(sketch.kinds), since)
    async with taskbell.pool.acquire() as connection, connection.transaction(readonly=True):
        known = history.tasks_at(connection, since)
        recorded = batches(history.events(connection, since, until))
        return list(await backtest(simulator, known, recorded, until, lambda _: None))


async def test_a_schedule_comes_once_by_the_clock_of_its_account(taskbell: Corridor) -> None:
    """`next` and Coming up have one message about the tasks of both, as it is then sent."""
    await one_in_each(taskbell)
    for found in (await come_next(taskbell), await coming_up(taskbell)):
        assert sorted(told(found)) == [
            ("mornings", "Call, Roof"),
            ("quiet", "Nothing done by field"),
        ]
        assert {one.settled_at for one in found} == {HALF_PAST_SEVEN}
        assert {one.request.event.account for one in found} == {"field"}
    await pass_by(taskbell, minutes=30)
    assert sorted(taskbell.posts) == ["Call, Roof", "Nothing done by field"]


async def test_a_question_about_all_accounts_is_foreseen(taskbell: Corridor) -> None:
    """What is done in the other account answers it."""
    _, call = await one_in_each(taskbell)
    await finish(taskbell, call)
    for found in (await come_next(taskbell, DAY / 24), await coming_up(taskbell, DAY / 24)):
        assert sorted(told(found)) == [("done", "Call"), ("mornings", "Roof")]
        [done] = [one for one in found if one.request.rule == "done"]
        assert done.request.event.account == "field"


async def test_an_open_digest_is_foreseen_once(taskbell: Corridor) -> None:
    """With the tasks of both; on the page it is not the same one twice."""
    for key in await one_in_each(taskbell):
        await finish(taskbell, key)
    for found in (await come_next(taskbell, DAY / 24), await coming_up(taskbell, DAY / 24)):
        assert [text for rule, text in told(found) if rule == "done"] == ["Roof, Call"]


async def test_a_backtest_sends_what_was_sent(taskbell: Corridor) -> None:
    """Over two days, with a digest, a full one and the mornings of both accounts."""
    begin = taskbell.clock.now()
    visit, call = await one_in_each(taskbell)
    await pass_by(taskbell, hours=1)
    await finish(taskbell, call)
    await pass_by(taskbell, minutes=10)
    await finish(taskbell, visit)
    await pass_by(taskbell, hours=1)
    for key in [*await one_in_each(taskbell), *await one_in_each(taskbell)][:3]:
        await finish(taskbell, key)
    await pass_by(taskbell, hours=1)
    for _ in range(24):
        await pass_by(taskbell, hours=1)
    found = await backtested(taskbell, begin)
    sent = findings(found, taskbell.config.zones).sent
    assert sorted(one.text for one in sent) == sorted(taskbell.posts)
    assert {row_of(one)["account"] for one in sent} == {"field"}


@pytest.mark.parametrize("rule", ["mornings", "quiet", "done"])
async def test_a_backtest_on_the_page_sends_what_was_sent(taskbell: Corridor, rule: str) -> None:
    """The rule by itself, with the tasks of both accounts."""
    begin = taskbell.clock.now()
    keys = await one_in_each(taskbell)
    await pass_by(taskbell, minutes=40)
    for key in keys:
        await finish(taskbell, key)
    await pass_by(taskbell, hours=1)
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    now = taskbell.clock.now()
    tried = await try_rule(sketch, rule, taskbell.pool, begin, now, lambda _: None)
    real = [one["text"] for one in await taskbell.deliveries(rule)]
    assert [one.text for one in tried.deliveries] == real != []


KEPT, LOST = PendingEffect.KEPT, PendingEffect.LOST


@pytest.mark.parametrize(
    ("before", "finished", "after", "without", "effects", "said"),
    [
        (TOGETHER, "both", TOGETHER.replace("30m", "2h"), "", {KEPT: 1}, ["Roof, Call"]),
        (TOGETHER, "both", APART, "", {KEPT: 1}, ["Roof, Call"]),
        (APART, "both", TOGETHER, "", {KEPT: 2}, ["Call", "Roof"]),
        (TOGETHER, "both", TOGETHER.replace("london]", "sales]"), "", {KEPT: 1}, ["Roof"]),
        (TOGETHER, "call", TOGETHER.replace("london]", "sales]"), "", {LOST: 1}, []),
        (TOGETHER, "both", APART.replace("field, ", ""), "", {KEPT: 1}, ["Call"]),
        (APART, "both", APART.replace(", london", ""), "", {KEPT: 1, LOST: 1}, ["Roof"]),
        (TOGETHER, "both", TOGETHER.replace("together: field", "together: london"), "",
         {KEPT: 1}, ["Roof, Call"]),
        (TOGETHER, "both", APART.replace(", london", ""), "london", {KEPT: 1}, ["Roof"]),
        (TOGETHER, "call", APART.replace(", london", ""), "london", {LOST: 1}, []),
        (TOGETHER, "both", APART.replace("field, ", ""), "field", {LOST: 1}, []),
        (TOGETHER, "both", "", "", {LOST: 1}, []),
    ],
)  # fmt: skip
async def test_plan_says_what_becomes_of_a_digest(
    pool: Pool,
    clock: VirtualClock,
    folder: Path,
    before: str,
    finished: str,
    after: str,
    without: str,
    effects: dict[PendingEffect, int],
    said: list[str],
) -> None:
    """And that comes when the change is made: with the tasks of which accounts, or not at all."""
    async with begun(folder, pool, clock, before) as taskbell:
        visit, call = await one_in_each(taskbell)
        for key in [visit, call] if finished == "both" else [call]:
            await finish(taskbell, key)
        found = await planned(taskbell, after, without=without)
        assert found["done"].digests == effects
        await taskbell.restart(after, without=without)
        await pass_by(taskbell, minutes=31)
        assert sorted(taskbell.posts) == said
