"""HTTP at the least possible cost, so that a measurement is of Taskbell and not of its load.

The client keeps connections open and writes requests that were put together before; the receiver
answers 204 to anything and notes when which body came.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast


class Connection(asyncio.Protocol):
    """One keep-alive connection on which requests go out one after the other."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are Transports without saying so.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _length(head):
            return
        self._buffer = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    async def send(self, request: bytes) -> int:
        """Send a whole request; returns the status of its answer."""
        assert self._transport is not None
        if self._transport.is_closing():
            raise ConnectionError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def request(path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a POST of JSON."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def connect(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


async def flood(port: int, requests: Iterable[bytes], connections: int) -> list[int]:
    """Send the requests as fast as they are answered; returns the statuses."""
    waiting: Iterator[bytes] = iter(requests)
    statuses: list[int] = []

    async def work() -> None:
        connection = await connect(port)
        statuses.extend([await connection.send(one) for one in waiting])
        connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return statuses


async def at_rate(
    port: int,
    make: Callable[[int], bytes],
    per_second: float,
    count: int,
    connections: int = 16,
) -> list[int]:
    """Send `count` requests at a steady rate over a few connections, whatever the answers take.

    Each is made when it is due, so that its time has the wait for a connection in it.
    """
    opened = [await connect(port) for _ in range(connections)]
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in opened:
        free.put_nowait(connection)

    async def send(request: bytes) -> int:
        connection = await free.get()
        try:
            return await connection.send(request)
        finally:
            free.put_nowait(connection)

    started, sending = time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        sending.append(asyncio.create_task(send(make(number))))
    statuses = list(await asyncio.gather(*sending))
    for connection in opened:
        connection.close()
    return statuses
