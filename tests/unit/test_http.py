"""The guarded client, against real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import httpx
import pytest

from service.http import LONGEST_PAUSE, is_public, retry_after
from service.http.client import open_client
from service.http.error_messages import never_sent
from tests.harness.receivers import LOOPBACK, Answer, Fault, HttpReceiver

NOW = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)


@pytest.fixture
async def server() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(LOOPBACK, timeout=0.3) as opened:
        yield opened


async def failure(client: httpx.AsyncClient, url: str, method: str = "POST") -> httpx.RequestError:
    with pytest.raises(httpx.RequestError) as caught:
        await client.request(method, url, json={"a": 1} if method != "GET" else None)
    return caught.value


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 (refused is what it is to be)
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::10.0.0.1",
        "fe80::1",
        "fec0::1",
        "fd00:ec2::254",
        "ff02::1",
        "2002:0a00:0001::1",
        "2001:0:a00:1::1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "::ffff:0:10.0.0.1",
        "3fff::1",
        "5f00::1",
    ],
)
def test_addresses_that_lead_inside_are_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, translated and metadata addresses lead inside."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    """What anybody can reach is not refused."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"])
async def test_without_leave_nothing_reaches_loopback(server: HttpReceiver, host: str) -> None:
    """However an inside address is written, no connection is opened, and the reason is said."""
    async with open_client(timeout=0.3) as client:
        error = await failure(client, f"http://{host}:{server.port}/")
    assert never_sent(error)
    assert server.connections == 0


async def test_a_refused_address_says_what_to_do(server: HttpReceiver) -> None:
    """The error names the address and the setting that would allow it."""
    async with open_client((ip_network("10.0.0.0/8"),)) as client:
        error = await failure(client, server.url)
    assert "127.0.0.1 is not a public address" in str(error)
    assert "network.allow" in str(error)


async def test_a_mapped_address_counts_as_the_one_it_maps(
    server: HttpReceiver, client: httpx.AsyncClient
) -> None:
    """Leave for 127.0.0.0/8 covers ::ffff:127.0.0.1; the guard looks through the mapping."""
    mapped = await client.get(f"http://[::ffff:127.0.0.1]:{server.port}/")
    assert mapped.status_code == 200


async def test_a_redirect_is_not_followed(server: HttpReceiver, client: httpx.AsyncClient) -> None:
    """A redirect is the answer; where it points is never called."""
    server.reply(Answer(302, headers={"location": f"{server.url}/inside"}))
    answer = await client.get(server.url)
    assert answer.status_code == 302
    assert [request.path for request in server.requests] == ["/"]


async def test_no_proxy_is_taken_from_the_environment(
    server: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect on our behalf, past the guard."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with open_client(LOOPBACK) as client:
        assert (await client.get(server.url)).status_code == 200


async def test_cookies_of_one_account_do_not_go_out_with_the_next(
    server: HttpReceiver, client: httpx.AsyncClient
) -> None:
    """Accounts share the client, so it keeps no cookies."""
    server.reply(Answer(headers={"set-cookie": "session=first"}))
    await client.get(server.url)
    await client.get(server.url)
    assert "cookie" not in server.requests[1].headers


async def test_a_refused_port_was_never_sent(client: httpx.AsyncClient) -> None:
    """Nobody listens: the request can be made again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert never_sent(await failure(client, f"http://127.0.0.1:{port}/"))


async def test_an_unknown_name_was_never_sent(client: httpx.AsyncClient) -> None:
    """A name that resolves to nothing is no different from a refused port."""
    assert never_sent(await failure(client, "http://nobody.invalid/"))


async def test_a_host_that_never_answers_the_connection_was_never_sent() -> None:
    """A connection that times out before it stands carried nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            async with open_client(LOOPBACK, timeout=0.2) as client:
                address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
                crowd = [asyncio.create_task(failure(client, address)) for _ in range(3)]
                errors = await asyncio.gather(*crowd)
    assert any(never_sent(error) for error in errors)


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_connection_lost_under_way_may_have_been_sent(
    server: HttpReceiver, client: httpx.AsyncClient, fault: Fault
) -> None:
    """A reset or half an answer proves nothing, although httpx is told of a connect time-out."""
    server.reply(Answer(fault=fault, body=b"x" * 100))
    assert not never_sent(await failure(client, server.url))


async def test_a_reset_right_after_accepting_may_have_been_sent(client: httpx.AsyncClient) -> None:
    """The bytes may have been read before the connection was torn down."""

    async def tear_down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.transport.abort()

    async with await asyncio.start_server(tear_down, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert not never_sent(await failure(client, f"http://127.0.0.1:{port}/"))


async def test_a_slow_answer_may_have_been_sent(
    server: HttpReceiver, client: httpx.AsyncClient
) -> None:
    """Waiting too long for the answer says nothing about the request."""
    server.reply(Answer(delay=5))
    assert not never_sent(await failure(client, server.url))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_lost_connection_is_not_quietly_tried_again(
    server: HttpReceiver, client: httpx.AsyncClient, method: str
) -> None:
    """What changes the world goes out once, whatever HTTP calls idempotent."""
    server.reply(Answer(fault=Fault.RESET_AFTER))
    await failure(client, server.url, method)
    assert len(server.requests) == 1


async def test_an_answer_that_is_not_http_is_a_request_error(client: httpx.AsyncClient) -> None:
    """Whatever speaks there, callers need to know no other exception than httpx's own."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failure(client, f"http://127.0.0.1:{port}/", "GET")
    assert isinstance(error, httpx.RemoteProtocolError)
    assert not never_sent(error)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "30"}, timedelta(seconds=30)),
        ({"retry-after": " 0 "}, timedelta(0)),
        ({"retry-after": "Fri, 06 Mar 2026 12:02:00 GMT"}, timedelta(minutes=2)),
        ({"retry-after": "Fri, 06 Mar 2026 11:00:00 GMT"}, timedelta(0)),
        ({"retry-after": "99999999999999999999"}, LONGEST_PAUSE),
        ({"retry-after": "Sat, 06 Mar 2027 12:00:00 GMT"}, LONGEST_PAUSE),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": f"Fri, 06 Mar {'9' * 20} 12:00:00 GMT"}, None),
        ({"retry-after": f"Fri, 06 Mar 2026 12:00:00 +{'9' * 20}"}, None),
        (
            {
                "retry-after": "Fri, 06 Mar 2026 12:02:00 GMT",
                "date": f"Fri, 06 Mar 2026 12:00:00 +{'9' * 20}",
            },
            timedelta(minutes=2),
        ),
        ({"retry-after": "1.5"}, timedelta(seconds=1.5)),
        ({"retry-after": "5.0"}, timedelta(seconds=5)),
        ({"retry-after": "5s"}, timedelta(seconds=5)),
        ({"retry-after": "5, 5"}, timedelta(seconds=5)),
        ({"retry-after": str(int(NOW.timestamp()) + 30)}, timedelta(seconds=30)),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(
    headers: dict[str, str], pause: timedelta | None
) -> None:
    """Both forms of RFC 9110, capped at a day; nonsense is no pause."""
    assert retry_after(headers, NOW) == pause


def test_retry_after_survives_a_wrong_clock_over_there() -> None:
    """The date is counted from the answer's own date, not from ours."""
    headers = {
        "retry-after": "Fri, 06 Mar 2026 15:00:10 GMT",
        "date": "Fri, 06 Mar 2026 15:00:00 GMT",
    }
    assert retry_after(headers, NOW) == timedelta(seconds=10)
