"""The supervisor's side of the fork server: starts programs, and learns how they end."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO

from service.errors import TaskbellError
from service.processes.procfile import Program

END = b"\n"  # of an order, and of a report
AT_ONCE = 65536  # bytes
TIME_TO_STOP = 35.0  # seconds, before a program is killed


class ForkServerGone(TaskbellError):
    """The fork server was killed: nothing can be started any more."""

    def __init__(self) -> None:
        super().__init__(
            "The process that starts Taskbell's web and worker processes was killed, perhaps"
            " because the machine ran out of memory. Everything was stopped. Start Taskbell again."
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What the fork server is to start: a program, and its whole environment."""

    name: str
    command: tuple[str, ...]
    environ: dict[str, str]

    def line(self) -> bytes:
        """As a line of JSON. Not by orjson: bytes that are not UTF-8 are surrogates here."""
        return json.dumps(asdict(self)).encode() + END


@dataclass(frozen=True, slots=True)
class Fork:
    """A program that the fork server has started."""

    pid: int
    _ended: asyncio.Future[int]
    _stdin: asyncio.WriteTransport
    _closed: asyncio.Event

    async def wait(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal. Raises ForkServerGone."""
        try:
            return await asyncio.shield(self._ended)
        except ForkServerGone:
            await self._stop()
            raise
        finally:
            if self._ended.done():
                self._stdin.close()

    def tell(self, said: bytes) -> None:
        """Write to its standard input. Does not wait; a dead program reads nothing."""
        self._stdin.write(said)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the program has ended."""
        if not self._ended.done():
            with suppress(ProcessLookupError):  # its end has not been reported yet
                os.kill(self.pid, number)

    async def _stop(self) -> None:
        """Stop it without the fork server: nobody reports its end, but it closes the pipe then."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self._closed.is_set():
                with suppress(ProcessLookupError, TimeoutError):
                    os.kill(self.pid, number)
                    await asyncio.wait_for(self._closed.wait(), TIME_TO_STOP)


class _Stdin(asyncio.BaseProtocol):
    """The supervisor's end of a program's standard input."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        """The program has ended, or this end has been closed."""
        del error
        self.closed.set()


class ForkClient:
    """Starts programs as forks of the fork server.

    An Order goes out by `orders` as a line of JSON, with the program's standard input attached.
    The lines that come back by `reports` are `started PID` and `ended PID CODE`.
    """

    def __init__(self, orders: socket.socket, reports: int) -> None:
        self._orders = orders
        self._reports = reports
        self._turn = asyncio.Lock()
        self._unread = b""
        self._started: asyncio.Future[int]
        self._ended: dict[int, asyncio.Future[int]] = {}

    async def launch(self, program: Program, environ: Mapping[str, str]) -> Fork:
        """Start a program with this environment. Raises ForkServerGone."""
        # Not cancelled halfway: the next launch would take the report of this one for its own.
        return await asyncio.shield(self._launch(program, environ))

    async def _launch(self, program: Program, environ: Mapping[str, str]) -> Fork:
        loop = asyncio.get_running_loop()
        async with self._turn:
            self._started = loop.create_future()
            loop.add_reader(self._reports, self._hear)
            stdin = self._order(Order(program.name, program.command, dict(environ)))
            pid = await self._started
            ended = self._ended[pid]
        transport, protocol = await loop.connect_write_pipe(_Stdin, stdin)
        return Fork(pid, ended, transport, protocol.closed)

    def _order(self, order: Order) -> IO[bytes]:
        """Give an order; returns the other end of the program's standard input."""
        theirs, ours = os.pipe()
        try:
            socket.send_fds(self._orders, [order.line()], [theirs])
        except OSError as error:
            os.close(ours)
            raise ForkServerGone from error
        finally:
            os.close(theirs)
        return os.fdopen(ours, "wb", buffering=0)

    def _hear(self) -> None:
        said = os.read(self._reports, AT_ONCE)
        *lines, self._unread = (self._unread + said).split(END)
        for what, *numbers in map(bytes.split, lines):
            self._note(what, *map(int, numbers))
        if not said:
            self._fail()

    def _note(self, what: bytes, pid: int, code: int = 0) -> None:
        if what == b"started":
            self._ended[pid] = asyncio.get_running_loop().create_future()
            self._started.set_result(pid)
        else:
            self._ended.pop(pid).set_result(code)

    def _fail(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reports)
        for future in (self._started, *self._ended.values()):
            if not future.done():
                future.set_exception(ForkServerGone())
