"""A worker is killed at each step of its exchanges with every kind of receiver, all at once.

The other steps are in `tests/integration/test_laws_exchange.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from tests.harness.line import Cut, HttpLine, MailLine
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.running import Taskbell, taskbell
from tests.harness.slack_receiver import SlackReceiver
from tests.harness.smtp_receiver import SmtpReceiver
from tests.harness.waiting import eventually

PATIENCE = 75.0  # seconds; a dead worker's leases take 8 of them
CONFIGURATION = """
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  field:
    {{ system: kickserv, base_url: "{system}/kickserv", slug: acme, token: sandbox, poll: 60s,
       timezone: America/New_York, per_minute: 100000, timeout: 60s, webhook: {{ verify: none }} }}
channels:
  accounting: {{ kind: webhook, url: "{accounting}/hook", timeout: 60s }}
  slack: {{ kind: slack, token: xoxb-hidden, api_url: "{slack}/api/", timeout: 60s }}
  sms: {{ kind: twilio, account_sid: AC1, token: hidden, from: "+14155550100",
          api_url: "{sms}", timeout: 60s }}
  mail: {{ kind: email, url: "smtp://127.0.0.1:{mail}", from: "office@firm.test", timeout: 60s }}
rules:
- id: tell
  when: task.created
  then:
    - notify: customer:details
    - notify: accounting
    - {{ notify: "slack:#office", text: New }}
    - {{ notify: "mail:bo@x.test", text: New }}
    - {{ notify: "sms:+14155550123", text: New }}
"""
WORDS = {"system": "/notify", "accounting": "/hook", "slack": "/chat.postMessage", "sms": "/Mess"}
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"


@dataclass(frozen=True, slots=True)
class Firm:
    """The receivers of a firm, and the lines to them."""

    sandbox: Sandbox
    accounting: HttpReceiver
    slack: SlackReceiver
    sms: HttpReceiver
    smtp: SmtpReceiver
    http_lines: dict[str, HttpLine]
    mail_line: MailLine

    def cut(self, where: Cut) -> None:
        for name, line in self.http_lines.items():
            line.cut(where, WORDS[name])
        self.mail_line.cut(where)

    async def all_held(self) -> None:
        for line in (*self.http_lines.values(), self.mail_line):
            await asyncio.wait_for(line.held.wait(), PATIENCE)

    def let_go(self) -> None:
        for line in (*self.http_lines.values(), self.mail_line):
            line.let_go.set()

    @property
    def configuration(self) -> str:
        urls = {name: line.url for name, line in self.http_lines.items()}
        return CONFIGURATION.format(**urls, mail=self.mail_line.port)


@asynccontextmanager
async def firm() -> AsyncIterator[Firm]:
    sandbox = Sandbox(SystemClock())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(sandbox))
        accounting = await stack.enter_async_context(HttpReceiver())
        slack = await stack.enter_async_context(SlackReceiver("office"))
        sms = await stack.enter_async_context(HttpReceiver())
        sms.reply(*[Answer(201, {"sid": "SM1", "status": "queued"})] * 9)
        smtp = await stack.enter_async_context(SmtpReceiver())
        ports = {
            "system": int(url.rpartition(":")[2]),
            "accounting": accounting.port,
            "slack": slack.port,
            "sms": sms.port,
        }
        lines = {
            name: await stack.enter_async_context(HttpLine(port)) for name, port in ports.items()
        }
        mail = await stack.enter_async_context(MailLine(smtp.port))
        yield Firm(sandbox, accounting, slack, sms, smtp, lines, mail)


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[tuple[Taskbell, Firm]]:
    async with firm() as others, taskbell(folder, others.configuration) as running:
        try:
            yield running, others
        finally:
            # Its last calls are answered from here.
            await asyncio.to_thread(running.stop)


@pytest.mark.crash
@pytest.mark.timeout(200)
@pytest.mark.parametrize("moment", ["request", "answer", "commit"])
async def test_law_8_a_worker_that_is_killed_anywhere_in_the_exchange(
    moment: str, folder: Path
) -> None:
    """With the request on its way, with the answer on its way, and with the result not stored."""
    async with installation(folder) as (running, others):
        await eventually(lambda: is_synced(running), PATIENCE)
        others.cut(Cut.HELD_BEFORE if moment == "request" else Cut.HELD)
        await book(running, others)
        await others.all_held()
        if moment == "commit":
            await kill_in_the_commit(running, others)
        else:
            running.kill("worker")
            others.let_go()
        running.start("worker.2")
        await eventually(lambda: is_settled(running), PATIENCE)
        await demand_laws(running, others, acted=moment != "request")


async def book(running: Taskbell, others: Firm) -> None:
    start = SystemClock().now() + timedelta(days=1)
    visit = others.sandbox.kickserv.make(scheduled_at=start, ends_at=start + timedelta(hours=1))
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{running.url}/hooks/field", json=visit)
    assert answer.status_code == httpx.codes.ACCEPTED


async def kill_in_the_commit(running: Taskbell, others: Firm) -> None:
    """Every answer has come, and nothing of that is stored yet."""
    connection = await asyncpg.connect(running.postgres.url)
    async with connection.transaction():
        await connection.execute("SELECT FROM deliveries FOR UPDATE")
        others.let_go()
        await eventually(lambda: are_blocked(connection), PATIENCE)
        running.kill("worker")
    await connection.close()


async def are_blocked(connection: asyncpg.Connection) -> bool:
    """Whether the result of each of the five waits to be written."""
    return int(await connection.fetchval(BLOCKED)) >= 5


async def is_synced(running: Taskbell) -> bool:
    return bool(await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"))


async def is_settled(running: Taskbell) -> bool:
    [row] = await running.query("SELECT count(*) FROM deliveries WHERE settled_at IS NULL")
    return bool(row["count"] == 0)


async def demand_laws(running: Taskbell, others: Firm, *, acted: bool) -> None:
    """Customers heard once or not at all, with a reason; everybody else heard, and can tell."""
    rows = await running.query("SELECT channel, state, reason, key::text FROM deliveries")
    by_channel = {row["channel"]: row for row in rows}
    for channel in ("customer", "sms"):
        assert by_channel[channel]["state"] == "unknown"
        assert "Taskbell was stopped while it sent this" in by_channel[channel]["reason"]
    told = [one.notification for one in others.sandbox.kickserv.record.notifications]
    assert len(told) == len(posted(others.sms)) == int(acted)
    for channel in ("accounting", "slack", "mail"):
        assert by_channel[channel]["state"] == "sent"
    ids = [one.headers["webhook-id"] for one in posted(others.accounting)]
    assert set(ids) == {by_channel["accounting"]["key"]}
    assert len(others.slack.posted) == 1
    message_id = f"<{by_channel['mail']['key']}@firm.test>"
    assert {one.message["Message-ID"] for one in others.smtp.mails} == {message_id}


def posted(receiver: HttpReceiver) -> list[Request]:
    return [one for one in receiver.requests if one.method == "POST"]
