"""Texts without end, in every field that a system or a sender can fill."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.clock import VirtualClock
from service.sources.values import LONGEST_LINE, LONGEST_PROSE
from service.store import Pool
from tests.harness.corridor import Corridor, begun

MIB = 1024 * 1024
RULES = """
- { id: told, when: task.created, if: 'task.description.contains("by the back door")',
    then: [{ notify: "slack:#office", text: "{{ task.title }}: {{ task.description }}" }] }
- { id: gate, when: task.created, if: 'task.title.contains("no such thing")',
    then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def test_a_task_of_long_texts_is_told_all_the_same(taskbell: Corridor) -> None:
    """Its title is cut, its description is there for rules and messages, and the message goes."""
    description = "x" * 3_000 + " by the back door " + "x" * MIB
    made = taskbell.visit(name="T" * MIB, description=description)
    await taskbell.poll()
    await taskbell.deliver()
    known = await taskbell.snapshot(made["id"])
    assert known is not None
    assert len(known["title"]) == LONGEST_LINE
    assert len(known["description"]) == LONGEST_PROSE
    assert await taskbell.states("told") == ["sent"]
    [post] = taskbell.slack.posted.values()
    assert "by the back door" in str(post["blocks"])


@pytest.mark.parametrize("account", ["field", "london", "sales"])
async def test_no_field_keeps_a_megabyte(taskbell: Corridor, account: str) -> None:
    """Whatever field it is, in a list or in a webhook, and whatever it is in."""
    system = taskbell.sandbox.systems[taskbell.config.accounts[account].system]
    made = system.make()
    plain = orjson.loads(orjson.dumps(made))
    for number, name in enumerate(plain):
        system.tasks[f"{number}-long"] = {
            **made,
            **{one: f"{number}" for one in ("id", "uuid") if one in made},
            name: longer(made[name]),
        }
    await taskbell.poll(account)
    rows = await taskbell.pool.fetch("SELECT id, snapshot FROM tasks WHERE account = $1", account)
    assert len(rows) > 5
    assert max(len(row["snapshot"] or "") for row in rows) < MIB


def longer(value: Any) -> Any:
    """The same with a megabyte in place of every text in it, and a thousand times as many rows."""
    if isinstance(value, dict):
        return {name: longer(one) for name, one in value.items()}
    if isinstance(value, list):
        return [longer(one) for one in value] * 10
    return "x" * (MIB // 4) if isinstance(value, str) else value
