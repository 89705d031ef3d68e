"""The `taskbell` command as people run it: a process of its own, its exit code, what it prints."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_OURS = ("DATABASE_", "REDIS_", "TASKBELL_", "HOST", "PORT", "WORKERS", "LOG_")
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what means something to Taskbell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "COLUMNS": "100", **more}


async def taskbell(folder: Path, *words: str, **environ: str) -> Result:
    """Run `taskbell` with these words in `folder`, and wait for its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", *words),
        cwd=folder,
        env=clean_environment(**environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_PATIENCE):
        out, err = await process.communicate()
    return Result(process.returncode or 0, out.decode(), err.decode())
