"""Apprise: the services that Apprise knows, each by an address of its own.

Sources: Apprise's documentation of its library (`Apprise.notify`, `AppriseResult`, `AppriseAsset`)
and of its addresses. Apprise says of each target only whether it worked: what has failed may have
arrived. It carries no key by which a receiver could tell a repetition.

It connects by itself, so that the guard that keeps calls out of private networks cannot see them.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple
from urllib.parse import unquote

import httpx
from pydantic import BeforeValidator, Field, SecretStr, field_validator

from service.channels import ChannelOptions, ConfiguredChannel, Message, SentRef
from service.channels.http_api import demand_text
from service.clock import Clock
from service.diagnostics import refused
from service.errors import SendError
from service.http.connection_check import ConnectionCheck
from service.http.error_messages import explain_socket

if TYPE_CHECKING:
    from apprise import AppriseAsset, AppriseResult, NotifyBase

# HTTP's Multi-Status: the other side is there, and has done a part of it.
PARTLY = 207
WHY_UNGUARDED = "Apprise connects by itself, so network: cannot keep it out of private networks"
_SHORTEST_SECRET = 4
_MOST_WORDS = 200


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class AppriseOptions(ChannelOptions):
    """`url` is the Apprise address of a service, or a list of them.

    `unguarded` must be true: Apprise connects by itself, and `network` does not hold for it.
    """

    url: Annotated[tuple[SecretStr, ...], BeforeValidator(_one_or_many), Field(min_length=1)]
    unguarded: bool = Field(default=False, validate_default=True)

    @field_validator("url")
    @classmethod
    def _is_known(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, url in enumerate(urls, 1):
            if _service(url.get_secret_value()) is None:
                which = f"number {number} of url" if len(urls) > 1 else "url"
                raise refused(
                    f"{which} is not an address that Apprise can use",
                    "see https://appriseit.com/services/; some services need another package",
                )
        return urls

    @field_validator("unguarded")
    @classmethod
    def _is_meant(cls, unguarded: bool) -> bool:  # noqa: FBT001 (as pydantic gives it)
        if not unguarded:
            raise refused(WHY_UNGUARDED, "write unguarded: true if it may connect to anything")
        return unguarded


@dataclass(frozen=True, slots=True)
class Target:
    """One address; `name` is how people tell it from the others, without a secret."""

    name: str
    url: str

    def mark(self, key: str) -> str:
        """Stands for the target in what is stored about the message with this key."""
        return blake2b(self.url.encode(), key=key.encode()[:64], digest_size=8).hexdigest()


class Outcome(NamedTuple):
    """The result for one target; `why` says why it failed, None: it did not."""

    target: Target
    why: str | None


class AppriseChannel(ConfiguredChannel):
    """Sends to all its addresses; after a failure only to those that have not got it."""

    options: ClassVar[type[ChannelOptions]] = AppriseOptions
    needs_target: ClassVar[bool] = False

    def __init__(self, options: AppriseOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        del client, clock
        self._timeout = options.timeout
        urls = [one.get_secret_value() for one in options.url]
        self._targets = [_target(url, number, len(urls)) for number, url in enumerate(urls, 1)]

    async def send(self, message: Message) -> SentRef:
        demand_text(message.text)
        told = set((message.progress or {}).get("told", ()))
        left = [one for one in self._targets if one.mark(message.key) not in told]
        outcomes = await asyncio.gather(*(self._tell(one, message) for one in left))
        told |= {one.target.mark(message.key) for one in outcomes if one.why is None}
        progress = {"told": sorted(told)}
        if failed := [one for one in outcomes if one.why is not None]:
            raise _failure(failed, progress, len(self._targets))
        return progress

    async def probe(self, check: ConnectionCheck) -> str | None:
        """Connect to the targets whose address names a server; the others cannot be tried."""
        del check
        untried = []
        for target in self._targets:
            service = await asyncio.to_thread(_service, target.url)
            if service is not None and _has_host(service):
                await self._connect(target, service)
            else:
                untried.append(target.name)
        return f"only a message would show whether {', '.join(untried)} works" if untried else None

    async def _tell(self, target: Target, message: Message) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                result = await asyncio.to_thread(_notify, target.url, message, self._timeout)
        except TimeoutError:
            return Outcome(target, f"no answer within {self._timeout.total_seconds():g} s")
        return Outcome(target, None if result else _reason(result, target.url))

    async def _connect(self, target: Target, service: "NotifyBase") -> None:
        port = service.port or (443 if service.secure else 80)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                _, writer = await asyncio.open_connection(service.host, port)
        except OSError as error:
            said = explain_socket(error, f"{service.host}:{port}")
            raise SendError(f"{target.name}: {said}; check its address in url:") from None
        writer.close()


def _failure(failed: Sequence[Outcome], progress: SentRef, targets: int) -> SendError:
    said = "; ".join(f"{one.target.name} failed: {one.why}" for one in failed)
    sent = targets - len(failed)
    if sent:
        said += f" ({sent} of {targets} targets have received it, and will not receive it again)"
    return SendError(said, outcome_unknown=True, progress=progress, status=PARTLY if sent else None)


def _target(url: str, number: int, targets: int) -> Target:
    service = _service(url)
    name = "Apprise" if service is None else str(service.service_name)
    return Target(name if targets == 1 else f"target {number} ({name})", url)


def _notify(url: str, message: Message, within: timedelta) -> "AppriseResult":
    """Send to one address, in a thread: Apprise waits for the answer.

    The service is made anew each time, because it is not made for several threads.
    """
    from apprise import Apprise, NotifyFormat  # noqa: PLC0415 (most commands send nothing)

    service, seconds = _service(url), within.total_seconds()
    if service is not None:
        service.socket_connect_timeout = min(service.socket_connect_timeout, seconds)
        service.socket_read_timeout = min(service.socket_read_timeout, seconds)
    return Apprise(service, asset=_asset()).notify(
        body=message.text, title=message.subject or "", body_format=NotifyFormat.TEXT
    )


def _service(url: str) -> "NotifyBase | None":
    """The service of an address; None if Apprise knows no such service."""
    from apprise import Apprise  # noqa: PLC0415 (most commands need no service)

    return Apprise.instantiate(url, asset=_asset())


@cache
def _asset() -> "AppriseAsset":
    """How Apprise behaves here: it keeps nothing on disk.

    Its own log goes nowhere, because it may quote an address.
    """
    from apprise import AppriseAsset, PersistentStoreMode  # noqa: PLC0415 (as above)

    logging.getLogger("apprise").propagate = False
    return AppriseAsset(app_id="Taskbell", storage_mode=PersistentStoreMode.MEMORY)


def _reason(result: "AppriseResult", url: str) -> str:
    """What Apprise wrote about a failure, unless it quotes a part of the address."""
    written = [" ".join(str(entry.message).split()) for entry in result.logs()]
    said = next((one for one in reversed(written) if one), "")[:_MOST_WORDS]
    is_silent = not any(part in said for part in _secrets(url))
    return said if said and is_silent else "Apprise does not say why"


def _secrets(url: str) -> set[str]:
    """The parts of an address that may be secret: all but the name of a server."""
    rest, service = url.partition("://")[2], _service(url)
    parts = re.split(r"[^\w.~-]+", f"{rest} {unquote(rest)}")
    host = {str(service.host)} if service is not None and _has_host(service) else set()
    return {one for one in parts if len(one) >= _SHORTEST_SECRET} - host


def _has_host(service: "NotifyBase") -> bool:
    """Whether its address names a server; in others a key stands there."""
    return "host" in service.template_tokens
