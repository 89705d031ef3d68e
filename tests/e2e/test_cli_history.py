"""`taskbell events`, `backtest`, `replay`, `next` and `send-test`, as people see them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import orjson
import pytest

from service.domain.model import Kind
from service.rules.ruleset import Ruleset
from service.store import Pool, accounts
from tests.harness import history
from tests.harness.commands import Result, taskbell
from tests.harness.receivers import HttpReceiver
from tests.harness.rule_files import ENVIRON, configured
from tests.harness.tasks import BO, task

Command: TypeAlias = Callable[..., Awaitable[Result]]

RULES = """\
- id: finished
  when: task.completed
  then: [{ notify: slack:#office, text: "{{ task.title }} is done" }]
- id: late
  when: task.overdue
  then: [{ notify: "email:{{ task.assignee.email }}", subject: S, text: Late }]
- id: not-yet
  when: task.completed
  enabled: false
  then: [{ notify: accounting, text: "{{ task.title }}" }]
- id: on-trial
  when: task.completed
  enabled: shadow
  then: [{ notify: accounting, text: "{{ task.title }}" }]
"""
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell`, in a folder with a configuration, with this test's database."""
    configured(tmp_path, RULES)

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, *words, DATABASE_URL=database_url, **ENVIRON)

    return run


@pytest.fixture
async def finished(pool: Pool) -> int:
    """A task was found to be done two hours ago; the event's number."""
    before = task("T1", account="field")
    done, at = replace(before, done=True), NOW - timedelta(hours=2)
    await history.know(pool, done, at=at)
    event = await history.record(pool, done, Kind.COMPLETED, at=at, before=before)
    return event.id


async def test_events_tell_what_became_of_which_task(command: Command, finished: int) -> None:
    """One line each, with how it was learnt; filters leave out the others."""
    result = await command("events")
    assert result.code == 0
    _, line = result.out.splitlines()
    assert line.split()[0] == str(finished)
    assert "completed" in line
    assert "Smith gutters" in line
    assert (await command("events", "--kind", "created")).out == "nothing happened in that time\n"
    assert (await command("events", "--since", "1h")).out == "nothing happened in that time\n"


@pytest.mark.usefixtures("finished")
async def test_a_backtest_tells_what_would_have_been_sent(command: Command, pool: Pool) -> None:
    """How much, to whom and when; the database is as it was."""
    result = await command("backtest", "finished", "--since", "3d")
    assert result.code == 0
    assert "1 message would have been sent in 3 days" in result.out
    assert "slack:#office  Smith gutters is done" in result.out
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 0


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("rule", ["not-yet", "on-trial"])
async def test_a_rule_is_tried_before_it_is_switched_on(command: Command, rule: str) -> None:
    """Named, it is as if it were on; without a name it is as it is."""
    named = await command("backtest", rule)
    assert "1 message would have been sent" in named.out
    assert "1  accounting" in named.out
    unnamed = await command("backtest", "--json")
    assert [one["rule"] for one in orjson.loads(unnamed.out)["sent"]] == ["finished"]


async def test_a_backtest_knows_no_other_rules(command: Command) -> None:
    """A misspelt rule is refused with what was probably meant."""
    result = await command("backtest", "finishd")
    assert result.code == 2
    assert "did you mean finished?" in result.err


async def test_next_tells_what_is_still_to_come(command: Command, pool: Pool) -> None:
    """An alarm that nobody has been told of yet, and nothing beyond the time asked for."""
    due = NOW + timedelta(hours=5)
    one = task("T1", account="field", due=due, assignee=BO, assignees=(BO,))
    await history.know(pool, one, at=NOW)
    await pool.execute("UPDATE tasks SET next_alarm = $1, watch = 'any'", due)
    assert "late  email:bo@x.test  Late" in (await command("next")).out
    assert (
        await command("next", "--within", "1h")
    ).out == "nothing will be sent unless something changes\n"
    await accounts.register(pool, {"field": "kickserv"}, NOW)
    await pool.execute("UPDATE accounts SET alive_at = $1, alive_until = $1", NOW)
    assert "field: Taskbell has not processed this account since" in (await command("next")).out


async def test_next_names_the_zone_that_is_not_the_usual(
    tmp_path: Path, command: Command, pool: Pool
) -> None:
    """By the account's clock, as its own texts have it; nobody takes that for the office's."""
    file = tmp_path / "taskbell.yaml"
    file.write_text(file.read_text().replace("account_uuid: u", "account_uuid: u, timezone: UTC"))
    due = NOW + timedelta(hours=5)
    known = [
        task("T1", account=name, due=due, assignee=BO, assignees=(BO,))
        for name in ("field", "london")
    ]
    await history.know(pool, *known, at=NOW)
    await pool.execute("UPDATE tasks SET next_alarm = $1, watch = 'any'", due)
    told = (await command("next")).out
    assert f"{due:%H:%M} (UTC)  late  " in told
    assert told.count("(") == 1


@pytest.mark.usefixtures("finished")
async def test_replay_tells_of_decisions_that_do_not_come_out_again(
    command: Command, pool: Pool, finished: int
) -> None:
    """A decision that no rule has made is shown, and the exit code says no."""
    at = NOW - timedelta(hours=2)
    await pool.execute("INSERT INTO rulesets VALUES ('none', '{\"rules\": []}', $1)", NOW)
    assert "all are the same" in (await command("replay")).out
    await pool.execute(
        "INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)"
        " VALUES ($1, 'ghost', 'none', 'matched', 'because', $2)",
        finished,
        at,
    )
    result = await command("replay")
    assert result.code == 1
    moment = f"{at:%Y-%m-%d %H:%M:%S.%f} UTC"
    assert f"was recorded {moment}  event {finished}, ghost: matched: because" in result.out


async def test_replay_says_what_the_record_does_not_hold(command: Command, pool: Pool) -> None:
    """What a schedule chose from leaves no event where it was taken up in silence: no defect."""
    at = NOW - timedelta(hours=2)
    rule = {
        "id": "daily",
        "when": {"schedule": "0 7 * * *"},
        "for_each": "tasks.filter(t, !t.done)",
        "then": [{"notify": "accounting"}],
    }
    rules = Ruleset((), orjson.dumps({"rules": [rule]}, option=orjson.OPT_INDENT_2).decode())
    await pool.execute("INSERT INTO rulesets VALUES ($1, $2, $3)", rules.version, rules.text, at)
    await pool.execute(
        "INSERT INTO events (id, account, task, kind, at, cause, alarm, decided_at, rules_version)"
        " VALUES (7, 'field', '', 'scheduled', $1, 'clock', '0 7 * * *', $1, $2)",
        at,
        rules.version,
    )
    said = "schedule 0 7 * * *: 0 of 1 tasks chosen"
    await pool.execute(
        "INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)"
        " VALUES (7, 'daily', $1, 'not_matched', $2, $3)",
        rules.version,
        said,
        at,
    )
    result = await command("replay")
    assert result.code == 0
    assert (
        f"not proven   {at:%Y-%m-%d %H:%M:%S.%f} UTC  event 7, daily: not_matched: {said}"
        in result.out
    )
    assert "all others are the same; for these, the recorded data is incomplete" in result.out


@pytest.fixture
async def accounting() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver() as receiver:
        yield receiver


async def test_a_test_message_really_goes_out(
    tmp_path: Path, command: Command, accounting: HttpReceiver
) -> None:
    """By the channel that was named, once; what cannot be sent is said."""
    file = tmp_path / "taskbell.yaml"
    text = file.read_text("utf-8").replace("https://hooks.test/x", f"{accounting.url}/hook")
    file.write_text(f'{text}network: {{ allow: ["127.0.0.0/8"] }}\n', encoding="utf-8")
    result = await command("send-test", "accounting", "--text", "Hello")
    assert (result.code, result.out) == (0, "sent to accounting\n")
    [request] = accounting.requests
    assert orjson.loads(request.body)["data"]["text"] == "Hello"
    refused = await command("send-test", "acounting")
    assert refused.code == 1
    assert "did you mean accounting?" in refused.err
