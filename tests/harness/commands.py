"""The `taskbell` command as people run it: a process of its own, its exit code, what it prints.

Each is forked off one process that has imported what takes long, and runs `python -m service` from
there; `started` pays for a whole interpreter, as a shell does.
"""

import asyncio
import os
import runpy
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

_OURS = ("DATABASE_", "REDIS_", "TASKBELL_", "HOST", "PORT", "WORKERS", "LOG_")
_PATIENCE = 60.0  # seconds

# The commands themselves are not among them: what they print depends on where they are imported.
PRELOADED = [
    "service.explain",
    "service.simulator.backtest",
    "service.simulator.replay",
    "service.change_plan",
    "service.sandbox.app",
    "service.processes.supervisor",
    "service.web.server",
]
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(PRELOADED)


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
    with TemporaryDirectory() as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = _FORKS.Process(
            target=_run, args=(folder, words, clean_environment(**environ), out, err)
        )
        process.start()
        try:
            await asyncio.to_thread(process.join, _PATIENCE)
            assert process.exitcode is not None, f"taskbell {words} does not end"
            return Result(process.exitcode, out.read_text(), err.read_text())
        finally:
            process.kill()


async def started(folder: Path, *words: str, **environ: str) -> Result:
    """The same as `taskbell`, by an interpreter that is started for it."""
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


def _run(
    folder: Path, words: tuple[str, ...], environ: dict[str, str], out: Path, err: Path
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for file, stream in ((out, sys.stdout), (err, sys.stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.argv[1:] = words
    runpy.run_module("service", run_name="__main__", alter_sys=True)
