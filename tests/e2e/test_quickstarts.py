"""The quickstarts keep their promises: each configuration works on the emulated system."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.clock import SystemClock
from service.domain.model import DAYS, Task
from service.rules.language.vocabulary import names
from service.sandbox.app import Sandbox, running
from service.sandbox.kickserv import customer
from service.sources import systems
from tests.e2e.test_docs import DOCS, examples
from tests.harness.commands import Result
from tests.harness.commands import taskbell as command
from tests.harness.running import Taskbell, taskbell
from tests.harness.waiting import eventually

SYSTEMS = sorted(systems())
PATIENCE = 60.0  # seconds
# What Taskbell itself knows of every task.
OF_TASKBELL = frozenset({"id", "account", "system", "acknowledged", "acknowledged_by"})
# What the reader is told to create, in the system's own words.
TASKS: Mapping[str, Mapping[str, Any]] = {
    "plannr": {"uuid": "42", "name": "Call the Olsens"},
    "kickserv": {"id": 42, "name": "Mend the fence", "customer": customer("Ida Smith", 7)},
    "letsligo": {"id": "42", "title": "Appeler pour suivi", "contact": {"name": "Paul Petit"}},
    "rolodex": {"id": "42", "body": "Schedule a demo"},
}
# What the reader replaces by their own: here, by those of the emulated systems.
OWN = {
    "00000000-0000-0000-0000-000000000000": "0f6a0c3e-5d0e-4b5e-9a57-0c4f6d8b1a11",
    "your-company": "acme",
}


def page(system: str) -> str:
    return (DOCS / f"quickstart-{system}.md").read_text(encoding="utf-8")


def block(system: str, kind: str, number: int = 0) -> str:
    """A block of code of the quickstart."""
    found = [one for one in examples(kind) if one.page.name == f"quickstart-{system}.md"]
    return found[number].text


def configuration(system: str, sandbox: str, **more: str) -> str:
    """The one of the page, for the emulated system and Slack; `more` lines of the account."""
    text = re.sub(r"base_url: \S+", f"base_url: {sandbox}/{system}", block(system, "yaml"))
    for wanted, own in OWN.items():
        text = text.replace(wanted, own)
    added = "".join(f"    {name}: {value}\n" for name, value in more.items())
    text = re.sub(r"    poll: \S+\n", added or "    poll: 1s\n", text)
    text = text.replace("kind: slack,", f'kind: slack, api_url: "{sandbox}/slack/api/",')
    return f'{text}network: {{ allow: ["127.0.0.0/8"] }}\n'


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who follows a quickstart, with the emulated system in place of the real one."""

    system: str
    sandbox: Sandbox
    running: Taskbell
    client: httpx.AsyncClient

    async def listed(self, path: str) -> list[dict[str, Any]]:
        answer = await self.client.get(f"{self.running.url}/api/v1/{path}")
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def is_read(self) -> bool:
        return [one["state"] for one in await self.listed("accounts")] == ["ok"]

    async def is_seen(self) -> bool:
        return "42" in {one["id"] for one in await self.listed("tasks")}

    async def takes_webhooks(self) -> bool:
        """Whether the changed configuration is in force: an unsigned webhook is refused."""
        door = f"{self.running.url}/hooks/{self.system}"
        return (await self.client.post(door, json={})).status_code == HTTPStatus.UNAUTHORIZED

    async def create_and_finish(self) -> None:
        """After the first read; Taskbell sees the task before it is finished."""
        await eventually(self.is_read, PATIENCE)
        self.sandbox.systems[self.system].make(**TASKS[self.system])
        await eventually(self.is_seen, PATIENCE)
        self.sandbox.systems[self.system].finish("42")

    async def said(self) -> dict[str, str]:
        """What Slack shows, by the channel."""
        await eventually(lambda: self.sandbox.slack.posted, PATIENCE)
        return {
            self.sandbox.slack.name(post["channel"]): post["text"]
            for post in self.sandbox.slack.posted.values()
        }

    async def run(self, *words: str) -> Result:
        """Run a command in the folder of the configuration, as in a second terminal."""
        return await command(self.running.folder, *words, **self.running.environ)


@asynccontextmanager
async def reader(system: str, folder: Path, sandbox: Sandbox, **more: str) -> AsyncIterator[Reader]:
    tokens = {f"{system.upper()}_TOKEN": "sandbox", "SLACK_TOKEN": "sandbox"}
    async with running(sandbox) as url, httpx.AsyncClient() as client:
        text = configuration(system, url, **more)
        async with taskbell(folder, text, environ=tokens) as started:
            yield Reader(system, sandbox, started, client)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_the_first_message_goes_out(system: str, tmp_path: Path) -> None:
    """What the reader is told to do leads to the message that the page promises."""
    sandbox = Sandbox(SystemClock())
    async with reader(system, tmp_path, sandbox) as one:
        await one.create_and_finish()
        assert await one.said() == {"#office": block(system, "text").strip()}
        examined = await one.run("doctor")
    words = f"{system} answers and accepts the token"
    assert words in examined.out
    assert words in " ".join(page(system).split())
    assert examined.code == 0, examined.out


async def test_plannr_reports_changes_at_once(tmp_path: Path) -> None:
    """The command subscribes, and with the line that it prints the message needs no poll."""
    sandbox = Sandbox(SystemClock())
    async with reader("plannr", tmp_path, sandbox, poll="1h") as one:
        await eventually(one.is_read, PATIENCE)
        secret = tmp_path / "plannr.secret"
        where = ("--url", one.running.url, "--secret-file", str(secret))
        printed = " ".join((await one.run("doctor", "--subscribe", "plannr", *where)).out.split())
        shown = " ".join(block("plannr", "text", 1).split())
        shown = shown.replace("https://tasks.example.com", one.running.url)
        shown = shown.replace("/home/you/taskbell/plannr.secret", str(secret))
        assert shown in printed
        file = tmp_path / "taskbell.yaml"
        line = f"    {shown[shown.index('webhook: ') :]}\n"
        file.write_text(file.read_text().replace("    poll: 1h\n", f"    poll: 1h\n{line}"))
        await eventually(one.takes_webhooks, PATIENCE)
        await one.create_and_finish()
        assert await one.said() == {"#office": block("plannr", "text").strip()}
        [sent] = await one.listed("deliveries")
        [event] = [found for found in await one.listed("events") if found["id"] == sent["event"]]
    assert event["cause"] == "webhook"


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_it_says_of_the_fields(system: str) -> None:
    """Filled and empty fields are those that the source declares; `people:` and `url:` apart."""
    said = page(system).partition("## What Taskbell knows")[2].partition("## Next")[0]
    filled, _, empty = said.partition("Always empty:")
    full = set(re.findall(r"`(\w+)`", filled.partition("Filled:")[2]))
    nothing = set(re.findall(r"`(\w+)`", empty.partition(". ")[0]))
    declared = {name for name in systems()[system].facts.fills if "." not in name}
    told = set(names(Task)) - OF_TASKBELL - set(DAYS.values())
    assert full == declared & told
    assert nothing == told - declared - {"url"}
