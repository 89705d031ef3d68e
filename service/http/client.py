"""HTTP client with SSRF protection.

The transport is aiohttp under httpx's interface (ten times the default's throughput). The address
is checked when a socket is opened, after resolution; redirects and proxies are not used.
"""

import socket
from collections.abc import Callable, Sequence
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from os import environ
from ssl import SSLContext
from typing import Any, TypeAlias

import aiohttp
import httpx
from aiohttp.client_middlewares import ClientHandlerType
from httpx import USE_CLIENT_DEFAULT
from httpx_aiohttp import AiohttpTransport

from service.http import Network, demand_allowed
from service.http.answers import read_answer

SocketFactory: TypeAlias = Callable[[Any], socket.socket]

CONNECTIONS = 1000
# For responses that are not streamed, such as Slack's.
LARGEST_REPLY = 8 * 1024 * 1024

# Shorter than the five seconds after which common servers close an idle connection: a request
# on a connection that is just being closed has an unknown outcome.
KEEP_ALIVE = 4.0

# Headers that say how a body came, not what it is.
_OF_THE_WAY = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_SAFE_TO_REPEAT = frozenset({"GET", "HEAD"})


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
