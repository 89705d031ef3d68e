"""The storm guard: a flood of customer messages is held, and a person is asked once."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.config.operator import Operator
from service.domain.actors import Actor
from service.domain.operators.overrides import Mode
from service.domain.storms import Lately, StormGuard, StormScope, usual, usual_of
from service.outbox import approvals, gates, operator_actions, storms
from service.outbox.gates import Candidate
from service.outbox.storms import NoStorm
from service.processes.embedded import EmbeddedValkey
from service.rules.ruleset import Ruleset
from service.sandbox.kickserv import customer
from service.settings import read_settings
from service.simulator.memory.events import MemoryEvents
from service.simulator.memory.outbox import MemoryOutbox
from service.store import Pool
from tests.harness.corridor import Corridor, begun, corridor
from tests.harness.running import free_port
from tests.harness.site import serving
from workers import wiring
from workers.alerts import Alerts

LANE = "account:field"
RULES = """
- id: new
  when: task.created
  then: [{ notify: "customer:details" }, { notify: accounting }]
storm: { messages: 5, within: 10m }
"""


def words_of(page: str) -> str:
    """What is read on a page, without its markup."""
    return unescape(" ".join(re.sub(r"<[^>]+>", "", page).split()))


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def book(taskbell: Corridor, count: int) -> None:
    """So many visits are made at once."""
    await taskbell.webhook([taskbell.visit() for _ in range(count)])


async def customers(taskbell: Corridor) -> list[str]:
    rows = await taskbell.pool.fetch(
        "SELECT state FROM deliveries WHERE channel = 'customer' ORDER BY id"
    )
    return [row["state"] for row in rows]


async def test_as_many_as_allowed_go(taskbell: Corridor) -> None:
    """Five within ten minutes are no storm, and when these are over another five are not."""
    for _ in range(2):
        await book(taskbell, 5)
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=10))
    assert len(taskbell.told) == 10


async def test_one_more_holds_all_that_have_not_gone(taskbell: Corridor) -> None:
    """An import of six: no customer hears of it; others do. Nobody is claimed or sent twice."""
    await book(taskbell, 6)
    await taskbell.deliver()
    assert taskbell.told == []
    assert len(taskbell.accounting.requests) == 6
    [held] = {
        (one["state"], one["reason"], one["attempts"], one["lease_until"], one["next_attempt_at"])
        for one in await taskbell.deliveries()
        if one["channel"] == "customer"
    }
    why = "on hold, too many at once: 6 customer messages in 10 minutes (limit 5)"
    assert held == ("held", why, 0, None, None)


async def test_little_by_little_is_a_storm_too(taskbell: Corridor) -> None:
    """One a minute: the sixth and those after it wait, over restarts, until somebody decides."""
    for _ in range(8):
        await book(taskbell, 1)
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.restart(RULES)
    assert await customers(taskbell) == ["sent"] * 5 + ["held"] * 3
    taskbell.clock.advance(timedelta(days=1))
    await book(taskbell, 1)
    await taskbell.deliver()
    assert await customers(taskbell) == ["sent"] * 5 + ["held"] * 4


async def test_what_is_on_trial_makes_no_storm(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A rule that would tell ten customers keeps none from hearing of another."""
    trial = (
        "- { id: trial, when: task.created, enabled: shadow, then: [{ notify: customer:details }] }"
    )
    rules = RULES.replace("storm:", f"{trial}\nstorm:").replace(
        "when: task.created\n", 'when: task.created\n  if: task.title == "Roof"\n', 1
    )
    async with begun(folder, pool, clock, rules) as taskbell:
        visits = [taskbell.visit(name=name) for name in ("Roof", *["Gutters"] * 9)]
        await taskbell.webhook(visits)
        await taskbell.deliver()
        assert taskbell.told == ["details"]
        assert set(await taskbell.states("trial")) == {"skipped"}


async def test_what_is_held_ends_with_its_task(taskbell: Corridor) -> None:
    """The import was a mistake: the visits that are deleted or done are told to nobody."""
    visits = [taskbell.visit() for _ in range(6)]
    await taskbell.webhook(visits)
    await taskbell.deliver()
    gone, done, *_ = [str(visit["id"]) for visit in visits]
    taskbell.sandbox.kickserv.change(done, completed_on="2026-03-06")
    taskbell.sandbox.kickserv.delete(gone)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.poll(full=True)
    await taskbell.look_up()
    [storm] = await storms.open_in(taskbell.pool, "field")
    assert await storms.release(taskbell.pool, taskbell.clock, storm, by=Actor("Ann")) == (
        frozenset({LANE}),
        4,
    )
    await taskbell.deliver()
    assert (await customers(taskbell)).count("cancelled") == 2
    assert len(taskbell.told) == 4


async def test_what_is_let_go_goes_once_and_asks_nothing_again(taskbell: Corridor) -> None:
    """And a few more soon after are no second storm."""
    await book(taskbell, 30)
    await taskbell.deliver()
    [storm] = await storms.open_in(taskbell.pool, "field")
    released = await storms.release(taskbell.pool, taskbell.clock, storm, by=Actor("Ann"))
    assert released == (frozenset({LANE}), 30)
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.deliver()
    await book(taskbell, 5)
    await taskbell.deliver()
    assert len(taskbell.told) == 35
    with pytest.raises(NoStorm):
        await storms.drop(taskbell.pool, taskbell.clock, storm, by=Actor("Bo"))
    await book(taskbell, 1)
    await taskbell.deliver()
    assert (await customers(taskbell))[-1] == "held"


async def test_what_is_dropped_is_never_sent(taskbell: Corridor) -> None:
    """Its reason says by whom; a single one can still be sent by a person."""
    await book(taskbell, 6)
    await taskbell.deliver()
    [storm] = await storms.open_in(taskbell.pool, "field")
    await storms.drop(taskbell.pool, taskbell.clock, storm, by=Actor("Ann"))
    await taskbell.deliver()
    assert taskbell.told == []
    [first, *_] = await taskbell.deliveries()
    assert (first["state"], first["reason"].partition(" (was: ")[0]) == (
        "cancelled",
        "never to be sent, as decided by Ann",
    )
    await operator_actions.retry(taskbell.pool, taskbell.clock, first["id"], by=Actor("Ann"))
    await taskbell.deliver()
    assert taskbell.told == ["details"]


async def test_held_messages_expire_and_are_withdrawn(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Nobody decides: what is too late expires, what has become pointless is withdrawn."""
    rules = RULES.replace("when: task.created", "when: task.created\n  expires: 1h")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visits = [taskbell.visit() for _ in range(6)]
        await taskbell.webhook(visits)
        await taskbell.deliver()
        clock.advance(timedelta(hours=1))
        await taskbell.deliver(LANE)
        assert await customers(taskbell) == ["expired"] * 6
        assert taskbell.told == []
        [said] = {
            one["reason"] for one in await taskbell.deliveries() if one["target"] == "details"
        }
        assert said.startswith("too late: it had to be sent by ")
        assert said.endswith(
            "; on hold, too many at once: 6 customer messages in 10 minutes (limit 5)"
        )


OTHERS = """
- { id: new, when: task.created, then: [{ notify: customer:details }] }
- { id: done, when: task.completed, then: [{ notify: customer:on_the_way }] }
storm: { messages: 5, within: 10m }
"""


async def sweep(taskbell: Corridor, database_url: str) -> None:
    """A worker process looks after what was left behind."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    settings, clock = read_settings(environ), taskbell.clock
    async with wiring.open_worker(settings, taskbell.config, clock) as running:
        await running.sweep()


async def test_a_storm_ends_with_its_last_message(
    pool: Pool, clock: VirtualClock, folder: Path, database_url: str
) -> None:
    """Ann switches the rule off, and all of it is cancelled: others of the account go out again.

    While one message is left, it goes on; and the next flood is another storm.
    """
    async with begun(folder, pool, clock, OTHERS) as taskbell:
        visits = [taskbell.visit() for _ in range(6)]
        await taskbell.webhook(visits)
        await taskbell.deliver()
        await sweep(taskbell, database_url)
        assert [one["held"] for one in await storms.read(pool)] == [6]
        await taskbell.switch("new", Mode.OFF)
        await sweep(taskbell, database_url)
        assert await storms.read(pool) == []

        clock.advance(timedelta(hours=2))
        await taskbell.restart(OTHERS)
        first, *others = [taskbell.sandbox.kickserv.finish(str(one["id"])) for one in visits]
        await taskbell.webhook(first)
        await taskbell.deliver()
        assert taskbell.told == ["on_the_way"]
        await taskbell.webhook(others)
        await taskbell.deliver()
        assert [one["held"] for one in await storms.read(pool)] == [5]


async def test_of_two_workers_neither_lets_too_many_go(taskbell: Corridor) -> None:
    """They claim at the same time, and count together."""
    await book(taskbell, 6)
    claims = await asyncio.gather(*(taskbell.claim(LANE, 3) for _ in range(4)))
    assert [len(one) for one in claims] == [0, 0, 0, 0]
    assert await customers(taskbell) == ["held"] * 6


async def test_a_worker_that_dies_over_it_loses_nothing(taskbell: Corridor) -> None:
    """Five are claimed, the worker is gone: they are unknown; the sixth is held, and all count."""
    await book(taskbell, 5)
    assert len(await taskbell.claim(LANE, 5)) == 5
    await book(taskbell, 1)
    assert await taskbell.claim(LANE, 5) == []
    await taskbell.lose_workers(minutes=1)
    assert await customers(taskbell) == ["unknown"] * 5 + ["held"]


async def test_ten_times_the_usual_is_a_storm(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Where one or so goes out at a time, eleven are held although fifty would be allowed."""
    rules = RULES.replace("storm: { messages: 5, within: 10m }", "")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        for _ in range(20):
            await book(taskbell, 1)
            await taskbell.deliver()
            clock.advance(timedelta(hours=1))
        await book(taskbell, 10)
        await taskbell.deliver()
        assert len(taskbell.told) == 30
        clock.advance(timedelta(hours=1))
        await book(taskbell, 15)
        await taskbell.deliver()
        assert len(taskbell.told) == 30
        [storm] = await storms.read(pool)
        assert storm["held"] == 15
        assert storm["reason"].endswith("more than 10 times the usual 1.4)")


def test_what_is_usual_needs_a_past() -> None:
    """Nineteen spans of time are too few to tell; messages of one span count together."""
    assert usual_of(19, 19) is None
    start = datetime.fromisoformat("2026-03-06T12:00:00+00:00")
    moments = [start + timedelta(minutes=10 * (number // 3)) for number in range(60)]
    assert usual(moments, timedelta(minutes=10)) == 3.0
    guard, customers, post = (
        StormGuard(),
        StormScope("field"),
        StormScope("field", "late", "slack:#office"),
    )
    assert guard.refusal(customers, 31, 3.0) is not None
    assert guard.refusal(customers, 30, 3.0) is None
    assert guard.refusal(customers, 50, None) is None
    assert guard.refusal(customers, 51, None) is not None
    assert guard.refusal(post, 100, None) is None
    assert guard.refusal(post, 101, None) is not None
    assert guard.refusal(StormScope("field", "late"), 150, None) is None
    assert guard.refusal(StormScope("field", "late"), 151, None) is not None
    assert StormGuard(messages=1_000_000).most(StormScope("field", "late")) == 3_000_000
    assert StormGuard(messages=5).most(StormScope("field", "late")) == 150
    every = (customers, post, StormScope("field", "late"))
    assert tuple(StormScope.from_key(one.key) for one in every) == every


async def test_the_operator_is_asked_once(taskbell: Corridor) -> None:
    """By whichever worker; and not at all about what was decided before."""
    config = replace(taskbell.config, operator=Operator("slack", "#office"))
    address = wiring.operator_address(config)
    alerts = [Alerts(taskbell.pool, taskbell.clock, config.accounts, address) for _ in range(2)]
    await book(taskbell, 6)
    await taskbell.deliver()
    await asyncio.gather(*(one.batch() for one in alerts))
    await taskbell.deliver()
    [asked] = taskbell.posts
    assert asked.startswith("Too many messages at once in field: 6 customer messages in 10 minutes")
    assert "`taskbell outbox release field`" in asked
    [storm] = await storms.open_in(taskbell.pool, "field")
    await storms.drop(taskbell.pool, taskbell.clock, storm, by=Actor("Ann"))
    await book(taskbell, 6)
    await taskbell.deliver()
    [again] = await storms.open_in(taskbell.pool, "field")
    await storms.drop(taskbell.pool, taskbell.clock, again, by=Actor("Ann"))
    await alerts[0].batch()
    await taskbell.deliver()
    assert len(taskbell.posts) == 1


async def test_the_page_and_the_api_decide(taskbell: Corridor, valkey: EmbeddedValkey) -> None:
    """How many are held and why; one press, and a second comes too late."""
    await book(taskbell, 6)
    await taskbell.deliver()
    async with serving(taskbell.config, taskbell.pool, taskbell.clock, valkey.url) as web:
        page = words_of((await web.client.get("/")).text)
        assert "1 item needs attention" in page
        assert "6 messages to customers of field" in page
        assert page.count("(rule new)") == 6
        pressed = await web.client.post("/storms/1/release")
        assert pressed.headers["location"] == "/"
        late = await web.client.post("/storms/1/drop")
        assert late.headers["location"] == "/?too_late"
        assert (await web.client.post("/api/v1/storms/1/drop")).status_code == 409
        [listed] = (await web.client.get("/api/v1/storms")).json()["data"]
        assert (listed["ended_by"], listed["held"]) == ("someone on this machine", 0)
    await taskbell.deliver()
    assert len(taskbell.told) == 6


MANY = """
- { id: late, when: task.created, then: [{ notify: "slack:#office", text: "{{ task.title }}" }] }
- { id: other, when: task.created, if: task.title == "Roof",
    then: [{ notify: "slack:#office", text: "Roof" }] }
- { id: elsewhere, when: task.created, if: task.title == "Roof",
    then: [{ notify: "slack:#dispatch", text: "Roof" }] }
- { id: book, when: task.created, then: [{ notify: accounting }] }
storm: { per_target: 5 }
"""


async def test_a_flood_of_one_rule_to_one_place_is_held(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Six posts of one rule in one Slack channel are too many; what others say there goes out."""
    async with begun(folder, pool, clock, MANY) as taskbell:
        await book(taskbell, 5)
        await taskbell.webhook(taskbell.visit(name="Roof"))
        await taskbell.deliver()
        assert await taskbell.states("late") == ["held"] * 6
        assert await taskbell.states("other") == ["sent"]
        assert await taskbell.states("elsewhere") == ["sent"]
        assert await taskbell.states("book") == ["sent"] * 6  # no person reads a webhook
        [held] = {one["reason"] for one in await taskbell.deliveries("late")}
        said = '6 messages to slack:#office from rule "late" in 10 minutes (limit 5)'
        assert held == f"on hold, too many at once: {said}"
        [storm] = await storms.open_in(pool, "field", "late")
        released = await storms.release(pool, clock, storm, by=Actor("Ann"))
        assert released == (frozenset({"slack"}), 6)
        await book(taskbell, 5)
        for _ in range(12):  # no faster than Slack takes them
            await taskbell.deliver("slack")
            clock.advance(timedelta(seconds=2))
        assert await taskbell.states("late") == ["sent"] * 11


async def test_what_three_days_off_held_back_is_a_flood(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A hundred go out when the office opens; a hundred and one are asked about first."""
    rules = MANY.replace("storm: { per_target: 5 }", "").replace(
        "id: late, when: task.created,", "id: late, when: task.created, hours: office,"
    )
    async with begun(folder, pool, clock, rules) as taskbell:
        await book(taskbell, 101)
        await taskbell.tick(hours=1)
        await taskbell.deliver("slack")
        assert await taskbell.states("late") == ["held"] * 101
        assert taskbell.posts == []
        [storm] = await storms.read(pool)
        assert (storm["held"], storm["rule"], storm["receiver"]) == (101, "late", "slack:#office")


async def test_sixty_posts_are_a_busy_day(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """They go out, without anybody being asked."""
    rules = MANY.replace("storm: { per_target: 5 }", "")
    async with begun(folder, pool, clock, rules) as taskbell:
        await book(taskbell, 60)
        await taskbell.deliver("slack")
        assert await storms.read(pool) == []
        assert "held" not in await taskbell.states("late")


async def test_customers_by_mail_count_with_the_others(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Three by their system and three by mail are six, of which five may go."""
    mail = """
- { id: mail, when: task.created, then: [{ notify: "mail:{{ task.customer.email }}",
    subject: Hello, text: x }] }
- { id: crew, when: task.created, then: [{ notify: "mail:crew@firm.test", subject: x, text: x }] }
"""
    async with begun(folder, pool, clock, mail + RULES) as taskbell:
        await book(taskbell, 3)
        claimed = await taskbell.claim("mail", 9)
        assert {one.message.rule for one in claimed} == {"crew"}
        assert await taskbell.claim(LANE, 9) == []
        assert await taskbell.states("mail") == ["held"] * 3
        assert await customers(taskbell) == ["held"] * 3
        [storm] = await storms.open_in(pool, "field")
        lanes, count = await storms.release(pool, clock, storm, by=Actor("Ann"))
        assert (sorted(lanes), count) == ([LANE, "mail"], 6)
        assert "held" not in await taskbell.states("crew")


async def test_each_employee_has_a_flood_of_their_own(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A message to each of four people is none, four to one of them are."""
    rules = """
- { id: yours, when: task.created, then: [{ notify: employee }] }
storm: { per_target: 3 }
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        each = [{"id": number, "name": f"E{number}"} for number in range(1, 5)]
        await taskbell.webhook([taskbell.visit(employees=[one]) for one in each])
        await taskbell.deliver()
        assert await taskbell.states("yours") == ["sent"] * 4
        await taskbell.webhook([taskbell.visit(employees=each[:1]) for _ in range(3)])
        await taskbell.deliver()
        assert (await taskbell.states("yours"))[4:] == ["held"] * 3


async def test_the_operator_and_the_page_say_which_flood_it_is(
    pool: Pool, clock: VirtualClock, folder: Path, valkey: EmbeddedValkey
) -> None:
    """By its rule and where it goes; the operator is asked once for each."""
    async with begun(folder, pool, clock, MANY) as taskbell:
        await book(taskbell, 6)
        await taskbell.deliver()
        config = replace(taskbell.config, operator=Operator("slack", "#dispatch"))
        alerts = Alerts(pool, clock, config.accounts, wiring.operator_address(config))
        await alerts.batch()
        await alerts.batch()
        await taskbell.deliver()
        [asked] = taskbell.posts
        assert "`taskbell outbox release field --rule late`" in asked
        async with serving(config, pool, clock, valkey.url) as web:
            page = words_of((await web.client.get("/")).text)
            assert '6 messages to slack:#office from rule "late"' in page
            [listed] = (await web.client.get("/api/v1/storms")).json()["data"]
            assert (listed["rule"], listed["receiver"]) == ("late", "slack:#office")


EVERYBODY = """
- { id: all, when: task.created, then: [{ notify: "mail:{{ task.title }}@firm.test",
    subject: x, text: x }] }
- { id: few, when: task.created, if: task.title == "p1", then: [{ notify: "mail:bo@firm.test",
    subject: x, text: x }] }
"""


async def write_to(taskbell: Corridor, count: int, name: str = "p{}") -> None:
    """So many visits are made at once, each of which is told to somebody else by the rule `all`."""
    await taskbell.webhook([taskbell.visit(name=name.format(each)) for each in range(count)])


async def test_one_rule_to_very_many_people_is_held(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A mail to each of 151 colleagues: one question for all, and what others say goes out."""
    async with begun(folder, pool, clock, EVERYBODY) as taskbell:
        await write_to(taskbell, 151)
        claimed = await taskbell.claim("mail", 20)
        assert {one.message.rule for one in claimed} == {"few"}
        assert await taskbell.states("all") == ["held"] * 151
        [held] = {one["reason"] for one in await taskbell.deliveries("all")}
        said = '151 messages from rule "all" in 10 minutes (limit 150)'
        assert held == f"on hold, too many at once: {said}"
        await write_to(taskbell, 5, "late{}")
        assert await taskbell.claim("mail", 20) == []
        [storm] = await storms.read(pool)
        assert (storm["held"], storm["rule"], storm["receiver"]) == (156, "all", None)
        assert (await storms.release(pool, clock, storm["id"], by=Actor("Ann")))[1] == 156
        assert len(await taskbell.claim("mail", 500)) == 156
        await write_to(taskbell, 20, "more{}")
        assert len(await taskbell.claim("mail", 500)) == 20


async def test_many_people_little_by_little_are_a_flood_too(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What is being sent and what went out within ten minutes counts, and no more than that."""
    rules = """
- { id: yours, when: task.created, then: [{ notify: employee }] }
storm: { per_rule: 5 }
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        for number in range(1, 8):
            await taskbell.webhook(taskbell.visit(employees=[{"id": number, "name": "E"}]))
            await taskbell.deliver()
        assert await taskbell.states("yours") == ["sent"] * 5 + ["held"] * 2
        [storm] = await storms.open_in(pool, "field", "yours")
        await storms.drop(pool, clock, storm, by=Actor("Ann"))
        await taskbell.webhook(taskbell.visit(employees=[{"id": 9, "name": "E"}]))
        await taskbell.deliver()
        assert (await taskbell.states("yours"))[-1] == "sent"  # what was asked about is settled


async def test_the_morning_of_forty_people_is_none(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A list to each of them at eight, although the rule has told one person at a time so far."""
    rules = """
- { id: yours, when: task.created, then: [{ notify: employee }] }
- { id: morning, when: { schedule: "0 8 * * *" }, for_each: "tasks.filter(t, !t.done)",
    group: { by: task.assignee.id }, then: [{ notify: "mail:e{{ group.key }}@firm.test",
    subject: x, text: x }] }
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        for _ in range(20):
            await taskbell.webhook(taskbell.visit(employees=[{"id": 1, "name": "E"}]))
            await taskbell.deliver("account:field")
            await taskbell.tick(hours=1)
        people = [{"id": number, "name": "E"} for number in range(1, 41)]
        await taskbell.webhook([taskbell.visit(employees=[one]) for one in people])
        await taskbell.deliver("account:field")
        assert await taskbell.states("yours") == ["sent"] * 60
        for _ in range(5):
            await taskbell.tick(hours=1)
        claimed = await taskbell.claim("mail", 500)
        assert {one.message.target for one in claimed} == {f"e{n}@firm.test" for n in range(1, 41)}
        assert await storms.read(pool) == []


async def test_a_flood_to_one_place_does_not_hold_the_whole_rule(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Six to one address are held, of which only the others count for the rule: one question."""
    rules = EVERYBODY + "storm: { per_target: 5, per_rule: 7 }"
    async with begun(folder, pool, clock, rules) as taskbell:
        await write_to(taskbell, 6, "same")
        await write_to(taskbell, 3)
        claimed = [one for one in await taskbell.claim("mail", 20) if one.message.rule == "all"]
        assert [one.message.target for one in claimed] == [f"p{n}@firm.test" for n in range(3)]
        [storm] = await storms.read(pool)
        assert (storm["held"], storm["receiver"]) == (6, "mail:same@firm.test")
        await write_to(taskbell, 5, "q{}")
        await taskbell.claim("mail", 20)
        assert [one["held"] for one in await storms.read(pool)] == [6, 5]
        await write_to(taskbell, 6, "again")  # the rule is held already: nobody is asked again
        await taskbell.claim("mail", 20)
        assert [one["held"] for one in await storms.read(pool)] == [6, 11]


def held_in_a_simulation(
    known: Lately, floods: Sequence[StormScope], rules: Ruleset, now: datetime
) -> dict[StormScope, str | None]:
    """Why each of these floods is held that are due at once."""
    outbox = MemoryOutbox(MemoryEvents())
    outbox.remember_storms(known)
    due = [
        Candidate(number, ("field", ""), "all", "mail", "", lambda: None, flood=flood)
        for number, flood in enumerate(floods)
    ]
    stopped = gates.stops(due, outbox.facts(rules, {}, lambda _: None, now))
    return {floods[number]: stop.reason for number, stop in stopped.items()}


async def test_a_rehearsal_knows_of_it(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """What `next` shows as held is what the worker holds, by which of both storms it would."""
    rules = EVERYBODY + "storm: { per_target: 5, per_rule: 7 }"
    async with begun(folder, pool, clock, rules) as taskbell:
        await write_to(taskbell, 6, "same")
        await write_to(taskbell, 8)
        async with pool.acquire() as connection:
            known = await storms.lately(connection, clock.now())
        floods = [StormScope.from_key(one["flood"]) for one in await taskbell.deliveries("all")]
        foreseen = held_in_a_simulation(known, floods, taskbell.config.rules, clock.now())
        await taskbell.claim("mail", 20)
        held = {one["flood"]: one["reason"] for one in await taskbell.deliveries("all")}
        assert {flood.key: reason for flood, reason in foreseen.items()} == held
        assert len(set(held.values())) == 2
        async with pool.acquire() as connection:
            known = await storms.lately(connection, clock.now())
        later = held_in_a_simulation(
            known, [StormScope("field", "all", "mail:new")] * 6, taskbell.config.rules, clock.now()
        )
        assert list(later.values()) == [held["field all mail:p1@firm.test"]]


async def test_the_page_and_the_operator_name_the_rule(
    pool: Pool, clock: VirtualClock, folder: Path, valkey: EmbeddedValkey
) -> None:
    """Where no single receiver is flooded; the command for it is told as well."""
    async with begun(folder, pool, clock, EVERYBODY + "storm: { per_rule: 5 }") as taskbell:
        await write_to(taskbell, 6)
        await taskbell.claim("mail", 20)
        config = replace(taskbell.config, operator=Operator("slack", "#dispatch"))
        await Alerts(pool, clock, config.accounts, wiring.operator_address(config)).batch()
        await taskbell.deliver("slack")
        [asked] = taskbell.posts
        assert '6 messages from rule "all" in 10 minutes (limit 5). They are not sent' in asked
        assert "`taskbell outbox release field --rule all`" in asked
        async with serving(config, pool, clock, valkey.url) as web:
            page = words_of((await web.client.get("/")).text)
            assert '6 messages from rule "all"' in page


async def test_digests_to_customers_are_customer_messages(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Six customers have a mail each, of what is planned with them: that is one flood."""
    mails = """
- id: yours
  when: task.created
  if: has(task.customer) && has(task.customer.email)
  group: { by: task.customer.email, wait: 5m }
  then: [{ notify: "mail:{{ group.key }}", text: "{{ group.size }} visits" }]
storm: { messages: 5, within: 10m }
"""
    async with begun(folder, pool, clock, mails) as taskbell:
        people = [customer(f"Customer {number}", number) for number in range(6)]
        await taskbell.webhook([taskbell.visit(customer=one) for one in people])
        await taskbell.tick(minutes=6)
        await taskbell.deliver()
        assert {(one["state"], one["flood"]) for one in await taskbell.deliveries()} == {
            ("held", "field")
        }


async def test_so_many_questions_to_an_approver_are_a_flood(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """They are held as other messages are; on the page each can still be approved."""
    rules = """
- { id: asked, when: task.created, then: [{ notify: accounting, approve: slack:#dispatch }] }
storm: { per_target: 5 }
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        await book(taskbell, 6)
        await taskbell.deliver()
        questions = [one for one in await taskbell.deliveries() if one["approves"] is not None]
        assert {one["state"] for one in questions} == {"held"}
        assert taskbell.posts == []
        [storm] = await storms.read(pool)
        assert (storm["held"], storm["receiver"]) == (6, "slack:#dispatch")
        await approvals.approve(pool, clock, questions[0]["approves"], by=Actor("Ann"))
        await storms.release(pool, clock, storm["id"], by=Actor("Ann"))
        for _ in range(6):
            await taskbell.deliver()
            clock.advance(timedelta(seconds=2))
        assert len(taskbell.posts) == 5  # nobody is asked about what is approved
        assert len(taskbell.accounting.requests) == 1
