"""Why nobody answered, in plain words, from real sockets that fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import httpx
import pytest

from service.errors import SendError
from service.http.client import open_client
from service.http.connection_check import check_connection
from service.http.error_messages import explain
from tests.harness.receivers import LOOPBACK, HttpReceiver
from tests.harness.running import free_port

SECOND = timedelta(seconds=1)


async def call(url: str) -> None:
    """A call as adapters make it; what went wrong is raised in its plain words."""
    async with open_client(LOOPBACK, timeout=1) as client:
        try:
            await client.get(url)
        except httpx.RequestError as error:
            raise SendError(explain(error)) from error


async def connect(url: str) -> None:
    await check_connection(LOOPBACK, httpx.URL(url), SECOND)


@asynccontextmanager
async def serving(
    talk: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that does this with everybody who comes, and hangs up; its host and port."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await talk(writer)
        writer.transport.abort()
        served.set()

    served = asyncio.Event()
    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await served.wait()


async def say(words: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(words)
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("attempt", [call, connect])
async def test_a_port_where_nobody_listens(attempt: Callable[[str], Awaitable[None]]) -> None:
    """The message names host and port, and neither an errno nor a class."""
    place = f"127.0.0.1:{free_port()}"
    with pytest.raises(SendError, match=f"^{place} does not accept connections$"):
        await attempt(f"http://{place}/hooks/secret-key")


@pytest.mark.parametrize("attempt", [call, connect])
async def test_a_private_address_says_what_to_do(
    attempt: Callable[[str], Awaitable[None]],
) -> None:
    """The guard's own words come through as they are."""
    with pytest.raises(SendError, match=r"^10\.0\.0\.1 is not a public .* network\.allow$"):
        await attempt("http://10.0.0.1/")


@pytest.mark.parametrize("attempt", [call, connect])
async def test_https_where_only_http_is_spoken(
    attempt: Callable[[str], Awaitable[None]],
) -> None:
    """The message says that the place does not speak TLS, and so that https:// is wrong."""
    async with serving(partial(say, b"HTTP/1.1 400 Bad Request\r\n\r\n")) as place:
        with pytest.raises(SendError, match=f"^{place} does not speak TLS$"):
            await attempt(f"https://{place}/")


async def test_a_server_that_hangs_up() -> None:
    """A connection that was there and went is told from one that never was."""
    async with serving(partial(say, b"")) as place:
        with pytest.raises(SendError, match=r"^the connection was cut$"):
            await call(f"http://{place}/")


async def test_a_server_that_is_silent_at_the_handshake() -> None:
    """Whoever takes the connection and says nothing does not answer."""

    async def wait(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        del writer

    async with serving(wait) as place:
        with pytest.raises(SendError, match=f"^{place} does not answer$"):
            await check_connection(LOOPBACK, httpx.URL(f"https://{place}/"), timedelta(seconds=0.1))


async def test_reaching_says_nothing() -> None:
    """Somebody is there: the connection is opened and closed, and no request is made."""
    async with HttpReceiver() as receiver:
        await connect(f"{receiver.url}/hooks/secret-key")
        await asyncio.sleep(0.05)
    assert receiver.connections == 1
    assert receiver.requests == []
