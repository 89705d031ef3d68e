"""Law 14: no secret reaches a table, a log, a metric, the API or the page."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.kickserv import PLANTED
from service.settings import read_settings
from service.store import Pool
from service.telemetry.log import configure
from tests.harness.commands import taskbell as command
from tests.harness.corridor import TOKENS, Corridor, corridor
from tests.harness.receivers import Answer
from tests.harness.site import Site, serving

ADMIN = "admin-hidden-hidden-7Q"
SECRETS = (
    *PLANTED.values(),
    TOKENS["SLACK_TOKEN"],
    TOKENS["HOOK_SECRET"],
    TOKENS["HOOK_SECRET"].removeprefix("whsec_"),
    ADMIN,
    b64encode(b"sandbox:sandbox").decode(),
    "Bearer ",
    "hidden-7Q",
    "planted-",
)
RULES = """
- { id: made, when: task.created,
    then: [{ notify: accounting }, { notify: "slack:#office", text: "{{ task.title }}" },
           { notify: customer:details }, { notify: employee }] }
- { id: done, when: task.completed, accounts: [field],
    then: [{ create_task: { title: "Bill", type: invoice } }] }
"""
PAGES = (
    "/",
    "/metrics",
    "/healthz",
    "/readyz",
    *(
        f"/api/v1/{noun}"
        for noun in (
            "tasks",
            "events",
            "decisions",
            "deliveries",
            "rules",
            "accounts",
            "receipts",
            "receipts?state=poison",
        )
    ),
)
COMMANDS = (
    ("outbox", "list"),
    ("outbox", "show", "1"),
    ("accounts", "list", "--json"),
    ("doctor",),
)
NEITHER_JSON_NOR_SAFE = orjson.dumps(PLANTED)[:-1]


async def test_law_14_no_secret_gets_anywhere(
    pool: Pool,
    clock: VirtualClock,
    folder: Path,
    valkey: EmbeddedValkey,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Webhooks, polls, sends and refusals, with secrets in all that comes in: none stays.

    Looked through are all tables, all that is logged, DEBUG included, and what libraries log, what
    the web process shows and how it refuses, and what commands print. Taskbell keeps no traces.
    """
    environ = {**TOKENS, "DATABASE_URL": database_url, "REDIS_URL": valkey.url}
    async with corridor(folder, pool, clock, RULES) as taskbell:
        with capture_logs() as logs:
            async with serving(taskbell.config, pool, clock, valkey.url, ADMIN) as web:
                await go_through_everything(taskbell, web)
                shown = [await read(web, path) for path in PAGES]
                shown += [text async for text in refusals(web)]
        for words in COMMANDS:
            printed = await command(folder, *words, **environ)
            assert printed.out + printed.err
            clean(printed.out + printed.err)
        assert {"debug", "info", "warning"} <= {one["log_level"] for one in logs}
        clean(str(logs))
        clean(caplog.text)
        for text in shown:
            clean(text)
        tables = {name: text async for name, text in dump(pool)}
        assert "Clean the gutters" in tables["receipts"]
        assert "poison" in tables["receipts"]
        assert "unknown" in tables["deliveries"]
        assert {"tasks", "events", "lookups", "accounts", "counters", "rulesets"} <= tables.keys()
        for text in tables.values():
            clean(text)


def clean(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


async def go_through_everything(taskbell: Corridor, web: Site) -> None:
    """Each road once, and each of its ways to fail."""
    kickserv, clock = taskbell.sandbox.kickserv, taskbell.clock
    taskbell.visit()
    await taskbell.begin()
    for body in bodies(taskbell):
        answer = await web.post("field", orjson.dumps(body), {"authorization": f"Bearer {ADMIN}"})
        assert answer.status_code == 202
    for name, value in PLANTED.items():
        body = b'{"person": {"%s": "%s"}}' % (hidden(name), value.encode())
        assert (await web.post("field", body)).status_code == 202
    await taskbell.ingest()
    await taskbell.look_up()
    kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="POST"))
    taskbell.slack.reply(Answer(body={"ok": False, "error": TOKENS["SLACK_TOKEN"]}))
    taskbell.accounting.reply(Answer(500, TOKENS["HOOK_SECRET"].encode()))
    await taskbell.deliver()
    for kind in (
        FaultKind.UNAUTHORIZED,
        FaultKind.REJECTED,
        FaultKind.TRUNCATED,
        FaultKind.RESET_AFTER,
    ):
        kickserv.faults.set(Fault(kind, method="GET"))
        clock.advance(timedelta(minutes=20))
        await taskbell.poll()
    await taskbell.poll(full=True)
    await web.post("field", orjson.dumps(kickserv.finish(next(iter(kickserv.tasks)))))
    await taskbell.ingest()
    await taskbell.deliver()
    await taskbell.look_up()


def bodies(taskbell: Corridor) -> Iterator[Any]:
    """Webhooks with the passwords of employees at every depth, some of them unreadable."""
    yield taskbell.visit()
    yield {"event": "task.created", "data": taskbell.visit()}
    yield [taskbell.visit(), {"task": taskbell.visit()}]
    yield {"id": taskbell.visit()["id"], **PLANTED}
    yield {"nothing": "of use", "person": PLANTED}
    yield taskbell.visit() | {"ends_at": "soon"}
    yield taskbell.visit() | {"id": {"employee": PLANTED}}
    yield {"signal": PLANTED, "task": PLANTED}
    yield {"a": [[{"b": {"c": PLANTED}}]]}


async def refusals(web: Site) -> AsyncIterator[str]:
    """Every way in which the web process says no, with passwords in what is refused."""
    asking = {"Authorization": f"Bearer {ADMIN}"}
    secret = PLANTED["remember_token"]
    for answer in (
        await web.post("field", NEITHER_JSON_NOR_SAFE),
        await web.post("field", orjson.dumps(PLANTED), {"content-type": secret}),
        await web.post("london", orjson.dumps(PLANTED), {"x-signature": secret}),
        await web.post(secret, orjson.dumps(PLANTED)),
        await web.post("field", b'{"a":' * 200 + orjson.dumps(PLANTED) + b"}" * 200),
        await web.client.get(f"/api/v1/tasks/{secret}", headers=asking),
        await web.client.get("/api/v1/events", params={"kind": secret}, headers=asking),
        await web.client.get("/api/v1/events", params={"cursor": secret}, headers=asking),
        await web.client.get("/api/v1/events", headers={"Authorization": f"Bearer {secret}"}),
        await web.client.post("/login", data={"token": secret}),
    ):
        assert answer.is_client_error
        yield answer.text.replace("Bearer TOKEN", "what is asked for")


def hidden(name: str) -> bytes:
    """A name whose letters are escaped, as JSON allows."""
    return b"".join(b"\\u%04x" % ord(letter) for letter in name)


async def read(web: Site, path: str) -> str:
    answer = await web.client.get(path, headers={"Authorization": f"Bearer {ADMIN}"})
    assert answer.status_code == 200, path
    return answer.text


async def dump(pool: Pool) -> Any:
    """Every table as text, with what is stored as bytes made readable."""
    names = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (name,) in names:
        rows = await pool.fetch(f"SELECT * FROM {name}")
        yield name, "\n".join(str(tuple(row)) for row in rows)


@pytest.mark.parametrize("depth", [100, 240, 300, 500, 900])
async def test_law_14_a_deep_body_with_a_secret_is_no_failure_of_ours(
    depth: int, pool: Pool, clock: VirtualClock, folder: Path, valkey: EmbeddedValkey
) -> None:
    """However deep the password lies: it is not stored, and the answer is no 500."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        async with serving(taskbell.config, pool, clock, valkey.url) as web:
            secret = orjson.dumps(PLANTED)
            body = b'{"a":' * depth + secret + b"}" * depth
            answer = await web.post("field", body)
            assert answer.status_code in {202, 400}
        await taskbell.ingest()
        async for _, text in dump(pool):
            clean(text)


@pytest.mark.parametrize("form", ["json", "console"])
def test_law_14_a_traceback_shows_no_variables(
    form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A defect that is logged with its traceback tells where it was, not what was in hand."""
    configure(read_settings({"LOG_FORMAT": form}))
    try:
        fail_with(secret=ADMIN)
    except ZeroDivisionError:
        structlog.get_logger().exception("it.broke")
    written = capfd.readouterr().err
    structlog.reset_defaults()
    assert "fail_with" in written
    clean(written)


def fail_with(secret: str) -> float:
    return 1 / (len(secret) - len(secret))
