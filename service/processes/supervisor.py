"""Keeps the Procfile's processes and the embedded servers running, and stops them cleanly."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog

from service.errors import TaskbellError
from service.processes import parent_pipe, signals
from service.processes.fork_client import TIME_TO_STOP, ForkServerGone
from service.processes.procfile import Program

log = structlog.get_logger()

_PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)  # seconds before what died is started again
_GOOD_RUN = 30.0  # seconds after which a process has proved that it can run
_TRIES = 5  # how often one that never proved it is started
_BETWEEN_LOOKS = 0.5


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


class Running(Protocol):
    """A program that has been started."""

    async def wait(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal.

        Raises ForkServerGone.
        """

    def tell(self, said: bytes) -> None:
        """Write to its standard input. Does not wait; a dead program reads nothing."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the program has ended."""


class Launcher(Protocol):
    """Starts programs."""

    async def launch(self, program: Program, environ: Mapping[str, str]) -> Running:
        """Start a program with this environment and no other. Raises ForkServerGone.

        It has a session of its own: Ctrl-C reaches the supervisor alone, which then stops the
        others one by one and lets them finish what they have in hand.
        """


class Supervisor:
    """Keeps programs and embedded servers running until told to stop.

    `launcher` starts the programs, with `environ` as their environment. SIGHUP calls `reload`;
    without one it ends everything.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        environ: Mapping[str, str],
        launcher: Launcher,
        servers: Iterable[Restartable] = (),
        *,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._programs = list(programs)
        self._environ = {**environ, **parent_pipe.MARK}
        self._launcher = launcher
        self._servers = list(servers)
        self._reload = reload
        self._beginning = b""
        self._running: set[Running] = set()
        self._stopping = asyncio.Event()
        self._failure: TaskbellError | None = None

    def stop(self) -> None:
        self._stopping.set()

    def tell(self, said: bytes, beginning: bytes) -> None:
        """Write `said` to the standard input of every program.

        A program that is started later gets `beginning` instead.
        """
        self._beginning = beginning
        for process in self._running:
            process.tell(said)

    async def run(self) -> None:
        """Keep everything running until `stop` or a signal; then stop it cleanly.

        Raises CannotRun, with everything stopped, if a program exits whenever it is started, and
        ForkServerGone if none can be started any more.
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
        try:
            await self._start_again_and_again(program)
        except ForkServerGone as error:
            self._give_up(error)

    async def _start_again_and_again(self, program: Program) -> None:
        deaths, is_proved = 0, False
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            code = await self._watch(await self._start(program))
            if asyncio.get_running_loop().time() - started > _GOOD_RUN:
                deaths, is_proved = 0, True
            deaths += 1
            if deaths == _TRIES and not is_proved:
                self._give_up(CannotRun(program.name, code))
            if not self._stopping.is_set():
                pause = _PAUSES[min(deaths, len(_PAUSES)) - 1]
                log.error("process.died", program=program.name, code=code, again_in=pause)
                await self._pause(pause)

    async def _start(self, program: Program) -> Running:
        environ = {**self._environ, "PS": program.name}
        process = await self._launcher.launch(program, environ)
        process.tell(self._beginning)
        self._running.add(process)
        return process

    def _give_up(self, failure: TaskbellError) -> None:
        # Ends everything, so that the user who started it notices. A program that has proved
        # that it can run does not come here: it is tried again while the others do their work.
        if self._stopping.is_set():
            return
        self._failure = failure
        self.stop()

    async def _watch(self, process: Running) -> int:
        """Wait until the process ends; when it is time to stop, end it. Returns its exit code."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._running.discard(process)
            code = await self._end(process, ended)
        return code

    async def _end(self, process: Running, ended: asyncio.Task[int]) -> int:
        """Terminate a process, and kill it if it takes too long."""
        if not ended.done():
            process.send(signal.SIGTERM)
            await asyncio.wait({ended}, timeout=TIME_TO_STOP)
        if not ended.done():
            process.send(signal.SIGKILL)
        return await ended

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
