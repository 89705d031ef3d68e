"""Checks whether a server listens at an address, without sending anything."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import httpx

from service.errors import SendError
from service.http import Network, demand_allowed
from service.http.error_messages import explain_socket

ConnectionCheck: TypeAlias = Callable[[httpx.URL, timedelta], Awaitable[None]]
"""`check_connection` with the networks that may be called."""

_PORTS = {"http": 80, "https": 443}


async def check_connection(allow: Sequence[Network], url: httpx.URL, within: timedelta) -> None:
    """Open a connection to the address's host, with TLS for https, and close it.

    Addresses that are not public are refused unless a range in `allow` contains them, as for every
    call. Raises SendError; its text names host and port only, as an address may contain a secret.
    """
    port = url.port or _PORTS[url.scheme]
    try:
        async with asyncio.timeout(within.total_seconds()):
            await _open_and_close(allow, url, port)
    except OSError as error:
        raise SendError(explain_socket(error, f"{url.host}:{port}")) from error


async def _open_and_close(allow: Sequence[Network], url: httpx.URL, port: int) -> None:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    tls: dict[str, Any] = {}
    if url.scheme == "https":
        tls = {"ssl": httpx.create_ssl_context(trust_env=False), "server_hostname": url.host}
    failure = OSError()
    for *_, place in found:
        try:
            demand_allowed(str(place[0]), allow)
            _, writer = await asyncio.open_connection(str(place[0]), port, **tls)
        except OSError as error:
            failure = error
        else:
            writer.transport.abort()
            return
    raise failure
