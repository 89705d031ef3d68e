"""What a task looks like is the same in every process, or each worker would see other changes."""

import asyncio
import os
import sys
from pathlib import Path

from service.sources import systems

ROOT = Path(__file__).parents[2]


async def test_every_process_sees_the_same() -> None:
    """Whatever order its sets and hashes happen to have."""
    seen = {await fingerprints(seed) for seed in ("1", "2", "3", "4")}
    assert len(seen) == 1
    assert len(seen.pop().splitlines()) == len(systems())


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
