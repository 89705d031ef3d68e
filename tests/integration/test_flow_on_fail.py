"""`on_fail`: another channel, once, when a message has failed for good."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Cause, Kind, Observation, State, Task
from service.errors import ConfigError
from service.outbox import attempts, operator_actions
from service.outbox.claims import AttemptResult
from service.simulator import Simulator
from service.simulator.memory.fallback import Failing
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer

RULES = """
- id: new
  when: task.created
  then:
    - notify: slack:#office
      text: "{{ task.title }}"
      on_fail:
        - { notify: accounting, text: "{{ task.title }} was not told: {{ failure }}" }
        - { notify: "slack:@{{ task.assignee.email }}", text: "{{ task.title }}" }
- id: brief
  when: task.completed
  then: [{ notify: customer:details,
            on_fail: [{ notify: "slack:#dispatch", text: "call them" }] }]
"""
REFUSED = Answer(body={"ok": False, "error": "is_archived"})
WHY = "Slack refused: the channel is archived; choose another (is_archived)"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def come(taskbell: Corridor) -> str:
    """A new visit that nobody has; its id."""
    visit = taskbell.visit(employees=[])
    await taskbell.webhook(visit)
    return str(visit["id"])


async def test_what_was_refused_goes_another_way(taskbell: Corridor) -> None:
    """The webhook says why; whoever cannot be told has that as the reason."""
    taskbell.slack.reply(REFUSED)
    await come(taskbell)
    await taskbell.deliver()
    [told] = taskbell.accounting.requests
    assert told.json["data"]["text"] == f"Clean the gutters was not told: {WHY}"
    ends = [(one["channel"], one["state"], one["reason"]) for one in await taskbell.deliveries()]
    assert ends == [
        ("slack", "failed", WHY),
        ("accounting", "sent", None),
        (
            "slack",
            "skipped",
            (
                "nobody to send to: `task.assignee.email` is empty for this task. Enter it in the"
                " system, or ask your developer to add the person under `people`"
            ),
        ),
    ]


async def test_a_rehearsal_does_the_same(taskbell: Corridor) -> None:
    """What goes out instead is the same there, but for the words of the failure."""
    taskbell.slack.reply(REFUSED)
    number = await come(taskbell)
    await taskbell.deliver()
    after = await taskbell.pool.fetchval("SELECT after FROM events")
    config, now = taskbell.config, taskbell.clock.now()
    trial = Simulator(config.rules, config.zones, ways(config.kinds), now)
    trial.tx.outbox.failing = Failing({"slack"})
    task = Task.from_json(after)
    await trial.observe(
        [Observation("field", number, task, now, Cause.POLL, announced=frozenset({Kind.CREATED}))]
    )
    rehearsed = [
        (one.state, one.request.plan.receiver, one.request.plan.once_key, one.text)
        for one in trial.tx.outbox.deliveries
    ]
    assert rehearsed == [
        (
            one["state"],
            f"{one['channel']}:{one['target']}".rstrip(":"),
            one["once_key"],
            one["text"].replace(WHY, "slack fails, as the test says"),
        )
        for one in await taskbell.deliveries()
    ]


async def test_only_what_goes_out_instead_speaks_of_the_failure(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Elsewhere the word means nothing, which is a fault."""
    rules = """
    - { id: new, when: task.created, then: [{ notify: "slack:#office", text: "a{{ failure }}b",
        on_fail: [{ notify: accounting, text: "{{ failure }}" }] }] }
    """
    with pytest.raises(ConfigError, match="failure does not exist"):
        async with corridor(folder, pool, clock, rules):
            pass


async def test_what_is_tried_again_has_not_failed(taskbell: Corridor) -> None:
    """A hiccup of Slack's, and then it arrives: nobody else is told."""
    taskbell.slack.reply(Answer(500))
    await come(taskbell)
    await taskbell.deliver()
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert taskbell.accounting.requests == []


async def test_a_failure_told_twice_sends_one_message(taskbell: Corridor) -> None:
    """Written down, and again by a process that had died; then a person tries it in vain."""
    await come(taskbell)
    [claim] = await taskbell.claim("slack")
    failure = AttemptResult(claim, State.FAILED, WHY)
    for _ in range(2):
        await attempts.settle(taskbell.pool, [failure], taskbell.clock.now())
    await operator_actions.retry(taskbell.pool, taskbell.clock, claim.id, by=Actor("Ann"))
    taskbell.slack.reply(Answer(body={"ok": True, "channels": []}), REFUSED)
    await taskbell.deliver()
    assert await taskbell.states() == ["failed", "sent", "skipped", "skipped"]
    assert len(taskbell.accounting.requests) == 1


async def test_death_before_the_failure_is_written_down(taskbell: Corridor) -> None:
    """The process was killed with the refusal in hand: the next attempt finds out, once."""
    await come(taskbell)
    await taskbell.claim("slack")
    await taskbell.lose_workers(seconds=30)
    taskbell.slack.reply(Answer(body={"ok": True, "channels": []}), REFUSED)
    await taskbell.deliver()
    assert await taskbell.states() == ["failed", "sent", "skipped"]


async def test_a_channel_that_was_taken_out(taskbell: Corridor) -> None:
    """What was planned on it is given up, and goes the other way."""
    await come(taskbell)
    await taskbell.take_out("slack")
    await taskbell.deliver("accounting")
    [told] = taskbell.accounting.requests
    assert told.json["data"]["text"].endswith("slack is no longer in the configuration")


@pytest.mark.parametrize("arrived", [True, False])
async def test_unknown_is_not_failed_until_a_person_says_so(
    taskbell: Corridor, *, arrived: bool
) -> None:
    """A customer message of which nobody knows: only who found that it did not arrive is heard."""
    number = await come(taskbell)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
    [claim] = await taskbell.claim("account:field")
    await taskbell.lose_workers(seconds=30)
    assert await taskbell.states("brief") == ["unknown"]
    await operator_actions.resolve(
        taskbell.pool, taskbell.clock, claim.id, arrived=arrived, by=Actor("Ann")
    )
    await taskbell.deliver()
    assert await taskbell.states("brief") == (["sent"] if arrived else ["failed", "sent"])
    assert ("call them" in taskbell.posts) is not arrived
