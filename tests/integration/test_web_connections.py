"""Connections that bring no request, or never end one: bounded in size, time and number."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from service.store import Pool
from service.web import connection_limiter, protocol, request_body
from tests.harness.site import Answer, Site

BODY = b'{"id": "T1"}'
POST = b"POST /hooks/open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = POST + b"Content-Length: 12\r\n\r\n" + BODY
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
MIB = 1024 * 1024


@asynccontextmanager
async def line(web: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One connection, spoken over by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def told(web: Site, *request: bytes) -> Answer:
    """What the server says before it closes the connection, however much is still to come."""
    async with line(web) as (reader, writer):
        for part in request:
            writer.write(part)
        answer = await Answer.read(reader)
        assert await reader.read() == b""
    return answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (GET + b"X: " + b"x" * 65_536, 431),
        (GET + b"X: " + b"x" * 65_536 + b"\r\n\r\n", 431),
        (GET + b"x" * 65_536, 431),
        (GET + b"a:\r\n" * 3_000_000 + b"\r\n", 431),
        (GET + b"a:\r\n" * 1000 + b"\r\n", 431),
        (GET + (b"a: " + b"x" * 1000 + b"\r\n") * 65 + b"\r\n", 431),
        (b"\r\n" * 65_536, 431),
        (b"GET /" + b"x" * 65_536, 414),
        (b"GET /" + b"x" * 65_536 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /" + b"x" * 100_000_000, 414),
        (b"GET /?" + b"x" * 65_536 + b" HTTP/1.1\r\n\r\n", 414),
        (CHUNKED + b"1;" + b"x" * 200_000, 431),
        (CHUNKED + b"0\r\nX: " + b"x" * 200_000, 431),
        (CHUNKED + b"0\r\n" + b"a:\r\n" * 100_000, 431),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: " + b"0" * 5000 + b"12\r\n\r\n" + BODY, 400),
        (GET + b"Content-Length: " + b"0" * 5000 + b"\r\n\r\n", 400),
        (GET + b"Host: tasks.example.com\r\n\r\n", 400),
        (b"CONNECT tasks.example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ],
)
async def test_what_is_too_large_or_means_two_things_is_refused(
    web: Site, head: bytes, status: int
) -> None:
    """As a problem, as soon as that is seen; who goes on sending can read it all the same."""
    assert (await told(web, head)).status == status
    assert (await web.post("open", BODY)).status_code == 202


async def test_a_head_that_comes_in_crumbs_is_measured_too(web: Site) -> None:
    """It is no smaller for it."""
    async with line(web) as (reader, writer):
        writer.write(GET + b"X: ")
        for _ in range(70):
            writer.write(b"x" * 1000)
            await writer.drain()
            await asyncio.sleep(0)
        assert (await Answer.read(reader)).status == 431


async def test_a_head_of_some_size_is_taken(web: Site) -> None:
    """Cookies and tokens of others are large, too."""
    large = GET + (b"Cookie: " + b"x" * 4000 + b"\r\n") * 12 + b"\r\n"
    async with line(web) as (reader, writer):
        writer.write(large)
        assert (await Answer.read(reader)).status == 200


@pytest.mark.parametrize("begun", [GET, b"GET /", GET + b"X: 1"])
async def test_half_a_head_is_waited_for_only_so_long(
    web: Site, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then does not help: 408, and the connection is closed."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    async with line(web) as (reader, writer):
        writer.write(begun)
        answer = asyncio.create_task(Answer.read(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert (await answer).status == 408
        assert await reader.read() == b""


@pytest.mark.parametrize("said", [b"", GET + b"\r\n", GET + b"Content-Length: 100\r\n\r\n1"])
async def test_an_idle_connection_is_closed(
    web: Site, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it never asked anything, asked, or left what it sends unfinished after the answer."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    async with line(web) as (reader, writer):
        writer.write(said)
        if said:
            assert (await Answer.read(reader)).status == 200
        assert await asyncio.wait_for(reader.read(), 3) == b""


async def test_an_answer_is_offered_only_so_long(
    web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for much and takes nothing is hung up on."""
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 0.3)
    page = b"GET /static/taskbell.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with line(web) as (_, writer):
        with pytest.raises(ConnectionError):
            await _ask_without_end(writer, page)


async def _ask_without_end(writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's can be
    while True:
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(0)


async def test_who_only_holds_connections_keeps_nobody_out(
    web: Site, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle and half-sent, many more than there may be: webhooks come in, and the log says so."""
    monkeypatch.setattr(connection_limiter, "MOST", 20)
    half_bodies = POST + b"Content-Length: 12\r\n\r\n{"
    with capture_logs() as logs:
        held = []
        for said in (b"", GET, half_bodies) * 40:
            held.append(await asyncio.open_connection("127.0.0.1", web.port))
            held[-1][1].write(said)
        answers = [await web.post("open", b"%d" % number) for number in range(10)]
    assert [answer.status_code for answer in answers] == [202] * 10
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 10
    said_of_it = [one for one in logs if one["event"] == "web.crowded"]
    assert [(one["log_level"], one["most"]) for one in said_of_it] == [("warning", 20)]
    for _, writer in held:
        writer.close()


async def test_bodies_that_do_not_end_keep_nobody_out(
    web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fill the room there is; the one that has been coming longest makes way for a webhook."""
    monkeypatch.setattr(request_body, "LONGEST_BODY", 60)
    held = [await asyncio.open_connection("127.0.0.1", web.port) for _ in range(64)]
    for _, writer in held:
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % MIB + b" " * (MIB - 1))
        await writer.drain()
    for number in range(5):
        assert (await web.post("open", b"1%d" % number + b" " * (MIB - 2))).status_code == 202
    assert (await Answer.read(held[0][0])).status == 503
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize(
    "offer",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
        b"Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    ],
)
@pytest.mark.parametrize("cut", [-1, -12, -14])
async def test_an_offer_to_speak_another_protocol_is_not_taken_up(
    web: Site, pool: Pool, offer: bytes, cut: int
) -> None:
    """Java's client offers HTTP/2 with every webhook over plain HTTP: it is read as it is."""
    whole = POST + offer + b"Content-Length: 12\r\n\r\n" + BODY
    async with line(web) as (reader, writer):
        for request in (whole, WHOLE):
            writer.write(request[:cut])
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(request[cut:])
            assert (await Answer.read(reader)).status == 202
    assert await pool.fetchval("SELECT body FROM receipts") == BODY


async def test_a_flood_of_requests_over_one_connection_is_dammed(web: Site) -> None:
    """Some are answered in turn, and the last of these says that the connection ends."""
    async with line(web) as (reader, writer):
        writer.write((GET + b"\r\n") * 10_000)
        answers = [await Answer.read(reader)]
        while not answers[-1].closes:
            answers.append(await Answer.read(reader))
        assert await reader.read() == b""
    assert {answer.status for answer in answers} == {200}
    assert 2 < len(answers) < 200
    assert (await web.post("open", BODY)).status_code == 202


async def test_what_is_broken_does_not_take_the_answer_of_what_came_before(
    web: Site, pool: Pool
) -> None:
    """A webhook and then nonsense: the webhook is answered by its receipt, the nonsense not."""
    broken_body = CHUNKED + b"not hexadecimal\r\n"
    for nonsense in (b"NONSENSE\r\n\r\n", broken_body, WHOLE + broken_body):
        async with line(web) as (reader, writer):
            writer.write(WHOLE + nonsense)
            assert (await Answer.read(reader)).status == 202
            rest = await reader.read()
            assert rest.count(b"HTTP/1.1 202") == nonsense.count(WHOLE)
            assert b"HTTP/1.1 4" not in rest
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 1


async def test_trailers_are_not_headers(web: Site, pool: Pool) -> None:
    """What comes after the body says nothing about it."""
    async with line(web) as (reader, writer):
        writer.write(CHUNKED + b"c\r\n" + BODY + b"\r\n0\r\nUser-Agent: trailing\r\n\r\n")
        assert (await Answer.read(reader)).status == 202
    assert "trailing" not in await pool.fetchval("SELECT headers FROM receipts")
