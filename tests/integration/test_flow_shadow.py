"""`enabled: shadow`: the rule does everything but send, and says what it would have sent."""

from datetime import timedelta
from pathlib import Path

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import operator_actions
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

FINISHED = """
- id: finished
  when: task.completed
  once_per: task.id
  enabled: %s
  then: [{ notify: "slack:#office", text: "{{ task.title }} done", on_undo: update }]
"""
CHASE = """
- id: chase
  when: task.created
  enabled: shadow
  then: [{ wait: 2h }, { notify: "slack:#office", text: "nobody took it" }]
  until: has(task.assignee)
"""
WOULD = "on trial (enabled: shadow): it would have been sent now to slack:#office"
BO = [{"id": 1, "employee_number": 1, "first_name": "Bo"}]


async def finish(taskbell: Corridor, number: str) -> None:
    """Opened again, and finished anew; then everything is sent that is to be sent."""
    for change in ({"completed_on": None}, {"completed_on": "2026-03-06"}):
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **change))
    await taskbell.deliver()


async def ends(taskbell: Corridor) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries()]


async def test_nothing_is_sent_and_it_says_what_would_have_been(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The decision and the delivery are there with their texts; Slack hears nothing."""
    async with corridor(folder, pool, clock, FINISHED % "shadow") as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        await finish(taskbell, str(visit["id"]))
        assert await ends(taskbell) == [("skipped", WOULD)]
        [shown] = await taskbell.deliveries()
        assert (shown["text"], shown["attempts"]) == ("Clean the gutters done", 0)
        assert await taskbell.reasons() == ["on trial (enabled: shadow): task.completed"]
        assert taskbell.slack.requests == []


async def test_a_shadow_announces_once_as_a_live_rule_would(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Finished twice: `once_per` holds, though nothing was sent; switched on, it begins anew."""
    async with corridor(folder, pool, clock, FINISHED % "shadow") as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        await finish(taskbell, str(visit["id"]))
        await finish(taskbell, str(visit["id"]))
        assert await ends(taskbell) == [("skipped", WOULD)]
        assert (await taskbell.reasons())[-1].endswith(
            "step 1 not sent again: planned or sent before (`once_per`)"
        )
        live = await taskbell.restart(FINISHED % "true")
        await finish(live, str(visit["id"]))
        assert await live.states() == ["skipped", "sent"]
        assert live.posts == ["Clean the gutters done"]


async def test_what_a_live_rule_would_withdraw_would_not_have_been_sent(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Of three new visits one is taken, one is finished, and only the third would be chased."""
    async with corridor(folder, pool, clock, CHASE) as taskbell:
        await taskbell.begin()
        visits = [taskbell.visit(employees=[]) for _ in range(3)]
        for visit in visits:
            await taskbell.webhook(visit)
        taken, done, _ = (str(visit["id"]) for visit in visits)
        clock.advance(timedelta(hours=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(taken, employees=BO))
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(done))
        clock.advance(timedelta(hours=1))
        await taskbell.deliver()
        assert await ends(taskbell) == [
            (
                "cancelled",
                "cancelled: no longer needed, as the rule says for this task now (`until`)",
            ),
            ("cancelled", "cancelled: the task was completed"),
            ("skipped", WOULD),
        ]


async def test_asking_for_a_shadow_sends_nothing(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A person who has a withdrawn message tried again does not make the rule a live one."""
    async with corridor(folder, pool, clock, CHASE) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit(employees=[])
        await taskbell.webhook(visit)
        clock.advance(timedelta(minutes=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
        [withdrawn] = await taskbell.deliveries()
        await operator_actions.retry(pool, clock, withdrawn["id"], by=Actor("Ann"))
        await taskbell.deliver()
        assert await ends(taskbell) == [("skipped", WOULD)]
        assert taskbell.slack.requests == []


async def test_a_shadow_is_nobodys_trouble(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Its channel was taken out of the configuration: nothing has failed."""
    async with corridor(folder, pool, clock, CHASE) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit(employees=[]))
        await taskbell.take_out("slack")
        [row] = await taskbell.deliveries()
        assert row["state"] == "cancelled"
        assert row["reason"] == "channel slack is no longer in the configuration"
