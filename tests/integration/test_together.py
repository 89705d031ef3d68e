"""`together`: one message for several accounts, by the clock of one of them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service import config
from service.channels import ways
from service.clock import VirtualClock
from service.config import past_rules
from service.explain import Explanation, ExplanationStatus
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.rules.planning import OVER_ACCOUNTS
from service.sandbox.faults import Fault, FaultKind
from service.simulator import Simulator
from service.simulator.batches import batches
from service.simulator.replay import Replay
from service.simulator.upcoming import upcoming
from service.store import Pool, accounts, history
from service.store.tasks import Key
from service.store.views import task_history
from tests.harness.corridor import Corridor, begun

MINUTE = timedelta(minutes=1)
# The tests begin on Friday 6 March 2026 at 7:01 in New York, where `field` is; `london` is at noon.
MORNING = """
- id: mornings
  when: { schedule: "30 7 * * *" }
  accounts: [field, london]
  together: field
  for_each: tasks.filter(t, !t.done)
  group: { by: "'all'", empty: send }
  then:
    - notify: slack:#office
      text: >-
        {{ group.tasks | map: 'title' | join: ', ' }}{% if group.outdated %}
        (not up to date: {{ group.outdated }}){% endif %}
- id: quiet
  when: { schedule: "30 7 * * *" }
  accounts: [field, london]
  together: field
  if: "!tasks.exists(t, t.done)"
  then: [{ notify: "slack:#dispatch", text: "Nothing done by {{ event.account }}" }]
"""
DONE = """
- id: done
  when: task.completed
  accounts: [field, london]
  {together}
  group: {{ by: "'all'", wait: 30m, max: 3 }}
  then: [{{ notify: "slack:#office", text: "{{{{ group.tasks | map: 'title' | join: ', ' }}}}" }}]
"""
APART, TOGETHER = DONE.format(together=""), DONE.format(together="together: field")


@pytest.fixture
async def mornings(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, MORNING) as made:
        yield made


@pytest.fixture
async def done(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, TOGETHER) as made:
        yield made


async def one_in_each(taskbell: Corridor) -> tuple[Key, Key]:
    """A visit in Kickserv and a task in Plannr, both known."""
    visit = taskbell.visit(name="Roof")
    call = taskbell.sandbox.plannr.make(name="Call", due=taskbell.clock.now() + timedelta(hours=3))
    await taskbell.webhook(visit)
    await taskbell.poll("london")
    return ("field", str(visit["id"])), ("london", str(call["uuid"]))


async def finish(taskbell: Corridor, key: Key) -> None:
    account, number = key
    system = taskbell.sandbox.kickserv if account == "field" else taskbell.sandbox.plannr
    system.finish(number)
    await taskbell.poll(account)


async def pass_by(taskbell: Corridor, **time: float) -> None:
    await taskbell.tick(**time)
    await taskbell.deliver()


async def explained(taskbell: Corridor, key: Key, rule: str) -> Explanation:
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    rules, now = sketch.rules, taskbell.clock.now()
    async with taskbell.pool.acquire() as connection:
        papers = await task_history.read(connection, key, rules.crons, None, rules.leads)
    then = {version: past_rules(text, sketch) for version, text in papers.texts.items()}
    zone = sketch.zones[key[0]]
    found = explain(RuleVersions(rules, then), papers, zone, now, papers.added_at, sketch.zones)
    return next(one for one in found if one.rule == rule)


async def test_one_message_in_the_morning(mornings: Corridor) -> None:
    """At half past seven by the clock of the account that is named, about the tasks of both."""
    await one_in_each(mornings)
    await pass_by(mornings, minutes=28)
    assert mornings.posts == []
    await pass_by(mornings, minutes=1)
    assert sorted(mornings.posts) == ["Call, Roof", "Nothing done by field"]
    assert {(one["rule"], one["account"]) for one in await mornings.deliveries()} == {
        ("mornings", "field"),
        ("quiet", "field"),
    }
    for _ in range(22):
        await pass_by(mornings, hours=1)
    assert len(mornings.posts) == 2


async def test_a_question_is_about_all_accounts(mornings: Corridor) -> None:
    """What is done in one of them answers it."""
    _, call = await one_in_each(mornings)
    await finish(mornings, call)
    await pass_by(mornings, minutes=29)
    assert mornings.posts == ["Roof"]
    said = [one for one in await mornings.reasons() if "exists" in one]
    assert said == [
        "!tasks.exists(t, t.done) is not true; tasks.exists(t, t.done) is true (2 tasks)"
    ]


async def test_an_account_in_outage_is_waited_for_and_then_named(mornings: Corridor) -> None:
    """For half an hour of failing; then its tasks are told of as they were read last."""
    await one_in_each(mornings)
    mornings.sandbox.plannr.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    mornings.clock.advance(15 * MINUTE)
    for _ in range(29):
        mornings.clock.advance(MINUTE)
        await mornings.poll_what_is_due()
        await pass_by(mornings)
    assert mornings.posts == []
    for _ in range(2):
        await mornings.poll_what_is_due()
        await pass_by(mornings, minutes=1)
    assert "Call, Roof (not up to date: london)" in mornings.posts
    [said] = [one for one in await mornings.reasons() if "chosen" in one]
    assert said.endswith("2 of 2 tasks chosen; as last read: london")


@pytest.mark.parametrize("account", ["field", "london"])
async def test_an_account_that_is_read_again_is_told_of_at_once(
    mornings: Corridor, account: str
) -> None:
    """Also the one whose clock counts: what was done in the outage is done."""
    numbers = dict(await one_in_each(mornings))
    system = mornings.sandbox.plannr if account == "london" else mornings.sandbox.kickserv
    system.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    mornings.clock.advance(20 * MINUTE)
    await mornings.poll_what_is_due()
    system.finish(numbers[account])
    await pass_by(mornings, minutes=12)
    assert mornings.posts == []
    system.faults.clear()
    await mornings.poll(account, full=True)
    await pass_by(mornings, minutes=1)
    assert mornings.posts == ["Call" if account == "field" else "Roof"]


async def test_a_paused_account_holds_nothing_up(mornings: Corridor) -> None:
    """But it is said."""
    await one_in_each(mornings)
    await accounts.pause(mornings.pool, "field")
    await pass_by(mornings, minutes=29)
    assert "Call, Roof (not up to date: field)" in mornings.posts


async def test_an_account_that_was_never_read_is_waited_for_too(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Even if it is the one by whose clock the rule goes; nothing of it is known."""
    async with begun(folder, pool, clock, MORNING) as taskbell:
        await one_in_each(taskbell)
        await pool.execute("UPDATE accounts SET baseline_at = NULL WHERE name = 'field'")
        await pass_by(taskbell, minutes=58)
        assert taskbell.posts == []
        await pass_by(taskbell, minutes=2)
        assert "Call, Roof (not up to date: field)" in taskbell.posts


async def test_a_digest_over_accounts(done: Corridor) -> None:
    """It collects from its first task on, and is full with the tasks of all."""
    visit, call = await one_in_each(done)
    await finish(done, call)
    await pass_by(done, minutes=10)
    await finish(done, visit)
    await pass_by(done, minutes=19)
    assert done.posts == []
    await pass_by(done, minutes=1)
    assert done.posts == ["Call, Roof"]
    for key in [*await one_in_each(done), *await one_in_each(done)][:3]:
        await finish(done, key)
    await pass_by(done)
    assert done.posts == ["Call, Roof", "Roof, Call, Roof"]


async def test_from_apart_to_together_and_back(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What was collected goes out as it was collected, once; the next one is as the file says."""
    async with begun(folder, pool, clock, APART) as taskbell:
        for key in await one_in_each(taskbell):
            await finish(taskbell, key)
        await taskbell.restart(TOGETHER)
        await pass_by(taskbell, minutes=31)
        assert sorted(taskbell.posts) == ["Call", "Roof"]
        for key in await one_in_each(taskbell):
            await finish(taskbell, key)
        await taskbell.restart(APART)
        await pass_by(taskbell, minutes=31)
        assert taskbell.posts[2:] == ["Roof, Call"]
        for key in await one_in_each(taskbell):
            await finish(taskbell, key)
        await pass_by(taskbell, minutes=31)
        assert sorted(taskbell.posts[3:]) == ["Call", "Roof"]


async def test_an_account_that_the_rule_is_no_longer_for(done: Corridor) -> None:
    """Its tasks are left out of what was collected, and the decision says so."""
    visit, call = await one_in_each(done)
    await finish(done, call)
    await finish(done, visit)
    await done.restart(TOGETHER.replace("[field, london]", "[field, sales]"))
    await pass_by(done, minutes=31)
    assert done.posts == ["Roof"]
    assert (await done.reasons())[-1].endswith("left out: the rule is no longer for london")


async def test_customers_get_none(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Before a message to a customer its system is asked, and here there are several."""
    rules = TOGETHER.replace('"slack:#office"', "sms:+14155550100").replace("'all'", "'x'")
    async with begun(folder, pool, clock, rules) as taskbell:
        for key in await one_in_each(taskbell):
            await finish(taskbell, key)
        await taskbell.tick(minutes=31)
        [one] = await taskbell.deliveries()
        assert (one["state"], one["reason"]) == ("skipped", OVER_ACCOUNTS)
        await pool.execute("UPDATE deliveries SET state = 'planned', next_attempt_at = send_at")
        await taskbell.deliver()
        [one] = await taskbell.deliveries()
        assert (one["state"], one["reason"]) == ("skipped", OVER_ACCOUNTS)
        assert taskbell.accounting.requests == []


async def test_a_day_is_the_same_day_everywhere(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A day in New York ends when it is the next day in London; the text has it as that day."""
    title, due = "{{ group.tasks | map: 'title' | join: ', ' }}", "{{ group.tasks[0].due | local }}"
    rules = MORNING.replace("together: field", "together: london").replace(title, due)
    async with begun(folder, pool, clock, rules) as taskbell:
        await taskbell.webhook(taskbell.visit(name="Roof", scheduled_at="2026-03-09", ends_at=None))
        await pass_by(taskbell, hours=19, minutes=29)
        assert "Mon 9 Mar 2026" in taskbell.posts


async def test_why_a_task_of_the_other_account_is_in_it(mornings: Corridor) -> None:
    """With the last run and the next one, which are those of the account that is named."""
    _, call = await one_in_each(mornings)
    await pass_by(mornings, minutes=29)
    found = await explained(mornings, call, "mornings")
    assert found.standing is ExplanationStatus.FIRED
    assert found.says == "combined message for all: 2 tasks"
    assert found.schedule is not None
    assert found.schedule.comes_at is not None
    next_run = found.schedule.comes_at.astimezone(ZoneInfo("America/New_York"))
    assert (next_run.hour, next_run.minute) == (7, 30)
    await finish(mornings, call)
    await pass_by(mornings, days=1)
    assert (await explained(mornings, call, "mornings")).standing is ExplanationStatus.NOT_MATCHED


async def test_why_a_task_of_the_other_account_waits(done: Corridor) -> None:
    """In a digest that a task of another account has opened; and where it went out."""
    visit, call = await one_in_each(done)
    await finish(done, visit)
    await finish(done, call)
    found = await explained(done, call, "done")
    assert found.standing is ExplanationStatus.GATHERED
    assert found.digest is not None
    assert [one.title for one in found.digest.tasks] == ["Roof", "Call"]
    await pass_by(done, minutes=31)
    found = await explained(done, call, "done")
    assert found.standing is ExplanationStatus.FIRED
    assert [one.state for one in found.deliveries] == ["sent"]


async def test_what_comes_next(done: Corridor) -> None:
    """The waiting digest, once, with the tasks of both."""
    for key in await one_in_each(done):
        await finish(done, key)
    sketch, now = done.config, done.clock.now()
    simulator = Simulator(sketch.rules, sketch.zones, ways(_kinds(done)), now)
    async with done.pool.acquire() as connection, connection.transaction(readonly=True):
        found = await upcoming(simulator, connection, now + timedelta(days=1))
    assert [one.text for one in found] == ["Roof, Call"]


async def test_it_all_comes_out_again(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """A replay decides as it was decided, also on what was not up to date."""
    rules = (MORNING + TOGETHER).replace("t, t.done)", "t, t.done && !has(event.outdated))")
    async with begun(folder, pool, clock, rules) as taskbell:
        begin = taskbell.clock.now()
        keys = await one_in_each(taskbell)
        await finish(taskbell, keys[1])
        await accounts.pause(pool, "london")
        await pass_by(taskbell, days=1)
        await finish(taskbell, keys[0])
        await pass_by(taskbell, days=1)
        until = taskbell.clock.now() + MINUTE
        sketch = config.sketch(folder / "taskbell.yaml", {})
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            texts = await history.rulesets(connection, begin, until)
            replay = Replay(
                {version: past_rules(text, sketch) for version, text in texts.items()},
                sketch.zones,
                ways(sketch.kinds),
                await history.decisions(connection, begin, until),
                await history.placed_before(connection, begin),
                (),
            )
            known = history.tasks_at(connection, begin)
            recorded = batches(history.events(connection, begin, until))
            found = await replay.run(known, recorded, lambda _: None)
    assert found.decisions > 5
    assert (found.missing, found.new, found.unproven) == ([], [], [])


def _kinds(taskbell: Corridor) -> dict[str, str]:
    return dict(config.sketch(taskbell.folder / "taskbell.yaml", {}).kinds)
