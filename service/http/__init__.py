"""HTTP client with SSRF protection and classification of failures.

The transport is aiohttp under httpx's interface (ten times the default's throughput). The address
is checked when a socket is opened, after resolution; redirects and proxies are not used.
"""

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from errno import EACCES
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from os import environ
from ssl import SSLContext
from typing import Any, TypeAlias

import aiohttp
import httpx
from aiohttp.client_middlewares import ClientHandlerType
from httpx import USE_CLIENT_DEFAULT
from httpx_aiohttp import AiohttpTransport

from service.http.answers import read_answer

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address
SocketFactory: TypeAlias = Callable[[Any], socket.socket]

LONGEST_PAUSE = timedelta(days=1)
CONNECTIONS = 1000
# For responses that are not streamed, such as Slack's.
LARGEST_REPLY = 8 * 1024 * 1024

# Shorter than the five seconds after which common servers close an idle connection: a request
# on a connection that is just being closed has an unknown outcome.
KEEP_ALIVE = 4.0

# What Python's `is_global` lets through although it leads inside: the translators to IPv4
# (Teredo, 6to4, NAT64, SIIT), addresses for documents, segment routing, sites and protocols, and
# Azure's address for metadata.
_LEADS_INSIDE = tuple(
    ip_network(text)
    for text in (
        "2001::/32",
        "2002::/16",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "::/96",
        "::ffff:0:0:0/96",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
    )
)
_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
# Some give a fraction, or the unit as well; two proxies give it twice.
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(?:\s*s(?:ec(?:onds?)?)?|\s*,\s*\d+)?", re.ASCII)
# Nobody asks for a pause of thirty years: so many seconds are a moment in Unix time.
_FIRST_MOMENT = 1e9
# Headers that say how a body came, not what it is.
_OF_THE_WAY = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD"})


class AddressRefused(OSError):
    """An address in the operator's own network, which the configuration forbids."""

    def __init__(self, address: Address) -> None:
        super().__init__(
            EACCES,
            f"{address} is not a public address; if it is meant, add its range to network.allow",
        )


def open_client(allow: Sequence[Network] = (), *, timeout: float = 10.0) -> httpx.AsyncClient:
    """A client for all calls to other hosts; close it with `aclose`.

    Addresses that are not public are refused unless a range in `allow` contains them. `timeout` is
    in seconds, for each of connecting, writing and waiting for bytes. Cookies are not kept, so that
    two accounts on one host stay separate.
    """
    return _Client(
        transport=_Transport(tuple(allow)),
        timeout=timeout,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": "taskbell", "Accept-Encoding": "gzip"},
        trust_env=False,
        follow_redirects=False,
    )


def never_sent(error: httpx.RequestError) -> bool:
    """Whether surely no byte of the request was sent, so that it can be repeated.

    The class of `error` does not show it: the transport reports a connection that was reset in the
    middle of a response as httpx.ConnectTimeout. Its cause does.
    """
    return isinstance(error.__cause__, _BEFORE_SENDING)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The pause that `Retry-After` asks for, in seconds or up to an HTTP date; at most a day.

    A date is compared with the response's own `Date`, if it has one, because the server's clock may
    be wrong. None if there is no such header or it cannot be parsed.
    """
    asked = headers.get("retry-after", "").strip()
    if found := _SECONDS.fullmatch(asked):
        seconds = float(found[1][:12])
        if seconds >= _FIRST_MOMENT:
            seconds = max(seconds - answered_at(headers, now).timestamp(), 0)
        return timedelta(seconds=min(seconds, LONGEST_PAUSE.total_seconds()))
    until = _http_date(asked)
    if until is None:
        return None
    return min(max(until - answered_at(headers, now), timedelta(0)), LONGEST_PAUSE)


def answered_at(headers: Mapping[str, str], now: datetime) -> datetime:
    """When a response was sent by the server's own clock, to which its dates refer."""
    return _http_date(headers.get("date", "")) or now


def is_public(address: Address) -> bool:
    """Whether an address is in the public internet."""
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _LEADS_INSIDE)
    )


def demand_allowed(host: str, allow: Sequence[Network]) -> None:
    """Raise AddressRefused for an address that is not public, unless it is in a range in `allow`.

    An IPv4 address that is written as IPv6 is checked as IPv4.
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if not is_public(address) and not any(address in network for network in allow):
        raise AddressRefused(address)


class _Client(httpx.AsyncClient):
    """httpx's client without features that are not used here, a sixth of a call's total cost.

    Without cookies, redirects and authentication flow a request is sent once, as it is. Requests
    are built as by httpx; responses have up to LARGEST_REPLY bytes, unless they are streamed.
    """

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = USE_CLIENT_DEFAULT,
        follow_redirects: Any = USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        if auth is not USE_CLIENT_DEFAULT or follow_redirects is not USE_CLIENT_DEFAULT:
            raise NotImplementedError("credentials go into headers, and redirects nowhere")
        response = await self._transport.handle_async_request(request)
        if stream:
            return response
        try:
            body = await read_answer(response, LARGEST_REPLY)
        finally:
            await response.aclose()
        return _whole(response, body)


def _whole(response: httpx.Response, body: bytes) -> httpx.Response:
    """The same response with its body, decompressed."""
    headers = [
        (name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_WAY
    ]
    return httpx.Response(
        response.status_code, headers=headers, content=body, request=response.request
    )


class _Transport(AiohttpTransport):
    """httpx's transport over aiohttp; raises nothing but httpx.RequestError."""

    def __init__(self, allow: tuple[Network, ...]) -> None:
        super().__init__(
            verify=_trusted(environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")),
            client=lambda: _session(allow, self.ssl_context),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except aiohttp.ClientResponseError as error:
            # What aiohttp says quotes the answer, which may repeat the request and its credentials.
            raise httpx.RemoteProtocolError("the answer is not HTTP", request=request) from error


@cache
def _trusted(file: str | None, folder: str | None) -> SSLContext:
    """The authorities to trust; reading them takes 20 ms, so it is done once per process."""
    del file, folder  # httpx reads them from the environment
    return httpx.create_ssl_context()


def _session(allow: tuple[Network, ...], tls: Any) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        ssl=tls,
        limit=CONNECTIONS,
        keepalive_timeout=KEEP_ALIVE,
        socket_factory=_guard(allow),
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(_only_once,)
    )


def _guard(allow: tuple[Network, ...]) -> SocketFactory:
    def open_socket(found: Any) -> socket.socket:
        family, kind, protocol, _, where = found
        demand_allowed(where[0], allow)
        return socket.socket(family, kind, protocol)

    return open_socket


async def _only_once(
    request: aiohttp.ClientRequest, handler: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or DELETE after a lost connection."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method in _SAFE_TO_REPEAT:
            raise
        raise aiohttp.ClientConnectionError(str(error)) from error


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
