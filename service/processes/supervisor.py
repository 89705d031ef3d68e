"""Keeps the Procfile's processes and the embedded servers running, and stops them cleanly."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from service.errors import TaskbellError
from service.processes import parent_pipe, signals
from service.processes.environment import to_run
from service.settings import Settings

log = structlog.get_logger()

_PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)  # seconds before what died is started again
_GOOD_RUN = 30.0  # seconds after which a process has proved that it can run
_TRIES = 5  # how often one that never proved it is started
_TIME_TO_STOP = 35.0
_BETWEEN_LOOKS = 0.5
# By these the clients of PostgreSQL and of OpenTelemetry are set.
_OF_CLIENTS = ("PG", "OTEL_")


class CannotRun(TaskbellError):
    """A program exits whenever it is started, and has never run for long."""

    def __init__(self, program: str, code: int | None) -> None:
        super().__init__(
            f"{program} cannot run: it ended {_TRIES} times in a row, the last time with code"
            f" {code}. See its messages above. Everything else was stopped."
        )


class Restartable(Protocol):
    """A server that can be started again on the same files and address."""

    def revive(self) -> None:
        """Start it again if it is not running."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]


def read_procfile(path: Path, **counts: int) -> list[Program]:
    """The programs of a Procfile; `python` there stands for the current interpreter.

    `counts` says how many of a line's program to run: `worker=2` starts `worker.1` and `worker.2`.
    """
    programs = []
    for line in path.read_text().splitlines():
        name, _, command = line.partition(":")
        if command.strip():
            words = shlex.split(command)
            if words[0] == "python":
                words[0] = sys.executable
            names = _numbered(name.strip(), counts)
            programs += [Program(one, tuple(words)) for one in names]
    return programs


def _numbered(name: str, counts: Mapping[str, int]) -> list[str]:
    if name not in counts:
        return [name]
    return [f"{name}.{number}" for number in range(1, counts[name] + 1)]


class Supervisor:
    """Keeps programs and embedded servers running until told to stop.

    `environ` is the programs' environment. SIGHUP calls `reload`; without one it ends everything.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        environ: Mapping[str, str],
        servers: Iterable[Restartable] = (),
        *,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._programs = list(programs)
        self._environ = {**environ, **parent_pipe.MARK}
        self._servers = list(servers)
        self._reload = reload
        self._beginning = b""
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._failure: CannotRun | None = None

    def stop(self) -> None:
        self._stopping.set()

    def tell(self, said: bytes, beginning: bytes) -> None:
        """Write `said` to the standard input of every program.

        A program that is started later gets `beginning` instead.
        """
        self._beginning = beginning
        for process in self._running:
            _say(process, said)

    async def run(self) -> None:
        """Keep everything running until `stop` or a signal; then stop it cleanly.

        Raises CannotRun, with everything stopped, if a program exits whenever it is started.
        """
        for number in signals.heeded():
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        if self._reload is not None:
            signals.on_hangup(self._reload)
        async with asyncio.TaskGroup() as group:
            for program in self._programs:
                group.create_task(self._keep(program))
            group.create_task(self._keep_servers())
        if self._failure is not None:
            raise self._failure

    async def _keep(self, program: Program) -> None:
        deaths, is_proved = 0, False
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            process = await self._start(program)
            await self._watch(process)
            if asyncio.get_running_loop().time() - started > _GOOD_RUN:
                deaths, is_proved = 0, True
            deaths += 1
            if deaths == _TRIES and not is_proved:
                self._give_up(program, process.returncode)
            if not self._stopping.is_set():
                pause = _PAUSES[min(deaths, len(_PAUSES)) - 1]
                log.error(
                    "process.died", program=program.name, code=process.returncode, again_in=pause
                )
                await self._pause(pause)

    async def _start(self, program: Program) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            env={**self._environ, "PS": program.name},
            stdin=asyncio.subprocess.PIPE,
            # A session of its own: Ctrl-C reaches the supervisor alone, which then stops the
            # others one by one and lets them finish what they have in hand.
            start_new_session=True,
        )
        _say(process, self._beginning)
        self._running.add(process)
        return process

    def _give_up(self, program: Program, code: int | None) -> None:
        # Ends everything, so that the user who started it notices. A program that has proved
        # that it can run does not come here: it is tried again while the others do their work.
        if self._stopping.is_set():
            return
        self._failure = CannotRun(program.name, code)
        self.stop()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the process ends; when it is time to stop, end it."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(process, ended)
            self._running.discard(process)

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        """Terminate a process, and kill it if it takes too long."""
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

    async def _revive(self, server: Restartable) -> None:
        try:
            await asyncio.to_thread(server.revive)
        except Exception:  # the edge of the loop: the others are kept, this one is tried again
            log.exception("server.not_revived", server=type(server).__name__)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _say(process: asyncio.subprocess.Process, said: bytes) -> None:
    # Not waited for: a dead program reads nothing, and gets it when it is started again.
    if process.stdin is not None:
        process.stdin.write(said)


def procfile() -> Path:
    """The Procfile of this installation."""
    return Path(__file__).with_name("Procfile")


def environment(**more: str) -> dict[str, str]:
    """The parts of this process's environment for web and worker, with some values replaced.

    These are their settings; values for `${NAME}` in the configuration are sent with it.
    """
    settings = {name.upper() for name in Settings.model_fields}
    wanted = settings | {f"{name}_FILE" for name in settings}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in wanted or name.startswith(_OF_CLIENTS)
    }
    return {**to_run(), **kept, **more}
