"""What is pending for a channel or an account that is gone is given up, and says why."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.operators.silences import Silence
from service.outbox import operator_actions, removal, silences
from service.outbox.storms import NoStorm, open_in
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from workers.worker import process_name

RULES = """
- { id: told, when: task.created, then: [{ notify: "customer:details" }] }
- { id: late, when: task.created, hours: office, then: [{ notify: accounting }] }
- { id: chase, when: task.created,
    then: [{ wait: 2h }, { notify: "slack:#office", text: chased,
      on_fail: [{ notify: accounting, text: "{{ failure }}" }] }] }
- { id: calm, when: { task.changed: [title] }, settle: 10m, then: [{ notify: accounting }] }
- { id: list, when: task.created, group: { by: "'all'", wait: 1h }, then: [{ notify: accounting }] }
- { id: daily, when: { schedule: "0 9 * * *" }, for_each: "tasks.filter(t, !t.done)",
    then: [{ notify: accounting }] }
storm: { messages: 1 }
"""
ACCOUNT_GONE = "account field is no longer in the configuration"
CHANNEL_GONE = "channel slack is no longer in the configuration"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, on a Friday at 7 in the morning: the office is closed."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def keep(taskbell: Corridor, process: str, *without: str) -> None:
    """A worker process says which lanes it has in its configuration."""
    lanes = [name for name in taskbell.worker.lanes if name not in without]
    await removal.announce_lanes(taskbell.pool, process, lanes, taskbell.clock.now())


async def ends(taskbell: Corridor, rule: str) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


async def test_an_account_that_was_taken_out(taskbell: Corridor) -> None:
    """Nothing of it goes out, by no channel: not what is held, not what was tried before."""
    visits = [taskbell.visit() for _ in range(2)]
    await taskbell.webhook(visits)
    taskbell.clock.advance(MINUTE)
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visits[0]["id"]), name="Call"))
    await taskbell.deliver()
    assert await taskbell.states("told") == ["held", "held"]  # by the storm guard
    await taskbell.restart(RULES, without="field")
    for rule in ("told", "late", "chase"):
        assert await ends(taskbell, rule) == [("cancelled", ACCOUNT_GONE)] * 2
    taskbell.clock.advance(timedelta(hours=6))
    await taskbell.tick(hours=6)
    await taskbell.deliver()
    assert (taskbell.told, taskbell.posts, taskbell.accounting.requests) == ([], [], [])


async def test_waits_digests_schedules_and_storms_of_it_end(taskbell: Corridor) -> None:
    """With a decision that says why; nothing comes of them when the account is back."""
    visits = [taskbell.visit() for _ in range(2)]
    await taskbell.webhook(visits)
    taskbell.clock.advance(MINUTE)
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visits[0]["id"]), name="Call"))
    await taskbell.deliver()
    await taskbell.restart(RULES, without="field")
    given_up = await taskbell.pool.fetch(
        "SELECT rule, reason FROM decisions WHERE outcome = 'given_up' ORDER BY rule"
    )
    assert [tuple(row) for row in given_up] == [("calm", ACCOUNT_GONE), ("list", ACCOUNT_GONE)]
    with pytest.raises(NoStorm):
        await open_in(taskbell.pool, "field")
    await taskbell.tick(hours=30)
    await taskbell.restart(RULES)
    await taskbell.tick(minutes=1)
    for rule in ("calm", "list", "daily"):
        assert await taskbell.deliveries(rule) == []


async def test_a_channel_that_was_taken_out(taskbell: Corridor) -> None:
    """What was to go out by it is given up at once; what stands in for it goes out."""
    await taskbell.webhook(taskbell.visit())
    await taskbell.take_out("slack")
    [posted, instead] = await ends(taskbell, "chase")
    assert posted == ("cancelled", CHANNEL_GONE)
    assert instead[0] == "planned"
    await taskbell.deliver("accounting")
    assert CHANNEL_GONE in taskbell.accounting.requests[-1].json["data"]["text"]
    assert await taskbell.states("late") == ["held"]


async def test_what_another_process_still_has_is_left_alone(taskbell: Corridor) -> None:
    """On another host the old configuration is still in force, until that one is gone as well."""
    await taskbell.webhook(taskbell.visit())
    await keep(taskbell, "another host")
    await taskbell.restart(RULES, without="field")
    await taskbell.take_out("slack")
    assert await taskbell.states("chase") == ["planned"]
    taskbell.clock.advance(2 * MINUTE)
    await keep(taskbell, process_name(), "slack", "account:field")
    await removal.cancel_orphans(taskbell.pool, taskbell.clock.now())
    assert await taskbell.states("chase") == ["cancelled"]


async def test_nothing_is_given_up_while_all_is_there(taskbell: Corridor) -> None:
    """Neither at a restart nor when somebody looks again."""
    await taskbell.webhook(taskbell.visit())
    before = await taskbell.states()
    await taskbell.restart(RULES)
    await removal.cancel_orphans(taskbell.pool, taskbell.clock.now())
    assert await taskbell.states() == before
    assert "cancelled" not in before


async def test_what_a_person_wants_all_the_same_is_given_up_again(taskbell: Corridor) -> None:
    """Another attempt by a channel that is gone does not wait for ever."""
    await taskbell.webhook(taskbell.visit())
    await taskbell.take_out("slack")
    [posted, _] = await taskbell.deliveries("chase")
    await operator_actions.retry(taskbell.pool, taskbell.clock, posted["id"], by=Actor("Ann"))
    await removal.cancel_orphans(taskbell.pool, taskbell.clock.now())
    assert (await ends(taskbell, "chase"))[0] == ("cancelled", CHANNEL_GONE)


async def silence(taskbell: Corridor, begins_in: int = 0, **scopes: str) -> int:
    """Ann makes a silence that begins in so many days and lasts nine."""
    now = taskbell.clock.now()
    begin = now + timedelta(days=begins_in)
    wanted = Silence(0, begin, begin + timedelta(days=9), "stocktaking", **scopes)
    return await silences.add(taskbell.pool, wanted, Actor("Ann"), now)


async def test_silences_of_an_account_that_was_taken_out(taskbell: Corridor) -> None:
    """They end and say why; others stay, and so does one for an account that is to come back."""
    ended = [await silence(taskbell, account="field", rule=name) for name in ("told", "late")]
    ended.append(await silence(taskbell, begins_in=3, account="field"))
    others = [
        await silence(taskbell, rule="told"),
        await silence(taskbell, account="sales"),
        await silence(taskbell, account="to come"),
    ]
    await taskbell.restart(RULES, without="field")
    now = taskbell.clock.now()
    rows = await silences.read(taskbell.pool, now, also_ended=True)
    assert {row["reason"] for row in rows if row["id"] in ended} == {
        f"stocktaking; ended: {ACCOUNT_GONE}"
    }
    assert [row["id"] for row in await silences.read(taskbell.pool, now)] == others
    taskbell.clock.advance(2 * MINUTE)
    later = await silence(taskbell, account="field")
    await keep(taskbell, process_name(), "account:field")
    await removal.cancel_orphans(taskbell.pool, taskbell.clock.now())
    left = await silences.read(taskbell.pool, taskbell.clock.now())
    assert [row["id"] for row in left] == [*others, later]
