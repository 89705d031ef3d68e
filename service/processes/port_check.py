"""Checks that a server can listen at its address, before anything is started."""

import errno
import socket
import time

from service.errors import TaskbellError

# Seconds in which a Taskbell that was killed a moment ago lets go of its port.
_PATIENCE, _PAUSE = 2.0, 0.1


class CannotListen(TaskbellError):
    """No server can listen at this address; says why, and how to choose another."""


def demand_free(host: str, port: int, setting: str) -> None:
    """Raise CannotListen unless `host` and `port` are free; `setting` is the port's setting."""
    deadline = time.monotonic() + _PATIENCE
    while (error := _refusal(host, port)) is not None:
        if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            raise CannotListen(_sentence(error, f"{host}:{port}", f"{setting}{port + 1}"))
        time.sleep(_PAUSE)


def _refusal(host: str, port: int) -> OSError | None:
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen()
    except OSError as error:
        return error
    return None


def _sentence(error: OSError, place: str, other: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Another program already uses {place}, perhaps another Taskbell."
            f" Stop it, or choose another port, such as {other}."
        )
    return f"Taskbell cannot use {place}: {error.strerror}."
