"""`taskbell contacts`, against a real database."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from service.clock import SystemClock
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.commands import Result, taskbell

Command: TypeAlias = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell contacts`, in an empty folder, with this test's database."""

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, "contacts", *words, DATABASE_URL=database_url)

    return run


async def test_a_customer_opts_out_is_found_and_comes_back(command: Command, pool: Pool) -> None:
    """Each step says what it did; the history says who did it."""
    out = await command("opt-out", "+44 7700 900123", "--note", "called")
    assert (out.code, out.out, out.err) == (0, "447700900123 gets no more messages\n", "")
    shown = await command("list", "900123")
    assert "447700900123" in shown.out
    assert "called" in shown.out
    [one] = (await command("list", "--json")).json
    assert (one["kind"], one["account"], one["made_through"]) == ("phone", None, "cli")
    assert (await command("opt-in", "0044 7700 900123")).out == ("447700900123 may get messages\n")
    assert (await command("list")).out == "nobody has opted out\n"
    assert "447700900123" in (await command("list", "--agreed")).out
    rows = await pool.fetch("SELECT action, subject, by FROM changes ORDER BY id")
    assert [row["action"] for row in rows] == ["contact.refused", "contact.admitted"]
    assert all("at the command line" in row["by"] for row in rows)


async def test_an_opt_out_by_a_reply_is_lifted(command: Command, pool: Pool) -> None:
    """The list says how it came about; the number may be written in any way."""
    await contact_choices.choose(
        pool,
        keys_in("+44 7700 900123"),
        wants=False,
        by=Actor("the customer, by answering STOP"),
        through=Through.REPLY,
        now=SystemClock().now(),
    )
    assert "STOP" in (await command("list")).out
    [one] = (await command("list", "--json")).json
    assert one["made_through"] == "reply"
    await command("opt-in", "+44 (0)7700 900123")
    assert (await command("list")).out == "nobody has opted out\n"


async def test_a_customer_is_named_by_their_id(command: Command, pool: Pool) -> None:
    """Of one account, which has to exist."""
    wrong = await command("opt-out", "--customer", "7", "--account", "filed")
    assert (wrong.code, wrong.out) == (1, "")
    assert "there is no account filed; see `taskbell accounts list`" in wrong.err
    await pool.execute(
        "INSERT INTO accounts (name, system, added_at, next_poll_at)"
        " VALUES ('field', 'kickserv', now(), now())"
    )
    out = await command("opt-out", "--customer", "7", "--account", "field", "--json")
    named = {"kind": "customer", "value": "7", "account": "field", "state": "opted_out"}
    assert out.json == named


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "name either an address, or a customer's id"),
        (("Ida",), "Ida is not one mail address or phone number"),
        (("a@x.test, b@x.test",), "is not one mail address or phone number"),
        (("ida@c.test", "--note", "a\nb"), "a note has up to 500 printable characters"),
    ],
)
async def test_wrong_use(command: Command, words: tuple[str, ...], why: str) -> None:
    """Nothing is stored, and the exit code says that it was the question."""
    refused = await command("opt-out", *words)
    assert refused.code == 2
    assert " ".join(why.split()) in " ".join(refused.err.replace("│", " ").split())
