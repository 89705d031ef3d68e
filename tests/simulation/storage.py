"""The database as a simulated process reaches it: late, cut off, restarted, or not at all.

It has the interface of a pool of connections, as far as Taskbell uses it. The statements are run by
a real PostgreSQL, each at the moment at which it arrives there; what is simulated is the way to it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from hashlib import blake2b
from typing import Any, Protocol, Self

import asyncpg

from tests.simulation.sessions import Server, Session

_ASYNCHRONOUS = "SET LOCAL synchronous_commit = off"
_ENDS = ("COMMIT", "ROLLBACK")
# Seconds of real time, more than the server's deadlock_timeout: whoever begins to wait has looked
# for a deadlock before anybody else does, so that it is always the last one who finds it.
_HAS_LOOKED = 0.004
_CUT = "connection was closed in the middle of operation"


_MOST_STATEMENTS = 15_000  # of one history, which has some hundred


class Endless(SystemExit):
    """The history never comes to an end; the loop itself is ended by this."""


class Client(Protocol):
    """The process that uses a connection."""

    name: str

    async def send(self) -> None:
        """Wait until what the process sends has arrived; raises if it is killed by then."""

    async def receive(self) -> None:
        """Wait until the answer has arrived at the process; raises if it is killed by then."""

    def is_cut(self, *, before: bool) -> bool:
        """Whether the connection breaks now, before or after a statement was carried out."""


class Bystander:
    """Somebody whose statements arrive at once; for what the simulation itself writes."""

    name = "bystander"

    async def send(self) -> None:
        """Arrive at once."""

    async def receive(self) -> None:
        """Arrive at once."""

    def is_cut(self, *, before: bool) -> bool:
        del before
        return False


class Storage:
    """The database during one history.

    `journal` is a digest of every statement, its process and its time. `loses` says that the
    database crashes right after it has confirmed the next commit that need not be on the disk: that
    one is lost.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loses = False
        self.journal = blake2b()
        self._statements = 0
        self._open: list[Connection] = []
        self._waiting: dict[Connection, asyncio.Future[Any]] = {}

    def connect(self, client: Client) -> "Connection":
        connection = Connection(self, client, self.server.take())
        self._open.append(connection)
        return connection

    def disconnect(self, connection: "Connection") -> None:
        """Give its session back, rolled back; others that have waited for it go on."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        waiting = self._waiting.pop(connection, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(asyncpg.ConnectionDoesNotExistError(_CUT))
        self.server.give_back(connection.session)
        self.let_others_go_on()

    def leave(self, client: Client) -> None:
        """End all connections of a process that has died."""
        for connection in [one for one in self._open if one.client is client]:
            self.disconnect(connection)

    def crash(self) -> None:
        """Break off every connection, with what it has not committed."""
        for connection in list(self._open):
            self.disconnect(connection)

    def note(self, client: Client, query: str) -> None:
        """Note a statement; raises Endless."""
        at = asyncio.get_running_loop().time()
        self.journal.update(f"{at!r} {client.name} {query}\n".encode())
        self._statements += 1
        if self._statements > _MOST_STATEMENTS:
            raise Endless(f"after {_MOST_STATEMENTS} statements there is no end: {query}")

    def wait(self, connection: "Connection") -> asyncio.Future[Any]:
        """The result of its statement, once it has got the lock that another session has."""
        waiting = self._waiting[connection] = asyncio.get_running_loop().create_future()
        waiting.add_done_callback(_take_note)
        time.sleep(_HAS_LOOKED)
        if len(self._waiting) > 1:
            self.let_others_go_on()
        return waiting

    def let_others_go_on(self) -> None:
        """Continue the statements that have got their lock, in the order in which they came."""
        for connection, waiting in list(self._waiting.items()):
            try:
                if not connection.session.go_on():
                    continue
            except asyncpg.PostgresError as error:
                waiting.set_exception(error)
            else:
                waiting.set_result(connection.session.result)
            self._waiting.pop(connection, None)


def _take_note(waiting: asyncio.Future[Any]) -> None:
    """Nobody may be left to take its error."""
    if not waiting.cancelled():
        waiting.exception()


class Connection:
    """A connection of a simulated process."""

    def __init__(self, storage: Storage, client: Client, session: Session) -> None:
        self.client = client
        self.session = session
        self.depth = 0
        self.is_lost = False
        self.is_asynchronous = False
        self.is_to_begin = False
        self._storage = storage

    async def fetch(self, query: str, *values: object, **_: object) -> Any:
        return await self._ask(query, lambda: self.session.connection.fetch(query, *values))

    async def fetchrow(self, query: str, *values: object, **_: object) -> Any:
        return await self._ask(query, lambda: self.session.connection.fetchrow(query, *values))

    async def fetchval(self, query: str, *values: object, **_: object) -> Any:
        return await self._ask(query, lambda: self.session.connection.fetchval(query, *values))

    async def execute(self, query: str, *values: object, **_: object) -> Any:
        if query == _ASYNCHRONOUS:
            self.is_asynchronous = True
            return "SET"
        return await self._ask(query, lambda: self.session.connection.execute(query, *values))

    async def executemany(self, query: str, values: object, **_: object) -> Any:
        many: Any = values
        return await self._ask(query, lambda: self.session.connection.executemany(query, many))

    def transaction(self) -> "Transaction":
        return Transaction(self)

    async def commit(self) -> None:
        """Commit; or confirm it, and lose it in the crash that follows."""
        if self.is_to_begin:
            self.is_to_begin = False
            return
        is_lost = self.is_asynchronous and self._storage.loses
        await self.execute("ROLLBACK" if is_lost else "COMMIT")
        if is_lost:
            self._storage.loses = False
            self._storage.crash()

    async def roll_back(self) -> None:
        if self.is_to_begin:
            self.is_to_begin = False
        else:
            await self.execute("ROLLBACK")

    async def _ask(self, query: str, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        self._demand_open()
        await self.client.send()
        self._demand_open()
        self._break_off(before=True)
        self._storage.note(self.client, query)
        result = await self._run(call())
        if self.depth == 0 or query in _ENDS:
            self._storage.let_others_go_on()
        self._break_off(before=False)
        await self.client.receive()
        return result

    async def _run(self, call: Coroutine[Any, Any, Any]) -> Any:
        opens, self.is_to_begin = self.is_to_begin, False
        if self.session.begin(call, opens=opens):
            return self.session.result
        return await self._storage.wait(self)

    def _break_off(self, *, before: bool) -> None:
        if self.client.is_cut(before=before):
            self.lose()
            raise asyncpg.ConnectionDoesNotExistError(_CUT)

    def _demand_open(self) -> None:
        if self.is_lost or self not in self._storage._open:
            self.is_lost = True
            raise asyncpg.InterfaceError("connection is closed")

    def lose(self) -> None:
        self.is_lost = True
        self._storage.disconnect(self)


class Transaction:
    """A transaction, or within one a savepoint; it begins with its first statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._savepoint = f"s{connection.depth}" if connection.depth else ""

    async def __aenter__(self) -> Self:
        if self._savepoint:
            await self._connection.execute(f"SAVEPOINT {self._savepoint}")
        else:
            self._connection.is_to_begin = True
        self._connection.depth += 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.depth -= 1
        if self._savepoint:
            verb = "RELEASE SAVEPOINT" if kind is None else "ROLLBACK TO"
            await self._connection.execute(f"{verb} {self._savepoint}")
        elif kind is None:
            await self._connection.commit()
        else:
            await self._connection.roll_back()


class Pool:
    """What a simulated process takes for `service.store.Pool`."""

    place = "the simulated database"

    def __init__(self, storage: Storage, client: Client) -> None:
        self._storage = storage
        self._client = client

    def acquire(self, *, timeout: float | None = None) -> "_Acquired":
        del timeout
        return _Acquired(self._storage, self._client)

    async def fetch(self, query: str, *values: object, **_: object) -> Any:
        async with self.acquire() as connection:
            return await connection.fetch(query, *values)

    async def fetchrow(self, query: str, *values: object, **_: object) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: object, **_: object) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchval(query, *values)

    async def execute(self, query: str, *values: object, **_: object) -> Any:
        async with self.acquire() as connection:
            return await connection.execute(query, *values)

    async def executemany(self, query: str, values: object, **_: object) -> Any:
        async with self.acquire() as connection:
            return await connection.executemany(query, values)


class _Acquired:
    def __init__(self, storage: Storage, client: Client) -> None:
        self._storage = storage
        self._client = client

    async def __aenter__(self) -> Connection:
        self._connection = self._storage.connect(self._client)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        self._storage.disconnect(self._connection)
