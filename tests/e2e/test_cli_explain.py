"""`taskbell explain`, as an office manager reads it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.commands import Result, taskbell
from tests.harness.corridor import Corridor, corridor

Command: TypeAlias = Callable[..., Coroutine[Any, Any, Result]]
# Friday, 7 in the morning in New York.
BEGIN = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
RULES = """
- id: job-done
  when: task.completed
  if: [task.type == "job", 'task.title.contains("gutters")']
  then:
    - { notify: "slack:#office", text: "{{ task.title }} is done" }
    - { wait: 2 business hours }
    - { notify: accounting }
- id: invoice-done
  when: task.completed
  if:
    - task.type == "invoice" && has(task.due)
    - task.priority == "high"
  then: [{ notify: accounting }]
- { id: moved, when: { task.changed: [due, start] }, then: [{ notify: accounting }] }
- { id: overdue, when: { task.overdue: 2h }, then: [{ notify: accounting }] }
- { id: off, when: task.created, then: [{ notify: accounting }], enabled: false }
"""
TOLD = """\
Clean the gutters (2357911 in field): done, due Sat 7 Mar 2026, 08:01, assigned to Bo Reed
Times are those of America/New_York.
  #1  Fri 6 Mar 2026, 07:01  created  by webhook
  #2  Fri 6 Mar 2026, 07:06  completed  by webhook

job-done fired: task.completed, and task.type == "job" and task.title.contains("gutters")
  triggered by task.completed; happened once: event #2, Fri 6 Mar 2026, 07:06
  task.type == "job"              true
    task.type                     "job"
  task.title.contains("gutters")  true
    task.title                    "Clean the gutters"
  → step 1, slack:#office: sent Fri 6 Mar 2026, 07:06
  → step 3, accounting: will be sent Fri 6 Mar 2026, 10:00: waiting for 2 business hours

invoice-done did not fire: task.type == "invoice" && has(task.due) is not true
  triggered by task.completed; happened once: event #2, Fri 6 Mar 2026, 07:06
  task.type == "invoice" && has(task.due)  false
    task.type == "invoice"                 false
      task.type                            "job"
    has(task.due)                          not checked
  task.priority == "high"                  not checked

moved was not triggered: there was no task.changed (due, start) since Fri 6 Mar 2026, 07:00; \
the task is done
  triggered by task.changed (due, start)

overdue was not triggered: the task is done; time-based rules apply to open tasks only
  triggered by task.overdue: 2h

off is switched off: the rule says enabled: false
  triggered by task.created
"""


@pytest.fixture
def command(folder: Path, database_url: str) -> Command:
    """`taskbell`, with this test's database, in the folder of its configuration."""

    async def run(*words: str) -> Result:
        kept = "99 weeks"  # since the day of these tests
        return await taskbell(folder, *words, DATABASE_URL=database_url, TASKBELL_KEEP_EVENTS=kept)

    return run


@pytest.fixture
async def running(pool: Pool, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell to which a visit was told, and five minutes later that it is done."""
    async with corridor(folder, pool, VirtualClock(BEGIN), RULES) as made:
        await made.begin()
        visit = made.visit()
        await made.webhook(visit)
        made.clock.advance(timedelta(minutes=5))
        await made.webhook(made.sandbox.kickserv.finish(str(visit["id"])))
        await made.deliver()
        yield made


@pytest.mark.usefixtures("running")
async def test_a_paragraph_for_each_rule(command: Command) -> None:
    """What happened, what each rule made of it, why, and what became of its messages."""
    result = await command("explain", "2357911")
    assert (result.code, result.err) == (0, "")
    assert result.out == TOLD


@pytest.mark.usefixtures("running")
async def test_by_title_and_of_one_rule(command: Command) -> None:
    """Nobody knows ids by heart; the title will do, in any case of letters."""
    result = await command("explain", "clean the GUTTERS", "--rule", "invoice-done")
    assert "invoice-done did not fire" in result.out
    assert "job-done" not in result.out
    unknown = await command("explain", "2357911", "--rule", "jobdone")
    assert unknown.code == 1
    assert "there is no rule jobdone in taskbell.yaml; did you mean job-done?" in unknown.err


async def test_a_digest_and_a_schedule(command: Command, running: Corridor) -> None:
    """What the digest holds and when it is told; when the schedule came and what it chose."""
    several = """
- id: done-lately
  when: task.completed
  group: { by: "'the day'", wait: 30m }
  then: [{ notify: "slack:#office", text: "{{ group.size }} done" }]
- id: morning
  when: { schedule: "30 7 * * 1-5" }
  accounts: [field]
  for_each: tasks.filter(t, t.done)
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
"""
    await running.restart(RULES + several)
    await running.tick(minutes=1)
    await running.webhook(running.sandbox.kickserv.change("2357911", completed_on=None))
    await running.tick(minutes=1)
    await running.webhook(running.sandbox.kickserv.finish("2357911"))
    waits = await command("explain", "2357911", "--rule", "done-lately")
    closes = "Fri 6 Mar 2026, 07:38"
    assert waits.out.splitlines()[-3:] == [
        (
            "done-lately waits for a combined message: task.completed;"
            " added to the combined message for the day"
        ),
        "  triggered by task.completed; happened 2 times, last: event #4, Fri 6 Mar 2026, 07:08",
        (
            f"  combined message for the day: will be sent {closes};"
            " tasks so far: Clean the gutters (2357911)"
        ),
    ]
    await running.tick(minutes=30)
    await running.deliver()
    told = await command("explain", "2357911", "--rule", "done-lately")
    assert told.out.splitlines()[-4:] == [
        "done-lately fired: combined message for the day: 1 task",
        "  triggered by task.completed; happened 2 times, last: event #4, Fri 6 Mar 2026, 07:08",
        "  combined message for the day: was sent Fri 6 Mar 2026, 07:38",
        "  → step 1, slack:#office: sent Fri 6 Mar 2026, 07:38",
    ]
    lines = (await command("explain", "2357911", "--rule", "morning")).out.splitlines()
    assert lines[-6:-3] == [
        "morning fired: schedule 30 7 * * 1-5, 8 minutes late",
        "  triggered by schedule: 30 7 * * 1-5",
        lines[-4],
    ]
    assert lines[-4].startswith("  timing: last run Fri 6 Mar 2026, 07:30; next run ")
    assert lines[-3:-1] == [
        "  decision: schedule 30 7 * * 1-5, 8 minutes late: 1 of 1 tasks chosen",
        "  tasks chosen: Clean the gutters (2357911)",
    ]
    [found] = orjson.loads(
        (await command("explain", "2357911", "--json", "--rule", "morning")).out
    )["rules"]
    assert found["schedule"]["chosen"] == [{"id": "2357911", "title": "Clean the gutters"}]


async def test_a_title_of_several_tasks(command: Command, running: Corridor) -> None:
    """Each of them is named, with the command that tells of it."""
    other = running.visit()
    await running.webhook(other)
    several = await command("explain", "Clean the gutters")
    assert several.code == 1
    assert several.err.splitlines()[0] == "2 tasks are called Clean the gutters; say which one:"
    assert f"  taskbell explain {other['id']} --account field" in several.err
    nobody = await command("explain", "Clean the attic", "--account", "london")
    assert (nobody.code, nobody.err) == (
        1,
        "no task in london has the id or the title Clean the attic\n",
    )


@pytest.mark.usefixtures("running")
async def test_up_to_a_moment(command: Command) -> None:
    """Two minutes before the visit was done nothing had been said to the rule yet."""
    early = await command("explain", "2357911", "--rule", "job-done", "--at", "2026-03-06 07:04")
    assert "job-done was not triggered: there was no task.completed since" in early.out
    assert "#2" not in early.out
    wrong = await command("explain", "2357911", "--at", "yesterday")
    assert wrong.code == 2
    assert "yesterday is not a time; write 2026-03-06T17:00" in wrong.err


@pytest.mark.usefixtures("running")
async def test_scripts_get_every_value(command: Command) -> None:
    """The tree of each condition, in JSON."""
    whole = (await command("explain", "2357911", "--json")).json
    assert whole["rules_loaded"] is True
    assert whole["task"]["title"] == "Clean the gutters"
    assert [one["kind"] for one in whole["events"]] == ["created", "completed"]
    by_rule = {one["rule"]: one for one in whole["rules"]}
    first = by_rule["invoice-done"]["conditions"][0]["parts"][0]
    assert (first["text"], first["value"]) == ('task.type == "invoice"', False)
    assert first["parts"][0]["value"] == "job"
    assert by_rule["invoice-done"]["conditions"][1]["finding"] == "not_needed"
    assert by_rule["job-done"]["standing"] == "fired"
    assert by_rule["job-done"]["deliveries"][1]["next_attempt_at"] == "2026-03-06T15:00:00Z"


async def test_what_a_person_has_to_decide_about(command: Command, running: Corridor) -> None:
    """Held by a storm it has no time of its own: it waits for somebody's word."""
    await running.pool.execute(
        "UPDATE deliveries SET state = 'held', next_attempt_at = NULL, reason = 'a storm'"
        " WHERE step = 3"
    )
    shown = await command("explain", "2357911", "--rule", "job-done")
    assert "→ step 3, accounting: waiting until someone decides: a storm" in shown.out


async def test_a_file_that_was_not_loaded(command: Command, running: Corridor) -> None:
    """What is explained is the file; that something else runs is said."""
    file = running.folder / "taskbell.yaml"
    file.write_text(file.read_text("utf-8").replace("2h }", "3h }"), "utf-8")
    result = await command("explain", "2357911")
    assert "The configuration file was changed but is not loaded yet." in result.out


async def test_what_could_not_be_read_stands_above(command: Command, running: Corridor) -> None:
    """Whoever asks about a date sees that the system says something else by now."""
    await running.webhook(running.sandbox.kickserv.change("2357911", scheduled_at="soonish"))
    told = (await command("explain", "2357911", "--rule", "overdue")).out
    assert (
        "scheduled_at could not be read (value: 'soonish'). Taskbell keeps the earlier value."
        in told
    )
    as_json = (await command("explain", "2357911", "--json")).json
    assert as_json["unread"] == {"scheduled_at": "'soonish'"}


async def test_a_task_that_the_system_may_have_lost_says_so(
    command: Command, running: Corridor
) -> None:
    """It is gone with many others, which is not believed yet: nothing is told of it."""
    await running.pool.execute(
        """
        INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at, absent_at)
        VALUES ('field', '2357911', 'fetch', $1, $1, $1)
        """,
        running.clock.now(),
    )
    told = (await command("explain", "2357911")).out
    assert (
        "The system has not shown this task, and many others, since Fri 6 Mar 2026, 07:06" in told
    )


async def test_an_alarm_that_waits_for_its_account_says_so(
    command: Command, running: Corridor
) -> None:
    """After an outage: the account is to be read anew, and until when what is due waits."""
    running.sandbox.kickserv.change("2357911", completed_on=None)
    await running.poll("field")
    now = datetime.now(UTC)
    await running.pool.execute(
        """
        UPDATE accounts SET baseline_at = $1, scanned_at = $1, resumed_at = $2, stale_since = $2
        WHERE name = 'field'
        """,
        now - timedelta(hours=1),
        now,
    )
    told = (await command("explain", "2357911", "--rule", "overdue")).out
    assert "It may have missed changes" in told
    assert "it waits with everything else due in this account (see above)" in told
    await running.pool.execute("UPDATE accounts SET scanned_at = resumed_at")
    told = (await command("explain", "2357911", "--rule", "overdue")).out
    assert "it will act at the next check" in told
