"""What errors of calls mean, and user-friendly messages for them.

The classes of aiohttp are looked at only when there is an error, and aiohttp is imported by then: a
command that only reads the options of systems and channels starts without it.
"""

import errno
import socket
import ssl
from typing import TypeAlias

import httpx

from service.http import AddressRefused

Words: TypeAlias = tuple[tuple[type[Exception], str], ...]

# The first class that fits says it, so the special ones stand first.
_CONNECTING: Words = (
    (AddressRefused, "{error.strerror}"),
    (socket.gaierror, "there is no server called {host}"),
    (ConnectionRefusedError, "{place} does not accept connections"),
    (
        ssl.SSLCertVerificationError,
        "the certificate of {host} is not valid: {error.verify_message}",
    ),
    (ssl.SSLError, "{place} does not speak TLS"),
    (TimeoutError, "{place} does not answer"),
    (ConnectionError, "{place} closed the connection"),
    (OSError, "no connection to {place}: {error.strerror}"),
)
_OFFLINE = frozenset({socket.EAI_AGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH})


def never_sent(error: httpx.RequestError) -> bool:
    """Whether surely no byte of the request was sent, so that it can be repeated.

    The class of `error` does not show it: the transport reports a connection that was reset in the
    middle of a response as httpx.ConnectTimeout. Its cause does.
    """
    import aiohttp  # noqa: PLC0415 (see the module's docstring)

    before_sending = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.InvalidURL,
        aiohttp.NonHttpUrlClientError,
    )
    return isinstance(error.__cause__, before_sending)


def explain(error: httpx.RequestError) -> str:
    """The error of a call. Names host and port at most: an address may contain a secret."""
    import aiohttp  # noqa: PLC0415 (see the module's docstring)

    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError):
        return explain_socket(cause.os_error, f"{cause.host}:{cause.port}")
    after_connecting: Words = (
        (aiohttp.InvalidURL, "the address cannot be used"),
        (aiohttp.NonHttpUrlClientError, "the address cannot be used"),
        (aiohttp.ServerTimeoutError, "no answer in time"),
        (aiohttp.ClientResponseError, "the answer is not HTTP"),
        (aiohttp.ClientPayloadError, "the answer ended in the middle"),
        (aiohttp.ClientConnectionError, "the connection was cut"),
    )
    words = (text for kind, text in after_connecting if isinstance(cause, kind))
    return next(words, str(error))


def explain_socket(error: OSError, place: str) -> str:
    """Why there is no connection to `place`, a host and its port."""
    if error.errno in _OFFLINE:
        return f"there is no network connection to {place}; check that this machine is online"
    words = next(text for kind, text in _CONNECTING if isinstance(error, kind))
    return words.format(error=error, place=place, host=place.rpartition(":")[0])
