"""A person switches a rule: from then on nothing is sent that it decided in another mode."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from service import config
from service.channels import ways
from service.clock import VirtualClock
from service.config import past_rules
from service.domain.actors import Actor
from service.domain.operators.overrides import Mode
from service.explain import Explanation, ExplanationStatus
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.outbox import operator_actions
from service.outbox.rule_switches import NoOverride
from service.settings import read_settings
from service.simulator.batches import batches
from service.simulator.replay import Replay, Replayed
from service.store import Pool, history
from service.store.operators import rule_overrides
from service.store.views import task_history
from tests.harness.corridor import Corridor, corridor
from tests.harness.running import free_port
from tests.harness.waiting import eventually
from workers.handover import Handover

RULES = """
- { id: tell, when: task.created, then: [{ notify: accounting }] }
- id: later
  when: task.created
  then: [{ wait: 2h }, { notify: "slack:#office", text: "Two hours old" }]
- { id: late, when: { task.overdue: 1h }, then: [{ notify: accounting }] }
- { id: calm, when: { task.changed: [title] }, settle: 10m, then: [{ notify: accounting }] }
- id: digest
  when: { task.changed: [title] }
  group: { by: "'the day'", wait: 30m }
  then: [{ notify: "slack:#office", text: "{{ group.key }}" }]
- { id: daily, when: { schedule: "30 7 * * *" }, accounts: [field],
    then: [{ notify: "slack:#office", text: "Good morning" }] }
- { id: resting, when: task.created, enabled: false, then: [{ notify: accounting }] }
- { id: tried, when: task.created, enabled: shadow, then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, on a Friday at 7:01 in the morning in New York."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def switched(
    taskbell: Corridor, rule: str, mode: Mode | None, reason: str | None = None
) -> None:
    """A rule is switched, and the worker has noticed."""
    await taskbell.switch(rule, mode, reason)
    await taskbell.restart(RULES)


async def ends(taskbell: Corridor, rule: str) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


async def decided(taskbell: Corridor, rule: str) -> list[tuple[str, str]]:
    rows = await taskbell.pool.fetch(
        "SELECT outcome, reason FROM decisions WHERE rule = $1 ORDER BY id", rule
    )
    return [tuple(row) for row in rows]


async def make(taskbell: Corridor) -> str:
    """A new visit; its number."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    return str(visit["id"])


async def test_a_rule_that_is_off_hears_nothing(taskbell: Corridor) -> None:
    """Not the event, and no decision is stored; the other rules go on."""
    await switched(taskbell, "tell", Mode.OFF)
    await make(taskbell)
    await taskbell.deliver()
    assert await decided(taskbell, "tell") == []
    assert await taskbell.states("later") == ["planned"]
    assert taskbell.accounting.requests == []


async def test_a_rule_on_trial_says_by_whom(taskbell: Corridor) -> None:
    """It decides, plans, and says in both what it would have done, and why it did not."""
    await switched(taskbell, "tell", Mode.TRIAL, "a typo in the text")
    await make(taskbell)
    await taskbell.deliver()
    mark = "on trial (switched to trial by Ann (a typo in the text)): "
    assert await decided(taskbell, "tell") == [("matched", f"{mark}task.created")]
    assert await ends(taskbell, "tell") == [
        ("skipped", f"{mark}it would have been sent now to accounting")
    ]
    assert taskbell.accounting.requests == []


@pytest.mark.parametrize("rule", ["resting", "tried"])
async def test_a_rule_that_the_file_holds_back_is_switched_on(
    taskbell: Corridor, rule: str
) -> None:
    """It sends what comes from now on, and its decision says who wanted that."""
    await make(taskbell)
    await switched(taskbell, rule, Mode.ON)
    await make(taskbell)
    await taskbell.deliver()
    assert (await decided(taskbell, rule))[-1] == (
        "matched",
        "task.created (the rule was switched on by Ann)",
    )
    assert (await taskbell.states(rule))[-1] == "sent"
    assert len(taskbell.accounting.requests) == 1 + 2  # of `tell` both


async def test_an_override_survives_a_reload_and_a_restart(taskbell: Corridor) -> None:
    """Whatever is loaded: the same file, or one in which other rules have changed."""
    await switched(taskbell, "tell", Mode.OFF)
    await taskbell.restart(RULES)
    await taskbell.restart(RULES.replace("2h", "3h"))
    await make(taskbell)
    assert await taskbell.states("tell") == []
    await taskbell.switch("tell", None)
    await taskbell.restart(RULES)
    await make(taskbell)
    assert await taskbell.states("tell") == ["planned"]


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.TRIAL])
async def test_what_was_planned_before_is_not_sent(taskbell: Corridor, mode: Mode) -> None:
    """It is cancelled at once, and does not come back when the rule is on again."""
    await make(taskbell)
    await taskbell.switch("later", mode)
    what = "switched off" if mode is Mode.OFF else "switched to trial"
    assert await ends(taskbell, "later") == [
        ("cancelled", f"cancelled: the rule was {what} by Ann")
    ]
    await switched(taskbell, "later", Mode.ON)
    await taskbell.tick(hours=3)
    await taskbell.deliver()
    assert await taskbell.states("later") == ["cancelled"]
    assert taskbell.posts == []


@pytest.mark.parametrize(
    ("mode", "end"),
    [
        (Mode.OFF, ("cancelled", "cancelled: the rule was switched off by Ann")),
        (
            Mode.TRIAL,
            (
                "skipped",
                "on trial (switched to trial by Ann): it would have been sent now to accounting",
            ),
        ),
    ],
)
async def test_a_worker_that_has_not_noticed_sends_nothing(
    taskbell: Corridor, mode: Mode, end: tuple[str, str]
) -> None:
    """It still decides by the rules that it has; what it plans is stopped on its way out."""
    await taskbell.switch("tell", mode)
    await make(taskbell)
    assert await taskbell.states("tell") == ["planned"]
    await taskbell.deliver()
    assert await ends(taskbell, "tell") == [end]
    assert taskbell.accounting.requests == []


async def test_what_was_planned_on_trial_is_not_sent_when_it_is_on(taskbell: Corridor) -> None:
    """Nobody was to hear of it, and now it is old."""
    await switched(taskbell, "later", Mode.TRIAL)
    await make(taskbell)
    await switched(taskbell, "later", None)
    await taskbell.tick(hours=3)
    await taskbell.deliver()
    assert await ends(taskbell, "later") == [
        ("cancelled", "cancelled: the rule was set to follow the file again by Ann")
    ]


async def test_what_a_person_asked_for_still_goes_out(taskbell: Corridor) -> None:
    """They press the button for one message of a rule that is off."""
    await make(taskbell)
    await taskbell.switch("later", Mode.OFF)
    [cancelled] = await taskbell.deliveries("later")
    await operator_actions.retry(taskbell.pool, taskbell.clock, cancelled["id"], by=Actor("Ann"))
    await taskbell.switch("later", Mode.OFF, "once more")
    await taskbell.deliver()
    assert await taskbell.states("later") == ["sent"]


async def test_alarms_of_the_time_when_it_was_off_do_not_ring_later(taskbell: Corridor) -> None:
    """A task became overdue meanwhile: that is old news. Another one does later: that is not."""
    now = taskbell.clock.now()
    for hours in (1, 6):
        visit = taskbell.visit(scheduled_at=now, ends_at=now + timedelta(hours=hours))
        await taskbell.webhook(visit)
    await switched(taskbell, "late", Mode.OFF)
    await taskbell.tick(hours=5)
    await switched(taskbell, "late", Mode.ON)
    await taskbell.tick(minutes=1)
    assert await taskbell.states("late") == []
    await taskbell.tick(hours=3)
    assert await taskbell.states("late") == ["planned"]


async def test_a_schedule_that_passed_while_it_was_off_is_not_made_up_for(
    taskbell: Corridor,
) -> None:
    """Off from before half past seven to a quarter to eight: the next one is tomorrow's."""
    await switched(taskbell, "daily", Mode.OFF)
    await taskbell.tick(minutes=44)
    await switched(taskbell, "daily", Mode.ON)
    await taskbell.tick(minutes=1)
    assert await taskbell.states("daily") == []
    await taskbell.tick(hours=24)
    assert await taskbell.states("daily") == ["planned"]


@pytest.mark.parametrize("mode", [Mode.ON, None])
async def test_alarms_of_that_time_do_not_ring_later_either_if_no_worker_ran(
    taskbell: Corridor, mode: Mode | None
) -> None:
    """They are recorded as too late; what came before is told late, and what was moved since."""
    now = taskbell.clock.now()
    before, meanwhile, moved = [
        taskbell.visit(scheduled_at=now - timedelta(hours=2), ends_at=now + timedelta(hours=hours))
        for hours in (-0.9, -0.5, 9)
    ]
    for visit in (before, meanwhile, moved):
        await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=20))
    for rule in ("late", "daily"):
        await taskbell.switch(rule, Mode.OFF)
    taskbell.clock.advance(timedelta(minutes=20))
    await taskbell.switch("late", Mode.OFF, "really")
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(meanwhile["id"]), name="Roof"))
    taskbell.clock.advance(timedelta(minutes=19))
    for rule in ("late", "daily"):
        await taskbell.switch(rule, mode)
    await taskbell.restart(RULES)
    there = taskbell.sandbox.kickserv.change(str(moved["id"]), ends_at=now - timedelta(hours=0.5))
    await taskbell.webhook(there)
    await taskbell.tick(minutes=1)
    rows = await taskbell.deliveries("late")
    assert {(one["task"], one["state"]) for one in rows} == {
        (str(before["id"]), "planned"),
        (str(meanwhile["id"]), "expired"),
        (str(moved["id"]), "planned"),
    }
    [(_, why)] = [one for one in await decided(taskbell, "late") if one[0] == "missed"]
    off_then = "the rule was switched off then, until 2026-03-06 13:01 UTC"
    assert why.endswith(off_then)
    assert await ends(taskbell, "daily") == [("expired", off_then)]
    found = await replayed(taskbell)
    assert (found.missing, found.new) == ([], [])


@pytest.mark.parametrize("rule", ["calm", "digest"])
async def test_its_waits_and_digests_end(taskbell: Corridor, rule: str) -> None:
    """They leave a decision that says why, and nothing comes of them when the rule is on again."""
    number = await make(taskbell)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name="Fix the roof"))
    await switched(taskbell, rule, Mode.OFF, "too loud")
    assert (await decided(taskbell, rule))[-1] == (
        "given_up",
        "the rule was switched off by Ann (too loud)",
    )
    await switched(taskbell, rule, Mode.ON)
    await taskbell.tick(hours=1)
    assert await taskbell.states(rule) == []
    found = await explained(taskbell, number, rule)
    assert found.says == "the rule was switched off by Ann (too loud)"


@pytest.mark.parametrize("rule", ["calm", "digest"])
async def test_what_it_waited_for_and_collected_on_trial_is_not_sent(
    taskbell: Corridor, rule: str
) -> None:
    """Nobody was to hear of it; what happens from now on is waited for and collected anew."""
    number = await make(taskbell)
    await switched(taskbell, rule, Mode.TRIAL)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name="Fix the roof"))
    await switched(taskbell, rule, Mode.ON)
    assert (await decided(taskbell, rule))[-1] == ("given_up", "the rule was switched on by Ann")
    await taskbell.tick(hours=1)
    assert await taskbell.states(rule) == []
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name="Fix the fence"))
    await taskbell.tick(hours=1)
    assert await taskbell.states(rule) == ["planned"]


async def test_to_follow_the_file_is_to_switch_as_well(taskbell: Corridor) -> None:
    """The file says off: what was planned while the rule was on is not sent."""
    await switched(taskbell, "resting", Mode.ON)
    await make(taskbell)
    await taskbell.switch("resting", None)
    await taskbell.deliver()
    assert await taskbell.states("resting") == ["cancelled"]
    with pytest.raises(NoOverride):
        await taskbell.switch("resting", None)


async def test_an_override_of_a_rule_that_is_gone_is_kept_and_can_be_dropped(
    taskbell: Corridor,
) -> None:
    """It does nothing meanwhile, and counts again when the rule is back."""
    await switched(taskbell, "tell", Mode.OFF)
    await taskbell.restart(RULES.replace("id: tell", "id: renamed"))
    await make(taskbell)
    assert await taskbell.states("renamed") == ["planned"]
    assert list(await rule_overrides.read(taskbell.pool)) == ["tell"]
    await taskbell.switch("tell", None)
    assert await rule_overrides.read(taskbell.pool) == {}
    switches = await rule_overrides.history(taskbell.pool, "tell", 9)
    assert [one.mode for one in switches] == [None, Mode.OFF]


async def explained(taskbell: Corridor, number: str, rule: str) -> Explanation:
    """What `taskbell explain` says of this rule and this visit now."""
    pool, zone = taskbell.pool, taskbell.config.zones["field"]
    async with pool.acquire() as connection:
        papers = await task_history.read(connection, ("field", number))
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    then = {version: past_rules(text, sketch) for version, text in papers.texts.items()}
    now = sketch.switched(await rule_overrides.read(pool)).rules
    versions = RuleVersions(now, then)
    found = explain(versions, papers, zone, taskbell.clock.now(), papers.added_at)
    return next(one for one in found if one.rule == rule)


async def test_explain_says_who_switched_it_and_why(taskbell: Corridor) -> None:
    """While it is off, and of what happened then when it is on again; and of a trial."""
    await switched(taskbell, "tell", Mode.OFF, "too loud")
    number = await make(taskbell)
    found = await explained(taskbell, number, "tell")
    assert (found.standing, found.says) == (
        ExplanationStatus.OFF,
        "the rule was switched off by Ann (too loud)",
    )
    await switched(taskbell, "tell", Mode.TRIAL)
    found = await explained(taskbell, number, "tell")
    assert (found.standing, found.says) == (
        ExplanationStatus.NOT_MATCHED,
        "when that happened, the rule was switched off by Ann (too loud)",
    )
    found = await explained(taskbell, await make(taskbell), "tell")
    assert (found.standing, found.says) == (
        ExplanationStatus.FIRED,
        "on trial (switched to trial by Ann): task.created",
    )
    assert found.notes == ()
    await switched(taskbell, "tell", None)
    other = await explained(taskbell, number, "later")
    assert other.notes == ()


async def replayed(taskbell: Corridor) -> Replayed:
    """All that happened is decided once more."""
    now, since = taskbell.clock.now() + timedelta(minutes=1), taskbell.clock.now() - timedelta(1)
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    async with taskbell.pool.acquire() as connection, connection.transaction():
        texts = await history.rulesets(connection, since, now)
        replay = Replay(
            {version: past_rules(text, sketch) for version, text in texts.items()},
            taskbell.config.zones,
            ways(sketch.kinds),
            await history.decisions(connection, since, now),
            [],
            [],
            await rule_overrides.off_periods(connection),
        )
        recorded = batches(history.events(connection, since, now))
        return await replay.run(history.tasks_at(connection, since), recorded, lambda _: None)


async def test_replay_decides_by_the_overrides_of_that_time(taskbell: Corridor) -> None:
    """On, off, on trial and on again: each decision comes out as it was recorded."""
    modes: Sequence[Mode | None] = (None, Mode.OFF, Mode.TRIAL, Mode.ON)
    for mode in modes:
        if mode is not None:
            await switched(taskbell, "tell", mode, "to see")
        number = await make(taskbell)
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name="Fix the roof"))
        await taskbell.tick(minutes=11)
    found = await replayed(taskbell)
    assert (found.missing, found.new) == ([], [])
    assert found.decisions > 12


async def test_replay_knows_of_waits_that_a_switch_has_ended(taskbell: Corridor) -> None:
    """The next change begins another wait; neither is taken for the other."""
    visit = await make(taskbell)
    for name in ("Fix the roof", "Fix the fence"):
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(visit, name=name))
        if name == "Fix the roof":
            for rule in ("calm", "digest"):
                await switched(taskbell, rule, Mode.OFF)
                await switched(taskbell, rule, Mode.ON)
    await taskbell.tick(minutes=31)
    outcomes = [outcome for outcome, _ in await decided(taskbell, "calm")]
    assert outcomes == ["given_up", "matched"]
    found = await replayed(taskbell)
    assert (found.missing, found.new) == ([], [])


async def test_two_processes_notice_it_by_themselves(
    taskbell: Corridor, clock: VirtualClock, database_url: str
) -> None:
    """Two worker processes of one database: within seconds neither hears of the rule's events."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    both = [Handover(read_settings(environ), clock) for _ in range(2)]
    for one in both:
        await one.hand_over(taskbell.config)
    try:
        first = [one._current for one in both]
        await taskbell.switch("tell", Mode.TRIAL)
        await eventually(partial(are_relieved, both, first))
        await taskbell.receive(taskbell.visit())
        await eventually(partial(is_skipped, taskbell))
        [(_, reason)] = await decided(taskbell, "tell")
        assert reason.startswith("on trial (switched to trial by Ann)")
        assert taskbell.accounting.requests == []
    finally:
        for one in both:
            await one.close()


def are_relieved(both: Sequence[Handover], first: Sequence[object]) -> bool:
    return all(one._current is not duty for one, duty in zip(both, first, strict=True))


async def is_skipped(taskbell: Corridor) -> bool:
    return await taskbell.states("tell") == ["skipped"]
