"""A customer is told once of a visit: over rules, over accounts, whoever sends first."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import operator_actions
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.kickserv import customer, employee
from service.store import Pool
from tests.harness.corridor import Corridor, begun, corridor, firm

LANE = "account:field"
RULES = """
- { id: clock, when: { task.starting_soon: 30m }, then: [{ notify: customer:on_the_way }] }
- { id: app, when: { signal: leaving }, then: [{ notify: customer:on_the_way }] }
- { id: booked, when: task.created, then: [{ notify: customer:details }] }
- { id: moved, when: task.rescheduled, then: [{ notify: customer:details }] }
"""
TOLD_BY = "already sent: rule {} has sent {} for this visit"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def book(taskbell: Corridor, **fields: Any) -> str:
    """A visit in an hour is made, and its customer hears of it; its id."""
    start = taskbell.clock.now() + timedelta(hours=1)
    made = taskbell.visit(**{"scheduled_at": start, "ends_at": start + timedelta(hours=1)} | fields)
    await taskbell.webhook(made)
    await taskbell.deliver()
    return str(made["id"])


async def leave(taskbell: Corridor, task_id: str) -> None:
    """Somebody says by their phone that they are on their way."""
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.webhook({"signal": "leaving", "task": task_id, "n": str(taskbell.clock.now())})
    await taskbell.deliver()


async def move(taskbell: Corridor, task_id: str, **by: float) -> None:
    """The visit is put off, and whoever is to hear of it does."""
    taskbell.clock.advance(timedelta(minutes=1))
    start = taskbell.clock.now() + timedelta(**by)
    there = taskbell.sandbox.kickserv
    changed = there.change(task_id, scheduled_at=start, ends_at=start + timedelta(hours=1))
    await taskbell.webhook(changed)
    await taskbell.deliver()


async def ends(taskbell: Corridor, rule: str) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


async def test_a_clock_and_a_signal_tell_once(taskbell: Corridor) -> None:
    """Half an hour before, and again when somebody leaves: the second names the first."""
    task_id = await book(taskbell)
    await taskbell.tick(minutes=31)
    await taskbell.deliver()
    await leave(taskbell, task_id)
    assert taskbell.told == ["details", "on_the_way"]
    assert await ends(taskbell, "app") == [("skipped", TOLD_BY.format("clock", "on_the_way"))]


async def test_whoever_leaves_early_is_told_of_by_no_clock(taskbell: Corridor) -> None:
    """The signal comes first, and a second one later: the customer has heard."""
    task_id = await book(taskbell)
    await leave(taskbell, task_id)
    await leave(taskbell, task_id)
    await taskbell.tick(minutes=31)
    await taskbell.deliver()
    assert taskbell.told == ["details", "on_the_way"]
    said = ("skipped", TOLD_BY.format("app", "on_the_way"))
    assert (await ends(taskbell, "clock"), (await ends(taskbell, "app"))[1:]) == ([said], [said])


async def test_the_next_one_goes_if_the_first_did_not(taskbell: Corridor) -> None:
    """The first was refused by the system: nobody has been told, and the next rule tells."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.REJECTED, method="POST"))
    await leave(taskbell, task_id)
    taskbell.sandbox.kickserv.faults.clear()
    assert await taskbell.states("app") == ["failed"]
    await taskbell.tick(minutes=31)
    await taskbell.deliver()
    assert await taskbell.states("clock") == ["sent"]


async def test_what_nobody_knows_counts_as_told(taskbell: Corridor) -> None:
    """The answer was lost; another rule does not send it once more."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="POST"))
    await leave(taskbell, task_id)
    taskbell.sandbox.kickserv.faults.clear()
    await taskbell.tick(minutes=31)
    await taskbell.deliver()
    assert await taskbell.states("app") == ["unknown"]
    assert await taskbell.states("clock") == ["skipped"]


async def test_of_two_at_once_the_second_waits_for_the_first(taskbell: Corridor) -> None:
    """While one is being sent no worker takes the other; when that is given back it may go."""
    task_id = await book(taskbell)
    taskbell.clock.advance(timedelta(minutes=31))
    await taskbell.webhook({"signal": "leaving", "task": task_id})
    await taskbell.tick(seconds=0)
    claims = await asyncio.gather(*(taskbell.claim(LANE, 5) for _ in range(4)))
    assert sum(len(one) for one in claims) == 1
    assert sorted([*await taskbell.states("app"), *await taskbell.states("clock")]) == [
        "planned",
        "sending",
    ]
    await taskbell.pool.execute("UPDATE deliveries SET state = 'failed' WHERE state = 'sending'")
    await taskbell.deliver()
    assert taskbell.told == ["details", "on_the_way"]


async def test_the_details_are_told_for_each_time(taskbell: Corridor) -> None:
    """Moved, and moved back: what the customer heard last is what counts."""
    task_id = await book(taskbell)
    await move(taskbell, task_id, hours=3)
    assert taskbell.told == ["details", "details"]
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, name="Other"))
    await move(taskbell, task_id, minutes=58)  # where it was at first
    assert taskbell.told == ["details"] * 3


async def test_what_waits_is_told_as_it_is_by_then(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Booked and moved twice at night: the system tells the last time, so it is told once."""
    rules = """
- { id: booked, when: task.created, hours: office, then: [{ notify: customer:details }] }
- { id: moved, when: task.rescheduled, hours: office, then: [{ notify: customer:details }] }
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        clock.advance(timedelta(hours=11))
        task_id = await book(taskbell, scheduled_at=clock.now() + timedelta(days=5))
        await move(taskbell, task_id, days=6)
        await move(taskbell, task_id, days=7)
        clock.advance(timedelta(days=2, hours=14))
        await taskbell.begin()
        await taskbell.deliver()
        assert taskbell.told == ["details"]
        said = ("skipped", TOLD_BY.format("booked", "details"))
        assert await ends(taskbell, "moved") == [said, said]
        await move(taskbell, task_id, days=8)
        assert taskbell.told == ["details", "details"]


async def test_a_mail_with_an_old_time_gives_way_to_the_next(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Of two moves at night the customer gets the last; of one that no other mail tells, that."""
    mail = 'notify: "mail:{{ task.customer.email }}", text: "{{ task.start }}"'
    rules = f"""
- {{ id: each, when: task.rescheduled, hours: office, then: [{{ {mail} }}] }}
- {{ id: first, when: task.rescheduled, hours: office, once_per: [task.id], then: [{{ {mail} }}] }}
- {{ id: new, when: task.reassigned, hours: office, then: [{{ {mail} }}] }}
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        clock.advance(timedelta(hours=11))
        task_id = await book(taskbell, scheduled_at=clock.now() + timedelta(days=5))
        await move(taskbell, task_id, days=6)
        await move(taskbell, task_id, days=7)
        for number in (7, 8):
            clock.advance(timedelta(minutes=1))
            others = [employee("Al Fox", number)]
            await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, employees=others))
        clock.advance(timedelta(days=2, hours=14))
        await taskbell.begin()
        await taskbell.deliver()
        again = "cancelled: the task's {} has changed again, and a later message covers that"
        for rule, field in (("each", "due"), ("new", "assignee")):
            [old, last] = await taskbell.deliveries(rule)
            assert (old["state"], old["reason"]) == ("cancelled", again.format(field))
            assert (last["state"], last["attempts"]) == ("planned", 1)
        [only] = await taskbell.deliveries("first")
        assert (only["state"], only["attempts"]) == ("planned", 1)


async def test_another_day_is_another_visit(taskbell: Corridor) -> None:
    """Somebody was on their way, and it is put off to tomorrow: then they come once more."""
    task_id = await book(taskbell)
    await leave(taskbell, task_id)
    await move(taskbell, task_id, hours=2)
    await leave(taskbell, task_id)
    assert taskbell.told.count("on_the_way") == 1
    await move(taskbell, task_id, days=1)
    await leave(taskbell, task_id)
    assert taskbell.told.count("on_the_way") == 2


async def test_another_customer_has_not_been_told(taskbell: Corridor) -> None:
    """The visit is now for somebody else, who has heard of nothing."""
    task_id = await book(taskbell)
    await leave(taskbell, task_id)
    taskbell.clock.advance(timedelta(minutes=1))
    other = customer("Al Jones")
    other["id"] = 99
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, customer=other))
    await leave(taskbell, task_id)
    assert taskbell.told.count("on_the_way") == 2


async def test_two_accounts_of_one_kickserv_are_one_visit(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Two accounts that see the same tasks, one of them with a slash at the end of its address."""

    def twice(url: str) -> str:
        field = firm(url).partition("  london")[0].rstrip()
        north = field.replace("field:", "north:").replace("/kickserv", "/kickserv/")
        return f"{field}\n{north}"

    async with corridor(folder, pool, clock, RULES, twice) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        for account in ("field", "north"):
            await taskbell.webhook(visit, account)
        await taskbell.deliver()
        assert taskbell.told == ["details"]
        assert await ends(taskbell, "booked") == [
            ("sent", None),
            ("skipped", TOLD_BY.format("booked in account field", "details")),
        ]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Europe/London", "America/Los_Angeles"])
async def test_two_accounts_in_two_zones_are_one_visit(
    zone: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Late in the evening it is another day in the zone of the other account, and one visit."""

    def twice(url: str) -> str:
        field = firm(url).partition("  london")[0].rstrip()
        north = field.replace("field:", "north:").replace("poll: 60s", f"timezone: {zone}")
        return f"{field}\n{north}"

    async with corridor(folder, pool, clock, RULES, twice) as taskbell:
        await taskbell.begin()
        start = clock.now().replace(hour=4, minute=30) + timedelta(days=1)
        visit = taskbell.visit(scheduled_at=start, ends_at=start + timedelta(hours=1))
        for account in ("field", "north"):
            await taskbell.webhook(visit, account)
        clock.advance(start - timedelta(minutes=31) - clock.now())
        await taskbell.begin()
        await taskbell.tick(minutes=2)
        await taskbell.deliver()
        assert sorted(taskbell.told) == ["details", "on_the_way"]
        assert sorted(await taskbell.states("clock")) == ["sent", "skipped"]


async def test_a_rule_may_tell_again_in_words(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """`even_if_told`: a reminder of what was told before; for others that counts as told."""
    again = (
        RULES
        + """
- { id: remind, when: { before: task.start, by: 10m },
    then: [{ notify: customer:details, even_if_told: true }] }
- { id: other, when: { before: task.start, by: 5m }, then: [{ notify: customer:details }] }
"""
    )
    async with begun(folder, pool, clock, again) as taskbell:
        await book(taskbell)
        await taskbell.tick(minutes=51)
        await taskbell.deliver()
        await taskbell.tick(minutes=5)
        await taskbell.deliver()
        assert sorted(taskbell.told) == ["details", "details", "on_the_way"]
        assert await ends(taskbell, "other") == [("skipped", TOLD_BY.format("remind", "details"))]


async def test_a_person_may_send_it_once_more(taskbell: Corridor) -> None:
    """What a person asks for goes out, whatever was told."""
    await book(taskbell)
    await taskbell.pool.execute("UPDATE deliveries SET state = 'failed'")
    [failed] = await taskbell.deliveries("booked")
    await taskbell.pool.execute(
        "INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,"
        " at_most_once, state, created_at, settled_at, visit, announced)"
        " SELECT account, task, event, 'by-hand', once_key, step, channel, target, lane,"
        " at_most_once, 'sent', created_at, created_at, visit, announced FROM deliveries"
    )
    await operator_actions.retry(taskbell.pool, taskbell.clock, failed["id"], by=Actor("Ann"))
    await taskbell.deliver()
    assert await taskbell.states("booked") == ["sent"]
