"""Every message that Taskbell makes for Slack, held against Slack's schema.

The receiver in `tests/harness/slack_receiver.py` refuses what Slack would refuse, in every test;
here are all kinds of messages, with what people and attackers may write into a task.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Person
from service.outbox import approvals
from service.store import Pool
from service.store.operators import answers
from tests.harness.corridor import Corridor, corridor
from tests.harness.slack_schema import problems

RULES = """
- id: plain
  when: task.created
  then:
    - notify: slack:#office
      text: "{{ task.title }}"
      buttons: [acknowledge, take, done, snooze, done]
      on_undo: update
    - notify: slack:#dispatch
      text: "[{{ task.title }}]({{ task.url }}) @here for *{{ task.customer.name }}*"
    - notify: "slack:@bo@x.test"
      text: "{{ task.description }}"
  escalate:
    - { notify: "slack:#dispatch", after: 15m, text: "Nobody has {{ task.title }}" }
- id: asked
  when: task.created
  accounts: [field]
  then: [{ notify: customer:details, approve: "slack:#office" }]
- id: together
  when: task.created
  group: { by: task.account, wait: 5m }
  then:
    - notify: slack:#office
      text: |
        {% for one in group.tasks %}- {{ one.title }}
        {% endfor %}
"""
SIGNED = ', signing_secret: "slack-signing-secret-of-the-office"'
HOSTILE = {
    "plain": "Leak",
    "markup": "*_~`<!channel>|<@U1>&amp;&lt;https://x.test|label>\n> quote",
    "long": "Smith & Sons <gutters> " * 450,
    "one word": "x" * 10_000,
    "signs": "&<>" * 3_400,
    "emoji": "👩\u200d👧🇩🇪👍🏽" * 1_500,
    "lines": "\n" * 5_000 + "end" + "\n" * 4_997,
    "spaces": " " * 10_000,
    "invisible": "\u200b\u202e\u2066" * 3_000,
    "controls": "\x01\x1b[2J\x7f" * 2_000,
}


@pytest.fixture(params=["", SIGNED], ids=["links", "buttons"])
async def taskbell(
    folder: Path, pool: Pool, clock: VirtualClock, request: pytest.FixtureRequest
) -> AsyncIterator[Corridor]:
    """A firm whose Slack shows buttons, or a link to the page behind them."""
    async with corridor(folder, pool, clock, RULES) as running:
        running.head["slack_options"] = request.param
        await running.restart(RULES)
        await running.begin()
        yield running


async def refused(taskbell: Corridor) -> list[tuple[str, str]]:
    """What Slack did not take, with the reason."""
    rows = await taskbell.pool.fetch(
        "SELECT text, reason FROM deliveries WHERE channel = 'slack' AND state = 'failed'"
    )
    return [(row["text"][:60], row["reason"]) for row in rows]


@pytest.mark.parametrize("written", HOSTILE.values(), ids=HOSTILE)
async def test_every_message_is_one_that_slack_takes(taskbell: Corridor, written: str) -> None:
    """Of a rule, a question, an escalation and a digest, and each after it was answered."""
    first, second = (
        taskbell.visit(name=written, description=written, customer={"id": 7, "name": written})
        for _ in range(2)
    )
    for visit in (first, second):
        await taskbell.webhook(visit)
    await taskbell.deliver("slack")
    await taskbell.tick(minutes=16)
    await taskbell.deliver("slack")
    key, now = ("field", str(first["id"])), taskbell.clock.now()
    person = Person(name=written[:80])
    await answers.acknowledge(taskbell.pool, key, person, now, by=Actor("Ann"))
    await taskbell.ingest()
    [question, _] = [one for one in await taskbell.deliveries("asked") if one["approver"]]
    await approvals.decline(
        taskbell.pool, taskbell.clock, question["id"], by=Actor("Ann"), rewritable=["slack"]
    )
    taskbell.sandbox.kickserv.delete(str(second["id"]))
    await taskbell.poll(full=True)
    await taskbell.tick(minutes=10)
    await taskbell.look_up()
    await taskbell.deliver("slack")
    empty = [one for one in await refused(taskbell) if "the text is empty" not in one[1]]
    assert empty == []
    assert [wrong for one in taskbell.slack.posted.values() for wrong in problems(one)] == []
    assert taskbell.slack.posted


async def test_a_digest_of_many_tasks_is_cut_and_not_lost(taskbell: Corridor) -> None:
    """Slack takes about 12,000 characters in all; the end is there, and a sign for the rest."""
    for number in range(400):
        await taskbell.receive(taskbell.visit(name=f"Visit number {number:03} at Smith & Sons"))
    await taskbell.ingest()
    await taskbell.tick(minutes=6)
    await taskbell.deliver("slack")
    assert await refused(taskbell) == []
    [digest] = [one for one in taskbell.slack.posted.values() if "\n…\n" in _shown(one)]
    assert _shown(digest).endswith("- Visit number 399 at Smith &amp; Sons")


def _shown(posted: dict[str, Any]) -> str:
    sections = [one for one in posted["blocks"] if one["type"] == "section"]
    return "".join(one["text"]["text"] for one in sections).rstrip()
