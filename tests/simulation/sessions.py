"""Sessions of a real PostgreSQL that a simulation uses without waiting for anything but locks.

A statement is sent, and its answer is read, in one step, so that the order of the statements of all
simulated processes is the simulation's alone. The sessions are used again by the next history: what
takes longest is to open them, and to prepare their statements.
"""

import asyncio
import os
from asyncio import events
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from socket import SO_RCVTIMEO, SOL_SOCKET
from struct import pack
from typing import Any

import asyncpg

from service.store import Connection

# Plans that do not depend on the values of a statement, nor on what was there before.
_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "deadlock_timeout": "1ms",
    "application_name": "simulation",
}
_IS_WAITING = "SELECT pg_blocking_pids($1) <> '{}' AS is_waiting"
# As messages of PostgreSQL's protocol: the query, and that it is done and a transaction is open.
_BEGIN = b"Q\x00\x00\x00\x0aBEGIN\x00"
_BEGUN = b"C\x00\x00\x00\x0aBEGIN\x00Z\x00\x00\x00\x05T"
_MOST_READ = 1 << 17  # bytes
_QUICK = pack("@ll", 0, 1500)  # seconds and microseconds: what takes longer may wait for a lock


class Server:
    """The database of the simulation, and its idle sessions."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = _OpeningLoop()
        self._opened: list[Session] = []
        self._idle: list[Session] = []
        self._own = self.open()
        self._observer = self.open()

    def take(self) -> "Session":
        """A session that is in no transaction."""
        return self._idle.pop() if self._idle else self.open()

    def give_back(self, session: "Session") -> None:
        """Roll back what is open; a session that still waits for a lock is closed instead."""
        if session.is_busy:
            self.run("SELECT pg_terminate_backend($1, 5000)", session.pid)
            return
        if session.connection.is_in_transaction():
            session.execute("ROLLBACK")
        self._idle.append(session)

    def open(self) -> "Session":
        with self._loop.beside_the_simulation():
            connecting = asyncpg.connect(self._url, server_settings=_SETTINGS)
            self._opened.append(Session(self, self._loop.run_until_complete(connecting)))
        return self._opened[-1]

    def run(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """A statement of the simulation itself, which nobody can disturb."""
        rows: list[asyncpg.Record] = self._own.finish(statement, *values)
        return rows

    def execute(self, statements: str) -> None:
        """Several statements of the simulation itself."""
        self._own.execute(statements)

    def is_waiting(self, session: "Session") -> bool:
        """Whether it waits for a lock that another session has."""
        if session is self._observer:
            return False
        [row] = self._observer.finish(_IS_WAITING, session.pid)
        return bool(row["is_waiting"])

    def close(self) -> None:
        with self._loop.beside_the_simulation():
            for session in self._opened:
                session.connection.terminate()
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _OpeningLoop(asyncio.SelectorEventLoop):
    """The loop on which sessions are opened; at other times nobody runs it."""

    _is_used = False

    @contextmanager
    def beside_the_simulation(self) -> Iterator[None]:
        """Have it run, while the loop of a history waits."""
        simulated = events._get_running_loop()
        events._set_running_loop(None)
        self._is_used = True
        try:
            yield
        finally:
            self._is_used = False
            events._set_running_loop(simulated)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """At other times drop what is to be called: nobody would ever call it."""
        return super().call_soon(callback, *args, context=context) if self._is_used else None


class Session:
    """One session: a statement at a time, run by `begin` and `go_on`."""

    def __init__(self, server: Server, connection: Connection) -> None:
        self.connection = connection
        self.pid = connection.get_server_pid()
        self._server = server
        self._protocol = connection._protocol  # type: ignore[union-attr]
        transport = connection._transport  # type: ignore[union-attr]
        transport.pause_reading()
        self._socket = transport.get_extra_info("socket").fileno()
        os.set_blocking(self._socket, True)
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVTIMEO, _QUICK)
        self._running: Coroutine[Any, Any, Any] | None = None
        self._awaited: asyncio.Future[Any] | None = None
        self._unread = 0
        self.result: Any = None

    @property
    def is_busy(self) -> bool:
        """Whether a statement has not ended: it waits for a lock."""
        return self._running is not None

    def finish(self, statement: str, *values: object) -> Any:
        """Run a query that waits for nobody; returns its rows."""
        return self._finished(self.connection.fetch(statement, *values))

    def execute(self, statements: str) -> None:
        """Run statements that wait for nobody."""
        self._finished(self.connection.execute(statements))

    def _finished(self, call: Coroutine[Any, Any, Any]) -> Any:
        if not self.begin(call):
            raise TimeoutError("the simulation itself waits for a lock")
        return self.result

    def begin(self, running: Coroutine[Any, Any, Any], *, opens: bool = False) -> bool:
        """Begin a call of the connection's; returns whether it has ended. Raises what it raises.

        If it `opens` a transaction, that is done in the same round trip.
        """
        self._running, self.result = running, None
        if opens:
            os.write(self._socket, _BEGIN)
            self._unread = len(_BEGUN)
        return self._step() or self.go_on()

    def go_on(self) -> bool:
        """Read answers until the call has ended; False while it waits for a lock."""
        while self._awaited is not None:
            if not self._awaited.done():
                if not self._read():
                    return False
            elif self._step():
                return True
        return True

    def _read(self) -> bool:
        """Pass on what the server says, but for the answer to BEGIN; False while a lock is held."""
        said = None
        while said is None:
            try:
                said = os.read(self._socket, _MOST_READ)
            except BlockingIOError:
                if self._server.is_waiting(self):
                    return False
        if not said:
            raise ConnectionError("the server of the simulation is gone")
        passed_over, self._unread = self._unread, max(0, self._unread - len(said))
        if len(said) > passed_over:
            self._protocol.data_received(said[passed_over:])
        return True

    def _step(self) -> bool:
        """Run the call up to the next answer that it needs; returns whether it has ended."""
        try:
            self._awaited = self._running.send(None)  # type: ignore[union-attr]
        except StopIteration as end:
            self._running, self._awaited, self.result = None, None, end.value
            return True
        except BaseException:
            self._running = self._awaited = None
            raise
        self._awaited._asyncio_future_blocking = False
        return False
