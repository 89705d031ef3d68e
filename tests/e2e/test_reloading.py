"""The configuration is changed while Taskbell runs: as a whole or not, and nothing is lost."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.test_going_on import CONFIGURATION, VISIT, System
from tests.receivers import HttpReceiver
from tests.running import free_port, taskbell
from tests.serving import said, serving
from tests.waiting import eventually

EVENTS = 200
FAULTY = "\n  colour: red\n"
FAULT = "taskbell.yaml:13:3: there is no colour here"


class Running:
    """A `taskbell serve` at work in `folder`, and those it talks to."""

    def __init__(self, folder: Path, port: int, text: str, client: httpx.AsyncClient) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.text = text
        self.client = client
        self.sent = 0

    def write(self, old: str = "", new: str = "") -> None:
        """Change the file; the next change begins with the text as it was at first."""
        (self.folder / "taskbell.yaml").write_text(self.text.replace(old, new) if old else self.text)

    async def get(self, path: str) -> Any:
        return (await self.client.get(f"{self.url}{path}")).json()

    async def post(self, count: int) -> None:
        """Send webhooks about new visits, one after the other, each until it is accepted."""
        for _ in range(count):
            self.sent += 1
            body = {**VISIT, "id": self.sent, "name": f"Visit {self.sent}"}
            answer = await self.client.post(f"{self.url}/hooks/field", json=body)
            assert answer.status_code == 202

    async def is_in_force(self, name: str) -> bool:
        """Whether the web has a rule of this name."""
        return any(one["id"] == name for one in (await self.get("/api/v1/rules"))["data"])

    async def metric(self, name: str) -> float:
        lines = (await self.client.get(f"{self.url}/metrics")).text.splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        return float(value)


@pytest.fixture
async def receiver():
    async with HttpReceiver() as made:
        yield made


@pytest.fixture
async def running(folder: Path, receiver: HttpReceiver):
    """With the rule `made`, all of it at work."""
    async with System() as system, httpx.AsyncClient(timeout=10) as client:
        text = CONFIGURATION.format(system=system.url, receiver=receiver.url)
        (folder / "taskbell.yaml").write_text(text)
        with serving(folder, port := free_port()) as process:
            made = Running(folder, port, text, client)
            made.process = process
            await eventually(lambda: is_synced(made))
            yield made


async def is_synced(running: Running) -> bool:
    try:
        return bool((await running.get("/api/v1/accounts"))["data"][0]["state"] == "ok")
    except (httpx.TransportError, KeyError, IndexError):
        return False


async def settled(running: Running, receiver: HttpReceiver) -> None:
    """Wait until whatever was sent has been told, and look that it was told once."""
    await eventually(lambda: len(receiver.requests) >= running.sent)
    await asyncio.sleep(1)
    told = Counter(request.json["data"]["task"]["id"] for request in receiver.requests)
    assert told == {str(number + 1): 1 for number in range(running.sent)}


async def test_a_change_in_the_middle_of_events(running: Running, receiver: HttpReceiver) -> None:
    """None is lost and none is told twice; each decision names the rules it was made by."""
    flowing = asyncio.create_task(running.post(EVENTS))
    await eventually(lambda: running.sent >= EVENTS // 4)
    running.write("id: made", "id: made-anew")
    await eventually(lambda: running.is_in_force("made-anew"))
    await flowing
    await running.post(1)
    await settled(running, receiver)

    page = await running.get("/api/v1/decisions?limit=500")
    assert "data" in page, said(running.folder)
    decisions = page["data"]
    assert len(decisions) == running.sent
    versions = {one["rule"]: one["rules_version"] for one in decisions}
    assert versions.keys() == {"made", "made-anew"}
    before = await running.get(f"/api/v1/rules?version={versions['made']}")
    assert [one["id"] for one in before["data"]] == ["made"]
    assert "1 added, 1 removed" in said(running.folder)
