"""`taskbell tasks` and `taskbell preview`, as an office manager reads them."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest

from service.clock import VirtualClock
from service.domain.model import Customer, Kind, Person
from service.store import Pool
from tests.harness.commands import Result, taskbell
from tests.harness.corridor import Corridor, corridor
from tests.harness.history import know, record
from tests.harness.tasks import task

Command: TypeAlias = Callable[..., Coroutine[Any, Any, Result]]
# Friday, 7 in the morning in New York.
BEGIN = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
HOSTILE = "\x1b[2J\x9b\u202e\r" + "x" * 10_000
RULES = """
- id: job-done
  when: task.completed
  if: task.type == "job"
  then:
    - { notify: "slack:#office", text: "{{ task.title }} is done" }
    - { wait: 2 business hours }
    - { notify: "mail:bo@example.com", subject: "Done", text: "{{ task.title }}" }
- id: invoice-done
  when: task.completed
  if: task.type == "invoice"
  enabled: false
  then: [{ notify: accounting, text: "Invoice {{ task.title }}" }]
- id: due
  when: { task.due_soon: 1h }
  then: [{ notify: accounting, text: "{{ task.title }} is due" }]
- id: together
  when: task.created
  group: { by: task.type, wait: 3h }
  then: [{ notify: accounting, text: "{{ group.size }} new" }]
- id: moved
  when: task.rescheduled
  settle: 30m
  then: [{ notify: accounting, text: "from {{ before.title }} to {{ task.title }}" }]
- id: left
  when: { signal: leaving }
  then: [{ notify: accounting, text: "on the way to {{ task.title }}" }]
- id: each-day
  when: { schedule: "0 18 * * *" }
  for_each: tasks.filter(t, !t.done)
  then: [{ notify: accounting, text: "{{ task.title }} is open" }]
- id: gone
  when: task.deleted
  then: [{ notify: accounting, text: "{{ task.title }} is gone" }]
- id: broken
  when: task.created
  then: [{ notify: accounting, text: "{{ task.fields.count | divided_by: 0 }}" }]
"""


@pytest.fixture
def command(folder: Path, database_url: str) -> Command:
    """`taskbell`, with this test's database, in the folder of its configuration."""

    async def run(*words: str, **environ: str) -> Result:
        return await taskbell(folder, *words, DATABASE_URL=database_url, **environ)

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
async def test_the_list_finds_tasks_by_words_and_state(command: Command) -> None:
    """With the due date in the account's zone; JSON has the fields of the API's search."""
    listed = await command("tasks", "list", "gutt")
    assert (listed.code, listed.err) == (0, "")
    assert "Clean the gutters" in listed.out
    assert "Bo Reed" in listed.out
    assert "7 Mar 2026, 08:01 (New York)" in " ".join(listed.out.split())
    assert (await command("tasks", "list", "no such words")).out == "no task has these words\n"
    assert (await command("tasks", "list", "--state", "open")).out == "no tasks\n"
    [found] = (await command("tasks", "list", "--state", "done", "--json")).json
    assert (found["id"], found["state"], found["assignee"]["name"]) == (
        "2357911",
        "done",
        "Bo Reed",
    )
    assert (await command("tasks", "list", "--account", "field", "--json")).json == [found]


@pytest.mark.usefixtures("running")
async def test_a_task_is_shown_with_all_that_is_known_of_it(command: Command) -> None:
    """Its fields, what happened with each change, and its messages; times in its zone."""
    shown = await command("tasks", "show", "clean the GUTTERS")
    assert (shown.code, shown.err) == (0, "")
    first, second, *rest = shown.out.splitlines()
    assert first == "Clean the gutters (2357911 in field): done"
    assert second == "Times are those of America/New_York."
    text = "\n".join(rest)
    assert "assigned to" in text
    assert "#2  Fri 6 Mar 2026, 07:06  completed  by webhook" in text
    assert "done: no → yes" in text
    assert "sent  job-done  slack:#office" in text
    assert "    Clean the gutters is done" in text
    json = (await command("tasks", "show", "2357911", "--json")).json
    assert json["task"]["done"] is True
    assert [one["kind"] for one in json["events"]] == ["created", "completed"]
    assert json["messages"][-1]["rule"] == "job-done"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tasks", "show", "nothing"), 1, "no task has the id or the title nothing"),
        (("tasks", "list", "--state", "lost"), 2, "open, done, archived, deleted"),
        (("tasks", "list", "--limit", "501"), 2, "at most 500"),
        (("tasks", "list", "--account", "feild"), 1, "did you mean field"),
        (("preview", "job-dnoe", "2357911"), 1, "did you mean job-done"),
        (("preview", "job-done", "nothing"), 1, "no task has the id or the title nothing"),
        (("preview", "job-done", "2357911", "--at", "soon"), 2, "write 2026-03-06T17:00"),
        (
            ("preview", "broken", "2357911"),
            1,
            "rule broken cannot write its message about this task",
        ),
    ],
)
@pytest.mark.usefixtures("running")
async def test_what_is_wrong_is_told_as_text_and_as_json(
    command: Command, words: tuple[str, ...], code: int, said: str
) -> None:
    """The same code and words; with --json nothing is on standard error."""
    result = await command(*words, COLUMNS="300")
    assert (result.code, result.out) == (code, "")
    assert said in " ".join(result.err.split())
    scripted = await command(*words, "--json")
    assert (scripted.code, scripted.err) == (code, "")
    assert said in " ".join(scripted.json["error"].split())


@pytest.mark.usefixtures("running")
async def test_a_preview_renders_each_message(command: Command, pool: Pool) -> None:
    """With its receiver, its time after waits, its subject and text; nothing is stored."""
    before = await pool.fetchval("SELECT count(*) FROM deliveries")
    shown = await command("preview", "job-done", "2357911", "--at", "2026-03-06T10:00")
    assert (shown.code, shown.err) == (0, "")
    noon = "Fri 6 Mar 2026, 12:00"
    first, second, *rest = shown.out.splitlines()
    assert first == "Clean the gutters (2357911 in field), as if completed came (event #2)"
    assert second == "Times are those of America/New_York. Nothing is sent."
    assert rest == [
        "",
        "step 1, slack:#office: planned, Fri 6 Mar 2026, 10:00",
        "  Clean the gutters is done",
        "",
        f"step 3, mail:bo@example.com: planned, {noon} (waiting for 2 business hours)",
        "  subject: Done",
        "  Clean the gutters",
    ]
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == before
    [first, second] = (await command("preview", "job-done", "2357911", "--json")).json["messages"]
    assert (first["to"], second["subject"]) == ("slack:#office", "Done")


@pytest.mark.usefixtures("running")
async def test_a_rule_that_would_not_act_is_previewed_with_a_note(command: Command) -> None:
    """A condition that is not met, and a rule that is off, are told; the text is there."""
    shown = (await command("preview", "invoice-done", "2357911")).out
    assert "note: the rule is off" in shown
    assert 'note: the rule would not act: task.type == "invoice" is not true' in shown
    assert "  Invoice Clean the gutters" in shown
    json = (await command("preview", "invoice-done", "2357911", "--json")).json
    assert (json["mode"], json["refusal"]) == ("off", 'task.type == "invoice" is not true')


@pytest.mark.parametrize(
    ("rule", "at", "text"),
    [
        ("due", "2026-03-10T11:00:00Z", "Paint is due"),
        ("together", "2026-03-06T15:00:00Z", "1 new"),
        ("moved", "2026-03-06T12:30:00Z", "from Paint to Paint"),
        ("left", "2026-03-06T12:00:00Z", "on the way to Paint"),
        ("each-day", "2026-03-06T23:00:00Z", "Paint is open"),
        ("gone", "2026-03-06T12:00:00Z", "Paint is gone"),
    ],
)
@pytest.mark.usefixtures("running")
async def test_each_sort_of_trigger_has_its_time(
    command: Command, pool: Pool, rule: str, at: str, text: str
) -> None:
    """An alarm, a schedule and a wait are counted in; the event need not have happened."""
    due = datetime(2026, 3, 10, 12, tzinfo=UTC)
    await know(pool, task("T7", account="field", title="Paint", due=due), at=BEGIN)
    json = (await command("preview", rule, "T7", "--at", "2026-03-06T12:00Z", "--json")).json
    assert json["event"]["id"] is None
    [message] = json["messages"]
    assert (message["at"], message["text"]) == (at, text)
    assert json["refusal"] is None


@pytest.mark.usefixtures("running")
async def test_hostile_text_cannot_act(command: Command, pool: Pool) -> None:
    """In every field, ten thousand characters long: nothing but text reaches the terminal."""
    nasty = task(
        "T7",
        account="field",
        title=HOSTILE,
        description=f"a\n#99  faked{HOSTILE}",
        customer=Customer(name=HOSTILE),
        assignee=Person(name=HOSTILE),
        tags=(HOSTILE,),
        url=f"https://x.test/{HOSTILE}",
        fields={HOSTILE: HOSTILE},
    )
    await know(pool, nasty, at=BEGIN)
    await record(pool, nasty, Kind.CHANGED, at=BEGIN, before=task("T7", account="field"))
    for words in (("tasks", "list"), ("tasks", "show", "T7"), ("preview", "job-done", "T7")):
        for flags in ((), ("--json",)):
            result = await command(*words, *flags)
            assert result.code == 0, result.err
            assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(result.out)
    assert "\n#99" not in (await command("tasks", "show", "T7")).out


async def test_a_task_is_acknowledged_once(
    running: Corridor, command: Command, clock: VirtualClock
) -> None:
    """The command says so; the second time it says that someone was faster."""
    await know(running.pool, task("T9", title="Leak"), at=clock.now())
    done = await command("tasks", "acknowledge", "T9")
    assert (done.code, done.out) == (0, "task T9 in london is acknowledged\n")
    again = await command("tasks", "acknowledge", "T9")
    assert again.code == 1
    assert "someone acknowledged the task a moment ago" in again.err


async def test_a_task_is_assigned_to_whom_its_account_knows(
    running: Corridor, command: Command, clock: VirtualClock
) -> None:
    """By a name in a known task; an unknown name is refused."""
    bo = Person(id="7", name="Bo Reed")
    for one in (task("T9", title="Leak"), task("T8", title="Roof", assignees=(bo,))):
        await know(running.pool, replace(one, system="plannr"), at=clock.now())
    done = await command("tasks", "assign", "T9", "bo reed")
    assert (done.code, done.out) == (0, "task T9 in london is being assigned to Bo Reed\n")
    [write] = await running.deliveries("task.assigned")
    assert (write["lane"], orjson.loads(write["fields"])) == ("writes:london", {"assignee": "7"})
    unknown = await command("tasks", "assign", "T9", "Cy")
    assert unknown.code == 1
    assert "in london, nobody or more than one person is known as Cy" in unknown.err


async def test_a_task_is_completed_once(
    running: Corridor, command: Command, clock: VirtualClock
) -> None:
    """It is written to the system; of one that cannot, and the second time, it says why not."""
    other = task("T8", title="Call", system="letsligo")
    await know(running.pool, task("T9", title="Leak"), other, at=clock.now())
    done = await command("tasks", "complete", "leak", "--account", "london")
    assert (done.code, done.out) == (0, "task T9 in london is being completed\n")
    [write] = await running.deliveries("task.completed")
    assert (write["lane"], write["channel"]) == ("writes:london", "complete_task")
    assert write["reason"].endswith(" at the command line")
    for named, why in (
        ("T9", "someone has already asked for that"),
        ("T8", "Taskbell cannot complete tasks in london"),
        ("2357911", "the task is already done"),
    ):
        refused = await command("tasks", "complete", named)
        assert refused.code == 1
        assert why in refused.err
