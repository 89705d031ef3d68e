"""What a task looks like is the same in every process, or each worker would see other changes."""

import asyncio
import os
import sys
from datetime import time
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.days import LAST
from service.domain.directory import Directory
from service.domain.model import Person
from service.http.client import open_client
from service.sources import systems
from tests.contract.source_rig import connect, sample

ROOT = Path(__file__).parents[2]


async def test_every_process_sees_the_same() -> None:
    """Whatever order its sets and hashes happen to have."""
    seen = {await fingerprints(seed) for seed in ("1", "2", "3", "4")}
    assert len(seen) == 1
    assert len(seen.pop().splitlines()) == len(systems())


@pytest.mark.parametrize("system", sorted(systems()))
async def test_people_and_the_time_of_days_change_it(system: str, clock: VirtualClock) -> None:
    """Either alone, and both together, so that all tasks are then read again."""
    people = Directory({"u1": Person(name="Bo")}).digest
    raw = sample(system, "task")
    async with open_client([]) as client:
        sources = [
            connect(system, clock, client, "https://a.test", people=known, due_by=due_by)
            for known in (b"", people)
            for due_by in (LAST, time(17, 30))
        ]
        looks = {source.fingerprint(source.trim(raw)) for source in sources}
    assert len(looks) == (1 if sources[0].refetches else 4)


async def fingerprints(seed: str) -> str:
    """What a process with this seed of its hashes prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.contract.fingerprints"),
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
