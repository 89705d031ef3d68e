"""`taskbell rules`, and what other commands say about rules that were switched."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest

from service.domain.model import Kind, State
from service.store import Pool, decisions
from tests.harness import history
from tests.harness.commands import Result, taskbell
from tests.harness.tasks import task

Command: TypeAlias = Callable[..., Awaitable[Result]]
RULES = """\
version: 1
accounts:
  field: { system: kickserv, base_url: "https://k.test", slug: acme, token: t0ken }
channels:
  slack: { kind: slack, token: xoxb-hidden }
rules:
- id: job-done
  when: task.completed
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
- id: resting
  when: task.created
  enabled: false
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
"""


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell` in a folder with a configuration, with this test's database."""
    (tmp_path / "taskbell.yaml").write_text(RULES)

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, *words, DATABASE_URL=database_url)

    return run


async def test_a_rule_is_switched_and_follows_the_file_again(command: Command) -> None:
    """Each says what the rule is now; the list says who did it, and why."""
    tried = await command("rules", "trial", "job-done", "--reason", "a typo")
    assert (tried.code, tried.out) == (
        0,
        "rule job-done is on trial: it records what it would have sent, and sends nothing\n",
    )
    assert (await command("rules", "on", "resting")).out == "rule resting is on\n"
    off = await command("rules", "off", "job-done", "--json")
    assert off.json == {"rule": "job-done", "mode": "off"}
    listed = (await command("rules", "list", "--json")).json
    first, second = listed["rules"]
    assert (first["rule"], first["mode"], first["written"]) == ("job-done", "off", "on")
    assert first["override"]["by"].endswith("at the command line")
    assert first["override"]["reason"] is None
    assert (second["rule"], second["mode"], second["written"]) == ("resting", "on", "off")
    assert listed["unused"] == {}
    assert "switched off by" in " ".join((await command("rules", "list")).out.split())
    follows = await command("rules", "follow", "job-done")
    assert follows.out == "rule job-done follows the configuration again: it is on\n"
    again = await command("rules", "follow", "job-done")
    assert (again.code, "follows the configuration already" in again.err) == (1, True)


async def test_the_list_says_when_a_rule_last_did_something(command: Command, pool: Pool) -> None:
    """When it last matched, and when its last message was planned."""
    event = await history.record(pool, task(), Kind.COMPLETED, at=datetime.now(UTC))
    await history.plan(pool, event, State.SENT)
    async with pool.acquire() as connection:
        made = decisions.PostgresDecisions(connection)
        matched = decisions.Decision(event.id, "job-done", "matched", "task.completed")
        await made.insert([matched], "v", event.at)
    first, second = (await command("rules", "list", "--json")).json["rules"]
    assert datetime.fromisoformat(first["last_matched_at"]) == event.at
    assert first["last_message_at"] is not None
    assert (second["last_matched_at"], second["last_message_at"]) == (None, None)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("off", "job-don"), 1, "there is no rule job-don; did you mean job-done?"),
        (("follow", "nobody"), 1, "there is no rule nobody; known here: job-done, resting"),
        (("off", "job-done", "--reason", " "), 2, "give a reason"),
        (("off", "job-done", "--reason", "a\nb"), 2, "give a reason"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    command: Command, words: tuple[str, ...], code: int, says: str
) -> None:
    """An unknown name with the one that is probably meant; nothing is switched."""
    result = await command("rules", *words)
    assert (result.code, says in result.err) == (code, True), result.err
    assert "switched" not in (await command("rules", "list")).out.partition("\n")[2]


async def test_a_faulty_file_does_not_keep_a_rule_from_being_stopped(
    command: Command, pool: Pool, tmp_path: Path
) -> None:
    """Someone is just writing it: the rules in use are meant."""
    (tmp_path / "taskbell.yaml").write_text("version: 1\nrules: [\n")
    assert (await command("rules", "off", "urgent")).code == 1
    text = '{"rules": [{"id": "urgent", "when": "task.created"}]}'
    await decisions.keep_rules(pool, "v", text, datetime.now(UTC))
    assert (await command("rules", "off", "urgent")).out == "rule urgent is off\n"


async def test_other_commands_mention_it(command: Command, tmp_path: Path) -> None:
    """`check`, `plan` and `list` say that a rule was switched, even one that no longer exists."""
    assert "switched" not in (await command("check")).out
    await command("rules", "off", "job-done", "--reason", "too loud")
    for words in (("check",), ("plan",), ("accounts", "list")):
        out = (await command(*words)).out
        assert "rule job-done was switched off by" in out, out
        assert "(too loud)" in out
        assert "`taskbell rules follow job-done` undoes this" in out
    assert list((await command("check", "--json")).json["overrides"]) == ["job-done"]
    assert list((await command("plan", "--json")).json["overrides"]) == ["job-done"]
    (tmp_path / "taskbell.yaml").write_text(RULES.replace("id: job-done", "id: renamed"))
    for words in (("check",), ("plan",), ("rules", "list")):
        out = (await command(*words)).out
        assert "the configuration has no such rule" in out, out
    assert "the configuration has no such rule" in (await command("doctor")).out
    gone = await command("rules", "follow", "job-done")
    assert "is not in the configuration" in gone.out
    assert "switched" not in (await command("check")).out


async def test_check_says_if_it_cannot_know(tmp_path: Path) -> None:
    """The configuration is still checked."""
    (tmp_path / "taskbell.yaml").write_text(RULES)
    nowhere = "postgresql://nobody@127.0.0.1:9/none"
    result = await taskbell(tmp_path, "check", DATABASE_URL=nowhere)
    assert result.code == 0
    assert "taskbell.yaml: no errors" in result.out
    assert "whether rules were switched is not known" in result.out


async def test_check_needs_no_tables(command: Command, pool: Pool) -> None:
    """Of a database that is not migrated yet nothing is said: no rule can have been switched."""
    await pool.execute("DROP TABLE rule_overrides")
    result = await command("check")
    assert (result.code, result.out, result.err) == (0, "taskbell.yaml: no errors\n", "")
