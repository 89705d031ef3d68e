"""The inbox of the demo on the page: messages as those who receive them would see them."""

import asyncio
import smtplib
from pathlib import Path
from typing import Any

import httpx

from service.clock import VirtualClock
from service.config import load
from service.processes.embedded import EmbeddedValkey
from service.sandbox.app import Sandbox, running
from service.sandbox.system import Notification
from service.store import Pool
from tests.harness.site import Site, serving

HOSTILE = "<script>alert(1)</script>\u202e" + "x" * 10_000
CONFIGURATION = 'version: 1\nnetwork: { allow: ["127.0.0.0/8"] }\n'


async def post(url: str, method: str, **content: Any) -> Any:
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{url}/slack/api/{method}",
            json=content,
            headers={"authorization": "Bearer sandbox"},
        )
        return answer.json()


def mail(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as server:
        text = "From: Tasks <tasks@office.test>\r\nSubject: Overdue: boiler\r\n\r\nIt was due.\r\n"
        server.sendmail("tasks@office.test", ["bo@field.test"], text)


async def test_messages_look_as_they_are_received(
    pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    """Mails with their subject, Slack by channel with edits, and what Kickserv itself sends."""
    (path := tmp_path / "taskbell.yaml").write_text(CONFIGURATION)
    sandbox = Sandbox(clock)
    async with (
        running(sandbox) as url,
        serving(load(path, {}), pool, clock, valkey.url, TASKBELL_INBOX=f"{url}/inbox") as web,
    ):
        assert "Nothing has arrived yet." in (await web.client.get("/inbox")).text
        await asyncio.to_thread(mail, sandbox.inbox.smtp_port or 0)
        first = await post(url, "chat.postMessage", channel="#office", text="Done")
        await post(url, "chat.update", channel=first["channel"], ts=first["ts"], text="Not done")
        gone = await post(url, "chat.postMessage", channel="#office", text="Oops")
        await post(url, "chat.delete", channel=gone["channel"], ts=gone["ts"])
        await post(url, "chat.postMessage", channel="#dispatch", text=HOSTILE)
        link = "javascript:alert(2) https://bell.test/approvals/1?token=a"
        await post(url, "chat.postMessage", channel="#dispatch", text=link)
        told = Notification(clock.now(), "4711", "on_the_way")
        sandbox.kickserv.record.notifications.append(told)
        page = (await web.client.get("/inbox")).text
        today = (await web.client.get("/")).text
    for words in (
        "Tasks &lt;tasks@office.test&gt;",
        "bo@field.test",
        "Overdue: boiler",
        "It was due",
    ):
        assert words in page
    assert "edited" in page
    assert "Not done" in page
    assert "This message was deleted." in page
    assert "Oops" not in page
    assert "on the way" in page
    assert "task 4711" in page
    assert "<script>alert" not in page
    assert 'href="https://bell.test/approvals/1?token=a"' in page
    assert 'href="javascript' not in page
    assert 'href="/inbox"' in today


async def test_without_the_sandbox_there_is_none(web: Site) -> None:
    """A real Taskbell has messages, and no inbox; nor does Today lead there."""
    answer = await web.client.get("/inbox", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert "Only the demo has an inbox" in answer.text
    assert 'href="/inbox"' not in (await web.client.get("/")).text


async def test_a_sandbox_that_is_gone_is_said(
    pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    """The page does not fail."""
    (path := tmp_path / "taskbell.yaml").write_text(CONFIGURATION)
    gone = "http://127.0.0.1:9/inbox"
    async with serving(load(path, {}), pool, clock, valkey.url, TASKBELL_INBOX=gone) as web:
        answer = await web.client.get("/inbox")
    assert answer.status_code == 503
    assert "do not answer" in answer.text
