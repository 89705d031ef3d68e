"""Lines to a receiver that break on demand: at any step of an exchange, once."""

import asyncio
import socket
from enum import StrEnum
from typing import Any, Self

from tests.harness.receivers import Receiver


class Cut(StrEnum):
    """Where an exchange by HTTP breaks. From `AFTER_REQUEST` on the receiver has acted."""

    BEFORE_A_BYTE = "closed before a byte was taken"
    IN_REQUEST = "closed in the middle of the request"
    AFTER_REQUEST = "reset after the request"
    SILENCE = "no answer"
    IN_HEAD = "closed in the head of the answer"
    IN_BODY = "closed in the body of the answer"
    HELD = "the answer waits until it is let go"
    HELD_BEFORE = "the request waits, and goes no further"


_TLS = b"\x16"  # how somebody begins who wants encryption
REACHES = frozenset(Cut) - {Cut.BEFORE_A_BYTE, Cut.IN_REQUEST, Cut.HELD_BEFORE}


class Line(Receiver):
    """A line to the receiver at `port`; each connection is for one exchange."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, to_them}
        try:
            await self.converse(Ends(reader, writer, theirs, to_them))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            to_them.close()
            self._open -= {writer, to_them}

    async def converse(self, ends: "Ends") -> None:
        raise NotImplementedError


class Ends:
    """Both ends of one connection over a line: of the caller, and of the receiver."""

    def __init__(
        self,
        caller: asyncio.StreamReader,
        to_caller: asyncio.StreamWriter,
        receiver: asyncio.StreamReader,
        to_receiver: asyncio.StreamWriter,
    ) -> None:
        self.caller, self.to_caller = caller, to_caller
        self.receiver, self.to_receiver = receiver, to_receiver

    def reset(self) -> None:
        """The caller's end is gone, without a farewell."""
        options: Any = self.to_caller.transport.get_extra_info("socket")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        options.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.to_caller.transport.abort()


class HttpLine(Line):
    """Breaks at the next request whose first line has the word that `cut` names."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._cut: Cut | None = None
        self._word = b""

    def cut(self, where: Cut, word: str) -> Self:
        self._cut, self._word = where, word.encode()
        return self

    async def converse(self, ends: Ends) -> None:
        while await self._exchange(ends):
            pass

    async def _exchange(self, ends: Ends) -> bool:
        head, body = await _message(ends.caller)
        if not head:
            return False
        where = self._due(head)
        if where is Cut.HELD_BEFORE:
            self.held.set()
            await ends.caller.read()
        if where in {Cut.BEFORE_A_BYTE, Cut.HELD_BEFORE}:
            ends.reset()
            return False
        if where is Cut.IN_REQUEST:
            ends.to_receiver.write(head + body[: len(body) // 2])
            await ends.to_receiver.drain()
            ends.reset()
            return False
        ends.to_receiver.write(head + body)
        return await self._answer(ends, where)

    async def _answer(self, ends: Ends, where: Cut | None) -> bool:
        head, body = await _message(ends.receiver)
        if where is Cut.AFTER_REQUEST:
            ends.reset()
            return False
        if where is Cut.SILENCE:
            await ends.caller.read()
            return False
        if where is Cut.HELD:
            self.held.set()
            await self.let_go.wait()
        said = {Cut.IN_HEAD: head[:20], Cut.IN_BODY: head + body[: len(body) // 2]}
        ends.to_caller.write(head + body if where is None else said.get(where, head + body))
        await ends.to_caller.drain()
        return where is None

    def _due(self, head: bytes) -> Cut | None:
        """Where to break, if this is the request for it; it breaks once."""
        if self._cut is None or self._word not in head.partition(b"\r\n")[0]:
            return None
        where, self._cut = self._cut, None
        return where


class MailLine(Line):
    """Breaks once at a step of SMTP: as `cut` names it, by the caller's command.

    `greeting`: before the server says a word; `BODY`: in the middle of the mail; `DOT`: after the
    mail, before the server says that it has it. `HELD`: there, its answer waits until it is let go;
    `HELD_BEFORE`: the mail waits, and goes no further.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.at: str | None = None

    def cut(self, at: str) -> None:
        self.at = at

    async def converse(self, ends: Ends) -> None:
        if self._is_due("greeting"):
            ends.reset()
            return
        ends.to_caller.write(await _reply(ends.receiver))
        while command := await ends.caller.readline():
            if self._is_due(command[:4].decode()):
                ends.reset()
                return
            ends.to_receiver.write(command)
            reply = await _reply(ends.receiver)
            ends.to_caller.write(reply)
            if reply.startswith(b"354") and not await self._carry(ends):
                return

    async def _carry(self, ends: Ends) -> bool:
        """Take the mail over; False if the line has broken."""
        mail = await ends.caller.readuntil(b"\r\n.\r\n")
        if self._is_due(Cut.HELD_BEFORE):
            self.held.set()
            await ends.caller.read()
            return False
        if self._is_due("BODY"):
            ends.to_receiver.write(mail[: len(mail) // 2])
            await ends.to_receiver.drain()
            ends.reset()
            return False
        ends.to_receiver.write(mail)
        reply = await _reply(ends.receiver)
        if self._is_due("DOT"):
            ends.reset()
            return False
        if self._is_due(Cut.HELD):
            self.held.set()
            await self.let_go.wait()
        ends.to_caller.write(reply)
        return True

    def _is_due(self, step: str) -> bool:
        if self.at != step:
            return False
        self.at = None
        return True


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of a request or an answer; both are empty if it is no HTTP."""
    head = await reader.readexactly(1)
    if head == _TLS:
        return b"", b""
    head += await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
    return head, await reader.readexactly(int(fields.get(b"content-length", 0)))


async def _reply(reader: asyncio.StreamReader) -> bytes:
    """A whole reply of an SMTP server, which may have several lines."""
    lines = [await reader.readline()]
    while lines[-1][3:4] == b"-":
        lines.append(await reader.readline())
    return b"".join(lines)
