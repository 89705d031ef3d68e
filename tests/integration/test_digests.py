"""Digests: what happens one by one is told at once, and once, whatever becomes of the process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from service.clock import VirtualClock
from service.sandbox.kickserv import customer
from service.store import Pool
from tests.harness.corridor import Corridor, begun, corridor, firm, go_round

TELL = """
    - notify: slack:#office
      text: "{{ group.size }} {{ WORD }}: {{ group.tasks | map: 'title' | join: ', ' }}"
"""
DONE = """
- id: done-lately
  when: task.completed
  group: { by: "'the day'", wait: 30m, max: 3 }
  then:
""" + TELL.replace("{{ WORD }}", "done").lstrip("\n")
LATE = """
- id: late
  when: task.overdue
  group: { by: "'all'", wait: 1h }
  then:
""" + TELL.replace("{{ WORD }}", "late").lstrip("\n")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that tells of finished visits every half hour."""
    async with begun(folder, pool, clock, DONE) as made:
        yield made


async def finish(taskbell: Corridor, name: str) -> str:
    """A visit of this name is made and, a minute later, finished; its id."""
    visit = taskbell.visit(name=name)
    await taskbell.webhook(visit)
    await taskbell.tick(minutes=1)
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    return str(visit["id"])


async def late_at_noon(taskbell: Corridor, name: str) -> str:
    """A visit of this name that is overdue in an hour; its id."""
    end = taskbell.clock.now() + timedelta(hours=1)
    visit = taskbell.visit(name=name, scheduled_at=end - timedelta(hours=1), ends_at=end)
    await taskbell.webhook(visit)
    return str(visit["id"])


async def pass_by(taskbell: Corridor, **time: float) -> None:
    """Let time pass, and send what is due."""
    await taskbell.tick(**time)
    await taskbell.deliver()


async def test_half_an_hour_of_work_is_one_message(taskbell: Corridor) -> None:
    """Two visits done within the half hour: one message, half an hour after the first."""
    await finish(taskbell, "roof")
    await pass_by(taskbell, minutes=20)
    await finish(taskbell, "gutters")
    await pass_by(taskbell, minutes=8)
    assert taskbell.posts == []
    await pass_by(taskbell, minutes=1)
    assert taskbell.posts == ["2 done: roof, gutters"]
    await pass_by(taskbell, hours=2)
    assert len(taskbell.posts) == 1
    assert [reason.partition(";")[0] for reason in await taskbell.reasons()] == [
        "task.completed",
        "task.completed",
        "combined message for the day: 2 tasks",
    ]


async def test_the_next_one_opens_another(taskbell: Corridor) -> None:
    """What is done after the digest was told waits its own half hour."""
    await finish(taskbell, "roof")
    await pass_by(taskbell, minutes=30)
    await finish(taskbell, "gutters")
    await pass_by(taskbell, minutes=30)
    assert taskbell.posts == ["1 done: roof", "1 done: gutters"]


async def test_a_full_digest_waits_no_longer(taskbell: Corridor) -> None:
    """Three are as many as it takes; the fourth begins another one."""
    for name in ("roof", "gutters", "fence", "gate"):
        await finish(taskbell, name)
    await pass_by(taskbell)
    assert taskbell.posts == ["3 done: roof, gutters, fence"]
    await pass_by(taskbell, minutes=30)
    assert taskbell.posts[1:] == ["1 done: gate"]


async def test_many_at_once_are_as_many_digests_as_it_takes(taskbell: Corridor) -> None:
    """Seven that come in one transaction: three, three, and one that waits."""
    visits = [taskbell.visit(name=f"v{number}") for number in range(7)]
    for visit in visits:
        await taskbell.receive(visit)
    await taskbell.ingest()
    taskbell.clock.advance(timedelta(minutes=1))
    for visit in visits:
        await taskbell.receive(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    await taskbell.ingest()
    await pass_by(taskbell)
    assert sorted(len(post.split(", ")) for post in taskbell.posts) == [3, 3]
    await pass_by(taskbell, minutes=30)
    assert len(taskbell.posts) == 3


async def test_a_digest_tells_of_tasks_as_they_are_when_it_is_told(taskbell: Corridor) -> None:
    """Renamed meanwhile: the new name; gone meanwhile: left out, and it says so."""
    renamed = await finish(taskbell, "roof")
    gone = await finish(taskbell, "gutters")
    await taskbell.webhook(taskbell.sandbox.kickserv.change(renamed, name="the whole roof"))
    taskbell.sandbox.kickserv.delete(gone)
    await taskbell.webhook({"id": gone})
    await taskbell.look_up()
    await pass_by(taskbell, hours=1)
    assert taskbell.posts == ["1 done: the whole roof"]
    assert f"left out: {gone} was deleted" in (await taskbell.reasons())[-1]


async def test_an_empty_digest_sends_nothing_and_says_why(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Late at one, done and moved by two: there is nothing left to be said."""
    async with begun(folder, pool, clock, LATE) as taskbell:
        done = await late_at_noon(taskbell, "roof")
        moved = await late_at_noon(taskbell, "gutters")
        await pass_by(taskbell, hours=1, minutes=1)
        later = taskbell.clock.now() + timedelta(days=1)
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(done))
        await taskbell.webhook(
            taskbell.sandbox.kickserv.change(moved, scheduled_at=later, ends_at=later)
        )
        await pass_by(taskbell, hours=2)
        assert taskbell.posts == []
        assert await taskbell.deliveries() == []
        assert (await taskbell.reasons())[-1] == (
            f"no tasks are left for the combined message for all; left out: {done} is done,"
            f" the date of {moved} has changed"
        )


async def test_until_leaves_a_task_out(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """A task of which `until` is true by then is not told of; the others are."""
    rules = LATE.replace("then:", 'until: task.title == "never mind"\n  then:')
    async with begun(folder, pool, clock, rules) as taskbell:
        dropped = await late_at_noon(taskbell, "roof")
        await late_at_noon(taskbell, "gutters")
        await pass_by(taskbell, hours=1, minutes=1)
        await taskbell.webhook(taskbell.sandbox.kickserv.change(dropped, name="never mind"))
        await pass_by(taskbell, hours=1)
        assert taskbell.posts == ["1 late: gutters"]


async def test_a_restart_loses_no_digest(taskbell: Corridor) -> None:
    """The half hour is over while no worker runs: the next one tells of it, once."""
    await finish(taskbell, "roof")
    await taskbell.restart(DONE)
    taskbell.clock.advance(timedelta(hours=1))
    await taskbell.restart(DONE)
    await pass_by(taskbell, minutes=1)
    await taskbell.restart(DONE)
    await pass_by(taskbell, hours=1)
    assert taskbell.posts == ["1 done: roof"]


async def test_two_workers_tell_once(taskbell: Corridor) -> None:
    """However many rounds go side by side, a digest is told by one of them."""
    for _ in range(9):
        await finish(taskbell, "roof")
    for _ in range(2):  # at first they only connect
        await asyncio.gather(*(go_round(taskbell.worker) for _ in range(4)))
        await finish(taskbell, "gutters")
        taskbell.clock.advance(timedelta(hours=1))
    await asyncio.gather(*(go_round(taskbell.worker) for _ in range(4)))
    await taskbell.deliver()
    assert taskbell.posts == ["3 done: roof, roof, roof"] * 3 + ["1 done: gutters"] * 2
    told = [
        reason for reason in await taskbell.reasons() if reason.startswith("combined message for")
    ]
    assert len(told) == 5


async def test_a_rule_that_is_gone_says_so(taskbell: Corridor) -> None:
    """Taken out while its digest was open: nothing is sent, and that is the reason."""
    await finish(taskbell, "roof")
    await taskbell.restart("- { id: other, when: task.created, then: [{ wait: 1s }] }")
    await pass_by(taskbell, hours=1)
    assert taskbell.posts == []
    assert (await taskbell.reasons())[-1] == (
        "the rule was removed or switched off before its combined message was sent"
    )


async def test_hours_and_once_per_are_about_the_digest(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Not told before the office opens, it gathers until then; and only one a day goes out."""
    rules = DONE.replace("then:", "hours: office\n  once_per: [group.key, date(now)]\n  then:")
    async with begun(folder, pool, clock, rules) as taskbell:
        await finish(taskbell, "roof")
        await pass_by(taskbell, minutes=30)
        assert await taskbell.states() == []
        await finish(taskbell, "gate")
        await pass_by(taskbell, hours=1)
        assert taskbell.posts == ["2 done: roof, gate"]
        await finish(taskbell, "gutters")
        await pass_by(taskbell, hours=1)
        assert len(taskbell.posts) == 1
        assert (await taskbell.reasons())[-1].endswith(
            "not sent again: planned or sent before (`once_per`)"
        )


async def test_an_old_digest_expires(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """`expires` counts from when the digest was to be told."""
    rules = DONE.replace("then:", "expires: 1h\n  then:")
    async with begun(folder, pool, clock, rules) as taskbell:
        await finish(taskbell, "roof")
        await pass_by(taskbell, hours=3)
        assert await taskbell.states() == ["skipped"]


async def test_a_digest_is_about_no_task_in_particular(taskbell: Corridor) -> None:
    """Its delivery names the event that opened it, and no task whose end would withdraw it."""
    await finish(taskbell, "roof")
    await taskbell.tick(minutes=30)
    [delivery] = await taskbell.deliveries()
    assert delivery["task"] == ""
    kind = await taskbell.pool.fetchval("SELECT kind FROM events WHERE id = $1", delivery["event"])
    assert kind == "completed"


async def test_a_webhook_about_a_digest_names_no_task(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It carries the event that opened the digest, and the text; of the tasks it takes none out."""
    rules = DONE.replace("notify: slack:#office", "notify: accounting")
    async with begun(folder, pool, clock, rules) as taskbell:
        await finish(taskbell, "roof")
        await pass_by(taskbell, minutes=30)
        [request] = taskbell.accounting.requests
        body = orjson.loads(request.body)
        assert body["type"] == "task.completed"
        assert body["data"]["text"] == "1 done: roof"
        assert (body["data"]["task"], body["data"]["event"]["task"]) == (None, "")


OPTED = """
- id: as-it-comes
  when: task.created
  group: { by: task.customer.email, wait: 5m }
  if: has(task.customer) && has(task.customer.email)
  then: [{ notify: "mail:{{ group.key }}", text: "{{ group.size }} visits" }]
- id: hourly
  when: { schedule: "0 * * * *" }
  for_each: tasks.filter(t, !t.done && has(t.customer) && has(t.customer.email))
  group: { by: task.customer.email }
  then: [{ notify: "mail:{{ group.key }}", text: "{{ group.size }} visits" }]
"""


async def test_a_digest_reaches_nobody_who_has_opted_out(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Gathered or by a schedule; others get theirs."""

    def accounts(url: str) -> str:
        return firm(url).replace("task_types:", "opted_out_field: no_mail, task_types:")

    ida = customer("Ida", 1) | {"no_mail": "yes"}
    al = customer("Al", 2) | {"no_mail": ""}
    async with corridor(folder, pool, clock, OPTED, accounts) as taskbell:
        await taskbell.begin()
        for one in (ida, ida, al):
            await taskbell.webhook(taskbell.visit(customer=one))
        await taskbell.tick(minutes=6)
        await taskbell.tick(hours=1)
        for rule in ("as-it-comes", "hourly"):
            ends = {one["target"]: one["state"] for one in await taskbell.deliveries(rule)}
            assert ends == {ida["email"]: "skipped", al["email"]: "planned"}
