"""`taskbell outbox`, `accounts` and `migrate`, against a real database."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.domain.model import Cause, Kind, State
from service.store import Pool, accounts
from tests.harness import history
from tests.harness.commands import Result, started, taskbell
from tests.harness.running import free_port
from tests.harness.tasks import task

AT = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
Command: TypeAlias = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell`, in an empty folder, with this test's database."""

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, *words, DATABASE_URL=database_url)

    return run


@pytest.fixture
async def sent(pool: Pool) -> int:
    return await delivery(pool, State.SENT)


async def delivery(pool: Pool, state: State, reason: str | None = None) -> int:
    """What a rule made of a task that polling found to be done; returns its number."""
    event = await history.record(pool, task(), Kind.COMPLETED, at=AT, cause=Cause.POLL)
    number = await history.plan(pool, event, state)
    await pool.execute("UPDATE deliveries SET reason = $2 WHERE id = $1", number, reason)
    return number


async def test_the_list_tells_what_was_sent_and_why_not(
    command: Command, pool: Pool, sent: int
) -> None:
    """The newest first; in place of the text the reason, where there is one."""
    held = await delivery(pool, State.HELD, reason="outside office hours")
    result = await command("outbox", "list")
    assert result.code == 0
    _, first, second = result.out.splitlines()
    assert first.split()[:2] == [str(held), "held"]
    assert "outside office hours" in first
    assert second.split()[:2] == [str(sent), "sent"]
    assert "slack:#office" in second


async def test_a_long_text_is_cut_short_in_the_list(
    command: Command, pool: Pool, sent: int
) -> None:
    """So that more than a few messages fit on a screen; `show` and `--json` have all of it."""
    text = "All of these are done:\n" + "- Mend the fence\n" * 40
    await pool.execute("UPDATE deliveries SET text = $1", text)
    listed = (await command("outbox", "list")).out
    assert listed.count("fence") < 4
    assert "…" in listed
    assert (await command("outbox", "show", str(sent))).out.count("fence") == 40
    assert (await command("outbox", "list", "--json")).json[0]["says"] == text


async def test_what_has_no_text_of_its_own_is_listed_with_its_task(
    command: Command, pool: Pool, sent: int
) -> None:
    """A system's own message to a customer says nothing else of what it is about."""
    await pool.execute("UPDATE deliveries SET text = ''")
    result = await command("outbox", "list", "--json")
    assert [(one["id"], one["says"]) for one in result.json] == [(sent, "Smith gutters")]


async def test_the_list_shows_webhooks_that_nobody_could_read(command: Command, pool: Pool) -> None:
    """A receipt that was set aside is not forgotten."""
    await pool.execute(
        """
        INSERT INTO receipts (account, key, body, headers, received_at, state, reason)
        VALUES ('field', 'k', '', '{}', now(), 'poison', 'there is no task in it')
        """
    )
    result = await command("outbox", "list")
    assert "could not read webhook 1 for field: there is no task in it" in result.out
    assert "taskbell outbox retry --webhook 1" in result.out
    left = await command("outbox", "cancel", "--webhook", "1", "--json")
    assert left.json == {"id": 1, "state": "poison"}
    assert "could not read" not in (await command("outbox", "list")).out
    again = await command("outbox", "retry", "--webhook", "1")
    assert again.out == "webhook 1 will be read again\n"
    assert await pool.fetchval("SELECT state FROM receipts") == "pending"
    missing = await command("outbox", "retry", "--webhook", "1")
    assert (missing.code, missing.err) == (1, "no webhook 1 is waiting for a decision\n")


async def test_a_script_gets_the_states_it_asks_for(
    command: Command, pool: Pool, sent: int
) -> None:
    """JSON has whole fields and times in UTC; --state may be repeated."""
    await delivery(pool, State.HELD)
    result = await command("outbox", "list", "--json", "--state", "sent", "--state", "failed")
    (only,) = result.json
    assert (only["id"], only["state"], only["target"]) == (sent, "sent", "#office")
    assert only["created_at"] == "2026-03-06T12:00:00Z"


async def test_show_tells_everything_of_one(command: Command, sent: int) -> None:
    """What it says, why it exists, how it was learnt."""
    plain = await command("outbox", "show", str(sent))
    whole = await command("outbox", "show", str(sent), "--json")
    assert "learnt by" in plain.out
    assert (whole.json["because"], whole.json["learnt_by"]) == ("completed", "poll")


async def test_show_lists_each_attempt(command: Command, pool: Pool, sent: int) -> None:
    """When it began, how long it took, what came of it; none where there was none."""
    assert "outcome" not in (await command("outbox", "show", str(sent))).out
    await pool.execute(
        "INSERT INTO attempts (delivery, number, began_at, took_ms, outcome, status, error)"
        " VALUES ($1, 1, $2, 350, 'failed', 503, 'Slack answered 503')",
        sent,
        AT,
    )
    plain = await command("outbox", "show", str(sent))
    assert plain.out.splitlines()[-1].split()[-6:] == [
        "350",
        "failed",
        "503",
        *("Slack", "answered", "503"),
    ]
    [attempt] = (await command("outbox", "show", str(sent), "--json")).json["each_attempt"]
    assert (attempt["number"], attempt["status"]) == (1, 503)


async def test_a_message_is_sent_ahead_of_its_time(command: Command, pool: Pool) -> None:
    """Once: after that it is due, and the command says so."""
    number = await delivery(pool, State.PLANNED)
    await pool.execute("UPDATE deliveries SET next_attempt_at = now() + interval '1 hour'")
    done = await command("outbox", "send-now", str(number))
    assert (done.code, done.out) == (0, f"delivery {number} will be sent now\n")
    [row] = await pool.fetch("SELECT at_once, reason FROM deliveries")
    assert row["at_once"]
    assert row["reason"].endswith(" at the command line asked to send it now")
    again = await command("outbox", "send-now", str(number))
    assert (again.code, again.err) == (
        1,
        f"delivery {number} is already due: it is sent as soon as possible\n",
    )


async def test_a_message_is_snoozed_until_a_time_in_the_accounts_zone(
    command: Command, pool: Pool, sent: int
) -> None:
    """It says as which delivery it comes again; a time that has passed, or is none, is refused."""
    at = datetime.now(UTC)
    await accounts.register(pool, {"london": "plannr"}, at)
    await pool.execute("UPDATE accounts SET time_zone = 'America/New_York'")
    await history.know(pool, task(), at=at)
    there = at.astimezone(ZoneInfo("America/New_York")) + timedelta(hours=2)
    words = ("outbox", "snooze", str(sent), "--until")
    for until, code, why in (
        ("soon", 2, "write 2026-03-06T17:00"),
        ("2020-01-01T08:00", 1, "the time has passed"),
    ):
        refused = await command(*words, until)
        assert refused.code == code
        assert why in refused.err
    done = await command(*words, f"{there:%Y-%m-%dT%H:%M}")
    assert done.code == 0, done.err
    assert done.out.startswith(f"delivery {sent} will be sent again as {sent + 1}, at ")
    assert f"{there:%H:%M} (America/New_York)" in done.out
    due = await pool.fetchval("SELECT next_attempt_at FROM deliveries WHERE id = $1", sent + 1)
    assert due == there.replace(second=0, microsecond=0)
    again = await command(*words, f"{there:%Y-%m-%dT%H:%M}", "--json")
    assert again.code == 1
    assert "it was already snoozed" in again.json["error"]


async def test_many_are_sent_again_at_once(command: Command, pool: Pool) -> None:
    """The command first says how many; without --yes someone must agree, and nobody does here."""
    for _ in range(2):
        await delivery(pool, State.FAILED)
    await pool.execute("UPDATE deliveries SET channel = 'customer', lane = 'account:field'")
    await delivery(pool, State.FAILED)
    words = (
        "outbox",
        "retry",
        "--state",
        "failed",
        "--channel",
        "customer",
        "--since",
        "2020-01-01",
    )
    asked = await command(*words)
    assert asked.code == 1
    assert "2 deliveries, 2 to customers. Send again?" in asked.err
    assert await pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'planned'") == 0
    done = await command(*words, "--yes")
    assert (done.code, done.out) == (0, "2 deliveries, 2 to customers: will be sent again\n")
    rows = await pool.fetch("SELECT state FROM deliveries ORDER BY id")
    assert [row["state"] for row in rows] == ["planned", "planned", "failed"]
    none = await command(*words, "--json")
    assert none.json == {"count": 0, "customers": 0}


@pytest.mark.parametrize(
    "words", [(), ("1", "--state", "failed"), ("1", "--rule", "x"), ("--webhook",)]
)
async def test_a_retry_is_of_one_or_of_a_state(words: tuple[str, ...], command: Command) -> None:
    """What is written otherwise is explained."""
    result = await command("outbox", "retry", *words)
    assert result.code == 2
    assert "--state for many" in " ".join(result.err.split())


async def test_a_person_decides(command: Command, pool: Pool) -> None:
    """Retry, cancel and resolve each do their one thing, and say so."""
    failed, held, unknown, lost = [
        await delivery(pool, state)
        for state in (State.FAILED, State.HELD, State.UNKNOWN, State.UNKNOWN)
    ]
    retried = await command("outbox", "retry", str(failed))
    assert (retried.code, retried.out) == (0, f"delivery {failed} will be sent again\n")
    await command("outbox", "cancel", str(held), "--reason", "a mistake")
    await command("outbox", "resolve", str(unknown), "--arrived", "--reason", "she called")
    settled = await command("outbox", "resolve", str(lost), "--not-arrived", "--json")
    assert settled.json == {"id": lost, "state": "failed"}
    rows = await pool.fetch("SELECT state, reason FROM deliveries ORDER BY id")
    assert [row["state"] for row in rows] == ["planned", "cancelled", "sent", "failed"]
    assert rows[1]["reason"].startswith("cancelled by ")
    assert rows[1]["reason"].endswith(" at the command line: a mistake")
    assert rows[2]["reason"].endswith(" found that it arrived: she called")


async def test_what_a_person_does_is_in_the_history(command: Command, pool: Pool) -> None:
    """Each command that decides something, with the user of this machine."""
    failed = await delivery(pool, State.FAILED)
    await accounts.register(pool, {"field": "kickserv"}, datetime.now(UTC))
    await pool.execute(
        "INSERT INTO storms (flood, account, reason, began_at)"
        " VALUES ('field', 'field', 'x', now()), ('field late', 'field', 'y', now())"
    )
    until = ("--until", "2h", "--reason", "stocktaking", "--anyway")
    for words in (
        ("outbox", "retry", str(failed)),
        ("outbox", "cancel", str(failed)),
        ("outbox", "release", "field"),
        ("silence", "add", "--rule", "late", *until),
        ("silence", "add", "--rule", "late", *until, "--dry-run"),
        ("silence", "expire", "1"),
        ("accounts", "sync", "field", "--believe"),
        ("accounts", "pause", "field"),
        ("accounts", "resume", "field"),
        ("accounts", "resume", "field"),
    ):
        done = await command(*words)
        assert done.code == 0, done.err
    rows = await pool.fetch("SELECT * FROM changes ORDER BY id")
    assert [(row["action"], row["subject"]) for row in rows] == [
        ("message.retried", str(failed)),
        ("message.cancelled", str(failed)),
        ("storm.released", "1"),
        ("storm.released", "2"),
        ("silence.added", "1"),
        ("silence.ended", "1"),
        ("account.synced", "field"),
        ("account.paused", "field"),
        ("account.resumed", "field"),
    ]
    assert {row["from_address"] for row in rows} == {""}
    assert all(row["by"].endswith(" at the command line") for row in rows)


async def test_what_failed_is_left_with_a_name_and_a_reason(command: Command, pool: Pool) -> None:
    """It stays a failure; who left it, when and why stand beside it."""
    number = await delivery(pool, State.FAILED, reason="there is no channel #old")
    left = await command("outbox", "cancel", str(number), "--reason", "told by phone")
    assert left.out == f"delivery {number} stays failed and needs no more attention\n"
    shown = (await command("outbox", "show", str(number), "--json")).json
    assert shown["state"] == "failed"
    assert shown["reason"].startswith("there is no channel #old; dismissed by ")
    assert shown["reason"].endswith(" at the command line: told by phone")
    assert shown["acknowledged_at"] is not None


async def test_what_cannot_be_done_is_said_in_one_sentence(command: Command, sent: int) -> None:
    """Exit code 1, on standard error, without a traceback."""
    for words in (("show", "99"), ("retry", str(sent)), ("cancel", str(sent))):
        result = await command("outbox", *words)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(("there is no delivery 99", f"delivery {sent} is sent; only"))
        assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("outbox", "show", "seven"),
        ("outbox", "list", "--state", "lost"),
        ("outbox", "list", "--limit", "0"),
        ("outbox", "resolve", "1"),
        ("accounts", "sync"),
    ],
)
def test_wrong_use_is_exit_code_2(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong use of a command is exit code 2, and does not even open the database."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://127.0.0.1:{free_port()}/none")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


async def test_accounts_are_listed_and_read_on_demand(command: Command, pool: Pool) -> None:
    """A failing account shows its reason; sync makes its poll due."""
    await accounts.register(pool, {"field": "kickserv"}, AT)
    later = datetime(2099, 1, 1, tzinfo=UTC)
    [state] = await accounts.claim_due(pool, ["field"], AT, timedelta(minutes=1))
    await accounts.fail_poll(pool, state, now=AT, next_poll_at=later, error="nobody answers")
    listed = await command("accounts", "list")
    assert "failing" in listed.out
    assert "nobody answers" in listed.out
    assert (await command("accounts", "list", "--json")).json[0]["name"] == "field"
    synced = await command("accounts", "sync", "field")
    assert synced.out == "Taskbell will read all tasks of field now\n"
    assert await pool.fetchval("SELECT next_poll_at < now() FROM accounts")
    believed = "SELECT believed FROM accounts"
    assert not await pool.fetchval(believed)
    await command("accounts", "sync", "field", "--believe")
    assert await pool.fetchval(believed)
    missing = await command("accounts", "sync", "filed")
    assert missing.code == 1
    assert "there is no account filed" in missing.err


async def test_migrate_makes_the_tables_once(
    tmp_path: Path, database_url: str, command: Command
) -> None:
    """An empty database gets everything, a migrated one nothing."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    first = await command("migrate", "--json")
    second = await started(tmp_path, "migrate", DATABASE_URL=database_url)
    assert first.json["applied"][0] == "0001_initial.sql"
    assert second.out == "the database is up to date\n"


@pytest.mark.parametrize("words", [("accounts", "list"), ("outbox", "list"), ("migrate",)])
async def test_a_database_that_is_away_is_one_clear_sentence(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Which one, why, what to do; never the password."""
    port = free_port()
    url = f"postgresql://bell:s3cret@127.0.0.1:{port}/tasks"
    result = await taskbell(tmp_path, *words, DATABASE_URL=url)
    assert result.code == 1
    assert result.err == (
        f"PostgreSQL at 127.0.0.1:{port} cannot be used: the connection was refused."
        " Check that it is running there and that DATABASE_URL is correct.\n"
    )


@pytest.mark.parametrize("words", [("accounts", "list"), ("outbox", "list"), ("doctor",)])
async def test_where_no_taskbell_was_ever_started_nothing_is_made_up(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """An empty list would be wrong: it says where to go, and leaves no trace."""
    result = await taskbell(tmp_path, *words)
    assert result.code == 1
    assert f"There is no Taskbell in {tmp_path / '.taskbell'}" in result.out + result.err
    assert "Go to the folder where Taskbell was started" in result.out + result.err
    assert list(tmp_path.iterdir()) == []
