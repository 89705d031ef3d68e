"""`taskbell plan`, as whoever changes the rules reads it before anybody else notices."""

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.operators.silences import Silence
from service.outbox import silences
from service.store import Pool
from tests.harness.commands import Result, taskbell
from tests.harness.corridor import Corridor, corridor

Command: TypeAlias = Callable[..., Coroutine[Any, Any, Result]]
RULES = """
- id: job-done
  when: task.completed
  if: task.type == "job"
  then: [{ wait: 2h }, { notify: accounting }]
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- { id: renamed, when: { task.changed: [title] }, settle: 10m, then: [{ notify: accounting }] }
- { id: quiet, when: task.reopened, then: [{ notify: accounting }] }
"""
PLANNED = """
- id: job-done
  when: task.completed
  if: task.type == "job" && has(task.customer)
  then: [{ wait: 2h }, { notify: accounting }]
- { id: late, when: { task.overdue: 1h }, then: [{ notify: accounting }] }
- { id: quiet, when: task.reopened, then: [{ notify: accounting }] }
- { id: brief, when: { task.starting_soon: 30m }, then: [{ notify: accounting }] }
- { id: made, when: task.created, then: [{ notify: accounting }] }
"""
TOLD = """\
~ rule job-done
     when: task.completed
    -if: task.type == "job"
    +if: task.type == "job" && has(task.customer)
     then:
    1 task matches already; the rule does not act on it
    messages: 1 sent as they were planned
~ rule late
     id: late
    -when: task.overdue
    +when:
    +  task.overdue: 1h
     then:
    alarms: 2 moved to another time
+ rule brief
    alarms: 2 new
+ rule made
    3 tasks match already; the rule does not act on them
- rule renamed
    pending waits (settle, for): 1 ended without a message

next.yaml: rules: 2 added, 1 removed, 2 changed, 1 same. This is only a preview; nothing was \
changed.
"""


@pytest.fixture
def command(folder: Path, database_url: str) -> Command:
    """`taskbell`, with this test's database, in the folder of its configuration."""

    async def run(*words: str) -> Result:
        return await taskbell(folder, *words, DATABASE_URL=database_url, TZ="America/New_York")

    return run


@pytest.fixture
async def running(pool: Pool, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell with an open visit, one that is done, and one that was just renamed."""
    clock = VirtualClock(datetime.now(UTC))
    async with corridor(folder, pool, clock, RULES) as made:
        await made.begin()
        for visit in (made.visit(), made.visit(), made.visit()):
            await made.webhook(visit)
        clock.advance(timedelta(seconds=1))
        await made.webhook(made.sandbox.kickserv.finish(str(visit["id"])))
        await made.webhook(made.sandbox.kickserv.change(str(visit["id"] - 1), name="Other"))
        yield made


def rewrite(running: Corridor, old: str, new: str, name: str = "taskbell.yaml") -> None:
    """Change the file of the configuration, or write another one."""
    text = (running.folder / "taskbell.yaml").read_text("utf-8")
    (running.folder / name).write_text(text.replace(old.strip("\n"), new.strip("\n")), "utf-8")


async def test_what_runs_is_no_change(command: Command, running: Corridor) -> None:
    """A file that differs from the loaded one only in a comment changes nothing."""
    rewrite(running, RULES, RULES + "\n# a remark")
    result = await command("plan")
    assert (result.code, result.out, result.err) == (0, "taskbell.yaml changes nothing\n", "")


async def test_the_difference_in_the_words_of_the_file(command: Command, running: Corridor) -> None:
    """Rules, the tasks that match them, alarms, waits and messages; and nothing was changed."""
    rewrite(running, RULES, PLANNED, "next.yaml")
    result = await command("plan", "next.yaml")
    assert result.code == 0
    first = running.clock.now() + timedelta(days=1)  # when the visits begin, but for seconds
    shown = [line for line in result.out.splitlines() if "next alarm" not in line]
    assert shown == TOLD.splitlines()
    assert f"    next alarm: {first - timedelta(minutes=30):%a}" in result.out
    loaded = await running.pool.fetch("SELECT version FROM rulesets")
    assert [row["version"] for row in loaded] == [running.config.rules.version]


async def test_scripts_get_counts(command: Command, running: Corridor) -> None:
    """Each rule with what becomes of what it has pending."""
    rewrite(running, RULES, PLANNED, "next.yaml")
    whole = (await command("plan", "next.yaml", "--json")).json
    assert whole["running"] == running.config.rules.version
    rules = {one.pop("rule"): one for one in whole["rules"]}
    assert {name: one["change"] for name, one in rules.items()} == {
        "job-done": "changed",
        "late": "changed",
        "quiet": "same",
        "brief": "added",
        "made": "added",
        "renamed": "removed",
    }
    assert rules["late"]["timers"] == {"moved": 2}
    assert rules["renamed"]["waits"] == {"lost": 1}
    assert rules["job-done"]["deliveries"] == {"kept": 1}
    assert rules["made"]["matching"] == 3


async def test_what_all_rules_share(command: Command, running: Corridor) -> None:
    """Another zone is a change, although no rule has another word."""
    rewrite(running, "America/New_York", "Europe/London")
    result = await command("plan")
    assert result.out.splitlines()[:3] == [
        "~ settings for all rules",
        "    -timezone: America/New_York",
        "    +timezone: Europe/London",
    ]


async def test_a_way_out_that_is_gone(command: Command, running: Corridor) -> None:
    """What is pending on a channel that the file does not have is given up, and that is said."""
    rewrite(running, "  accounting:", "  invoices:")
    rewrite(running, "notify: accounting", "notify: invoices")
    result = await command("plan")
    assert "- channel accounting, with messages pending" in result.out
    assert "    messages: 1 cancelled, because their channel or account was removed" in result.out


async def test_an_account_that_is_gone(command: Command, running: Corridor) -> None:
    """What waits, gathers or is silenced there ends, and the numbers are told."""
    gather = (
        "- { id: list, when: task.created, group: { by: \"'all'\", wait: 1h },"
        " then: [{ notify: accounting }] }\n"
    )
    await running.restart(RULES + gather)
    await running.webhook(running.visit())
    now = running.clock.now()
    for account in ("field", "field", "sales"):
        wanted = Silence(0, now, now + timedelta(days=1), "stocktaking", account=account)
        await silences.add(running.pool, wanted, Actor("Ann"))
    rewrite(running, "  field:", "  fields:")
    result = await command("plan")
    told = result.out.splitlines()
    at = told.index("- account field, with messages pending")
    assert told[at + 1] == "    2 silences on it will end"
    assert told[told.index("  rule list") + 1] == "    digests: 1 ended without a message"
    found = (await command("plan", "--json")).json
    assert found["silences_ended"] == {"field": 2}
    [gathering] = [one for one in found["rules"] if one["rule"] == "list"]
    assert gathering["digests"] == {"lost": 1}


async def test_a_file_with_faults(command: Command, running: Corridor) -> None:
    """There is nothing to compare: the faults are told as `taskbell check` does."""
    rewrite(running, "task.overdue", "task.overdu")
    result = await command("plan")
    assert result.code == 1
    assert "there is no event task.overdu" in result.err
