"""For each system its sample documents and its emulation: what the contract suite needs.

A new system brings a folder tests/payloads/{system}/ with

- account.json: the options of an account, but for system and address
- task.json, task.expected.json: a task with every field, and what is to be read from it
- bodies.json: bodies of webhooks, and what they say
- others.json: what other tasks have instead, until every field is filled that the system can fill
- documented_*.json: every sample answer in the documents of its makers
- words.json, where it takes new tasks: what those need beside a title and a due date, in the words
  of the rule language

and an emulation service/sandbox/{system}.py. Nothing here has to be edited.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from service.clock import Clock, VirtualClock
from service.http.client import open_client
from service.http.throttle import Unthrottled
from service.sandbox.app import Sandbox, running
from service.sandbox.system import TaskSystem
from service.sources import Source, systems
from service.sources.reader import Raw
from tests.harness.receivers import LOOPBACK

PAYLOADS = Path(__file__).parent.parent / "payloads"
# Seconds: what a busy machine answers within, and what a slow answer exceeds.
A_MOMENT, LONG = 2.0, 30.0


@dataclass(frozen=True, slots=True)
class Rig:
    """A source, and the emulated system at its other end."""

    source: Source
    system: TaskSystem
    sandbox: Sandbox
    clock: VirtualClock

    async def listed(self) -> list[Raw]:
        """Everything that a scan brings, in its order."""
        return [raw async for page in self.source.scan() for raw in page.raws.values()]

    def id_of(self, raw: Raw) -> str:
        found = self.source.identify(raw)
        assert found is not None
        return found

    def make(self, count: int) -> list[str]:
        """That many tasks in the system; their ids."""
        titles = ({self.system.title: f"Task {n}"} for n in range(count))
        return [self.id_of(self.system.make(**title)) for title in titles]


def sample(system: str, name: str) -> Any:
    """One of a system's sample documents."""
    return orjson.loads((PAYLOADS / system / f"{name}.json").read_bytes())


def documented(system: str) -> list[str]:
    """The names of the samples that stand in the documents of the system's makers."""
    return sorted(file.stem for file in (PAYLOADS / system).glob("documented_*.json"))


def connect(
    system: str,
    clock: Clock,
    client: httpx.AsyncClient,
    url: str,
    people: bytes = b"",
    **options: Any,
) -> Source:
    """A source with the options of its account.json, changed by `options`."""
    kind = systems()[system]
    given = {**sample(system, "account"), "per_minute": 1_000_000, **options}
    account = kind.options.model_validate({**given, "system": system, "base_url": url})
    return kind.connect(account, client, clock, Unthrottled(), people)


@asynccontextmanager
async def rigged(system: str, clock: VirtualClock, **options: Any) -> AsyncIterator[Rig]:
    """A source connected to a sandbox that runs while the context is open."""
    sandbox = Sandbox(clock)
    async with running(sandbox) as url, open_client(LOOPBACK, timeout=A_MOMENT) as client:
        source = connect(system, clock, client, f"{url}/{system}", **options)
        yield Rig(source, sandbox.systems[system], sandbox, clock)
