"""`taskbell silence`, against a real database."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from service.domain.model import Kind, Project, State
from service.store import Pool
from tests.harness import history
from tests.harness.commands import Result, taskbell
from tests.harness.tasks import BO, SMITH, task

Command: TypeAlias = Callable[..., Awaitable[Result]]
WHY = ("--reason", "stocktaking")


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell silence`, in an empty folder, with this test's database."""

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, "silence", *words, DATABASE_URL=database_url)

    return run


async def test_it_is_added_listed_and_ended(command: Command, pool: Pool) -> None:
    """What it hides is told first; with --dry-run that is all."""
    event = await history.record(
        pool, task(customer=SMITH), Kind.COMPLETED, at=datetime.now(UTC) - timedelta(days=1)
    )
    await history.plan(pool, event, State.SENT)
    await history.know(pool, task(customer=SMITH), at=datetime.now(UTC))
    words = ("add", "--until", "2h", *WHY, "--customer", "smith")
    tried = await command(*words, "--dry-run")
    assert (
        "This suppresses 0 waiting messages. Over the last 30 days it would have suppressed 1."
        in tried.out
    )
    assert "would have suppressed 1" in tried.out
    assert (await command("list")).out.strip() == "no active silences"
    added = await command(*words, "--rule", "job-done", "--json")
    assert added.json["hides"] == {"pending": 0, "last_30_days": 1}
    [listed] = (await command("list", "--json")).json
    assert (listed["id"], listed["customer"], listed["rule"]) == (1, "smith", "job-done")
    assert "rule job-done, customer smith" in " ".join((await command("list")).out.split())
    assert (await command("expire", "1")).out.strip() == "silence 1 has ended"
    assert (await command("list")).out.strip() == "no active silences"
    assert len((await command("list", "--all", "--json")).json) == 1
    again = await command("expire", "1")
    assert (again.code, "there is no active silence 1" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--until", "2h", *WHY), "say which messages to suppress"),
        (("--until", "2020-01-01", *WHY, "--rule", "r"), "is in the past"),
        (("--until", "soon", *WHY, "--rule", "r"), "neither a time such as"),
        (("--until", "2h", "--reason", " ", "--rule", "r"), "give a reason"),
        (("--until", "2h", "--rule", "r"), "--reason"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    command: Command, words: tuple[str, ...], says: str
) -> None:
    """Without a scope, an end or a reason there is no silence: exit code 2."""
    result = await command("add", *words)
    assert result.code == 2
    assert says in " ".join(result.err.replace("│", " ").split())


CONFIG = """\
version: 1
accounts: { field: { system: kickserv, base_url: "https://k.test", slug: a, token: t0ken } }
channels: { accounting: { kind: webhook, url: "https://hooks.test/x" } }
people: { "7": { email: crew@x.test } }
rules: [{ id: job-done, when: task.completed, then: [{ notify: accounting }] }]
"""
ROOF = Project(id="p1", name="New gutters at Hill Road")
ACCOUNT = """
    INSERT INTO accounts (name, system, added_at, next_poll_at)
    VALUES ('field', 'kickserv', now(), now()), ('gone', 'kickserv', now(), now())
"""
UNKNOWN = {
    ("--rule", "job-doen"): 'Taskbell knows no rule "job-doen"; did you mean job-done?',
    ("--account", "feild"): 'no account "feild"; did you mean field?',
    ("--person", "b@x.test"): 'no person "b@x.test"; did you mean bo@x.test?',
    ("--person", "crew@x.tst"): 'no person "crew@x.tst"; did you mean crew@x.test?',
    ("--customer", "smtih"): 'no customer "smtih"; did you mean Smith?',
    ("--customer", "nobody at all"): 'no customer "nobody at all". If you expect it later',
    ("--project", "gutters"): 'no project "gutters"; did you mean New gutters at Hill Road?',
    ("--account", "field", "--customer", "Smith"): 'no customer "Smith" in field. If you expect',
    ("--account", "gone"): 'no account "gone". If you expect it later',
}


@pytest.mark.parametrize("words", UNKNOWN)
async def test_what_does_not_exist_is_not_silenced(
    command: Command, pool: Pool, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """It says what may be meant, and takes it only with a word that it is still to come."""
    (tmp_path / "taskbell.yaml").write_text(CONFIG)
    await pool.execute(ACCOUNT)
    event = await history.record(
        pool, task(), Kind.COMPLETED, at=datetime.now(UTC) - timedelta(days=1)
    )
    await history.plan(pool, event, State.SENT, target="@bo@x.test")
    smith = task(customer=replace(SMITH, email=None), project=ROOF)
    await history.know(pool, smith, at=datetime.now(UTC))
    refused = await command("add", "--until", "2h", *WHY, *words)
    assert refused.code == 1
    assert UNKNOWN[words] in " ".join(refused.err.split())
    assert "add --anyway" in " ".join(refused.err.split())
    assert (await command("list")).out.strip() == "no active silences"
    taken = await command("add", "--until", "2h", *WHY, *words, "--anyway", "--json")
    assert (taken.code, taken.json["id"]) == (0, 1)


async def test_what_exists_is_silenced(command: Command, pool: Pool, tmp_path: Path) -> None:
    """Also a rule that has sent nothing yet, and whoever a task is assigned to."""
    (tmp_path / "taskbell.yaml").write_text(CONFIG)
    await pool.execute(ACCOUNT)
    bo = task(account="field", assignee=BO, assignees=(BO,), customer=SMITH, project=ROOF)
    await history.know(pool, bo, at=datetime.now(UTC))
    for words in (
        ("--rule", "job-done"),
        ("--account", "field"),
        ("--person", "BO@x.test"),
        ("--person", "crew@x.test"),
        ("--person", "+1 555 0100"),
        ("--customer", "SMITH"),
        ("--customer", "c1"),
        ("--project", "p1"),
        ("--account", "field", "--project", "new gutters at hill road"),
    ):
        added = await command("add", "--until", "2h", *WHY, *words)
        assert added.code == 0, added.err
