"""Redis error messages for people, without secrets."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from socket import gaierror

from redis import exceptions


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem with Redis (`says`, of which Redis is the subject), and what to do about it."""

    says: str
    advice: str


_START = "start Redis or Valkey, or correct REDIS_URL"
_CORRECT = "correct the user and the password in REDIS_URL"
_BY_KIND: Mapping[type[exceptions.RedisError], Trouble] = {
    exceptions.ReadOnlyError: Trouble(
        "it is a replica and read-only", "set REDIS_URL to the primary instead"
    ),
    exceptions.OutOfMemoryError: Trouble(
        "its memory is full (maxmemory), so it stores nothing",
        "give it more memory, or give Taskbell a separate Redis",
    ),
    exceptions.NoPermissionError: Trouble(
        "it does not let its user do what Taskbell does",
        "let its user (ACL) use the keys taskbell:* and arq:* and the commands for them, and INFO",
    ),
    exceptions.BusyLoadingError: Trouble(
        "it is starting and loading its data", "wait until it is ready"
    ),
    exceptions.TimeoutError: Trouble("it does not answer in time", _START),
}
# How an answer begins that redis-py has no kind of its own for.
_CLUSTER = ("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN")


def explain(error: exceptions.RedisError | OSError) -> Trouble:
    """The problem with Redis that this error shows."""
    # Of what a server refuses at a Unix socket, redis-py makes another error, without its kind.
    if isinstance(error.__cause__, exceptions.RedisError):
        return explain(error.__cause__)
    for kind, trouble in _BY_KIND.items():
        if isinstance(error, kind):
            return trouble
    match error:
        case exceptions.AuthenticationError():
            return _unauthenticated(str(error))
        case exceptions.ResponseError():
            return _refused(str(error))
    return _unreached(error)


def _unauthenticated(answer: str) -> Trouble:
    if "required" in answer:
        return Trouble("it requires a password, and REDIS_URL has none", _CORRECT)
    if "without any password" in answer or "no password is set" in answer:
        return Trouble("it has no password, and REDIS_URL has one", _CORRECT)
    return Trouble("it does not accept the user and the password in REDIS_URL", _CORRECT)


def _refused(answer: str) -> Trouble:
    if answer.startswith(_CLUSTER):
        return Trouble(
            "it is part of a cluster, which Taskbell cannot use",
            "set REDIS_URL to a single Redis or Valkey",
        )
    first, _, _ = answer.partition(". ")
    return Trouble(f"it accepts no work ({first})", "check its log and its configuration")


def _unreached(error: exceptions.RedisError | OSError) -> Trouble:
    """The error that prevents connecting: redis-py has it as the cause of its own error."""
    match error.__context__ or error:
        case gaierror():
            return Trouble("there is no server of this name", "correct REDIS_URL")
        case ssl.SSLError() as refusal:
            advice = "correct REDIS_URL: rediss:// is with TLS, and redis:// without"
            return Trouble(f"no TLS connection could be made ({refusal.reason})", advice)
        case PermissionError():
            advice = "give the user who runs Taskbell permission, for example by its group"
            return Trouble("Taskbell may not open its socket", advice)
    return Trouble("it does not answer", _START)
