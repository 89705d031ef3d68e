"""Keeps the Procfile's processes and the embedded servers running, and stops them all cleanly."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger()

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0  # seconds before a process that died is started again
_GOOD_RUN = 30.0  # seconds after which a process has proved that it can run
_TIME_TO_STOP = 35.0
_BETWEEN_LOOKS = 0.5


class Revivable(Protocol):
    """A server that can be started again on the same files and address."""

    def revive(self) -> None:
        """Start it again if it is not running."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]


def read_procfile(path: Path) -> list[Program]:
    """The programs of a Procfile; `python` is the interpreter that runs this."""
    programs = []
    for line in path.read_text().splitlines():
        name, _, command = line.partition(":")
        if command.strip():
            words = shlex.split(command)
            if words[0] == "python":
                words[0] = sys.executable
            programs.append(Program(name.strip(), tuple(words)))
    return programs


class Supervisor:
    """Runs programs with an environment, and servers beside them, until told to stop."""

    def __init__(
        self,
        programs: Iterable[Program],
        environ: Mapping[str, str],
        servers: Iterable[Revivable] = (),
    ) -> None:
        self._programs = list(programs)
        self._environ = dict(environ)
        self._servers = list(servers)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Keep everything running until `stop` or a signal to end; then end it in good order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        async with asyncio.TaskGroup() as group:
            for program in self._programs:
                group.create_task(self._keep(program))
            group.create_task(self._keep_servers())

    async def _keep(self, program: Program) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            process = await asyncio.create_subprocess_exec(
                # A session of its own: Ctrl-C reaches the supervisor alone, which then stops
                # the others one by one and lets them finish what they have in hand.
                *program.command,
                env=self._environ,
                start_new_session=True,
            )
            await self._watch(process)
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - started > _GOOD_RUN:
                pause = _FIRST_PAUSE
            log.error("process.died", program=program.name, code=process.returncode, again_in=pause)
            await self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the process ends; when it is time to stop, end it."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(process, ended)

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        """Ask a process to end, and insist if it takes too long."""
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=_TIME_TO_STOP)
        if not ended.done():
            process.kill()
        await ended

    async def _keep_servers(self) -> None:
        while not self._stopping.is_set():
            for server in self._servers:
                await self._revive(server)
            await self._pause(_BETWEEN_LOOKS)

    async def _revive(self, server: Revivable) -> None:
        try:
            await asyncio.to_thread(server.revive)
        except Exception:  # the edge of the loop: the others are kept, this one is tried again
            log.exception("server.not_revived", server=type(server).__name__)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def heed_sigterm() -> None:
    """Have SIGTERM end this process as Ctrl-C does until a supervisor runs.

    Servers that are started before it are then stopped, not left behind.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def procfile() -> Path:
    """The Procfile of this installation."""
    return Path(__file__).parent.parent / "Procfile"


def environment(**more: str) -> dict[str, str]:
    """This process's environment with some values replaced."""
    return {**os.environ, **more}
