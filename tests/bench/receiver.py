"""`python -m tests.bench.receiver PORT`: takes webhooks as fast as they come and notes when.

`GET /stats` tells how many came, how many different ones, when the last came and, where a task's
title is the time it was made at, how long each took. Any other GET is an empty list of tasks, so
that it can stand in for a system that has nothing to say. After `GET /ill` what begins with
`/slow` is answered after 30 s and what begins with `/failing` with 500, until `GET /well`.
"""

import asyncio
import re
import sys
import time
from typing import cast

import orjson
import uvloop

# What tells two webhooks apart: their id, or where there is none, the group of the alert.
_ID = re.compile(rb'webhook-id: ([^\r]+)|"groupKey":"((?:[^"\\]|\\.)+)"', re.IGNORECASE)
_SLOW, _FAILING, _LATE = b"GET /slow", b"GET /failing", 30.0
_TITLE = re.compile(rb'"title":"(\d+\.\d+)"')


class Stats:
    def __init__(self) -> None:
        self.count = 0
        self.seen: set[bytes] = set()
        self.last = 0.0
        self.delays: list[float] = []
        self.ill = False

    def note(self, request: bytes) -> None:
        self.last = time.time()
        self.count += 1
        if (key := _ID.search(request)) is not None:
            self.seen.add(key[0])
        if (made := _TITLE.search(request)) is not None:
            self.delays.append(self.last - float(made[1]))

    def to_json(self) -> bytes:
        told = {
            "count": self.count,
            "distinct": len(self.seen),
            "last": self.last,
            "delays": self.delays,
        }
        return orjson.dumps(told)


class Receiver(asyncio.Protocol):
    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are Transports without saying so.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._whole()) is not None:
            one, self._buffer = self._buffer[:end], self._buffer[end:]
            if self._stats.ill and one.startswith(_SLOW):
                later = asyncio.get_running_loop().call_later
                later(_LATE, self._write, self._answer(one))
            else:
                self._write(self._answer(one))

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _whole(self) -> int | None:
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = re.search(rb"content-length: (\d+)", self._buffer[:head], re.IGNORECASE)
        end = head + 4 + (int(length[1]) if length else 0)
        return end if len(self._buffer) >= end else None

    def _answer(self, request: bytes) -> bytes:
        if request.startswith(b"POST"):
            self._stats.note(request)
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        if self._stats.ill and request.startswith(_FAILING):
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        if request.startswith((b"GET /ill", b"GET /well")):
            self._stats.ill = request.startswith(b"GET /ill")
        body = self._stats.to_json() if request.startswith(b"GET /stats") else b'{"data":[]}'
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        ) + body


async def serve(port: int) -> None:
    stats = Stats()
    server = await asyncio.get_running_loop().create_server(
        lambda: Receiver(stats), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
