"""The ways out: the interface that one file per channel implements.

A new channel is one new module in this folder, named like its kind (`kind: slack` is
`service/channels/slack.py`), with one class that derives from `ConfiguredChannel`. The
configuration finds it by its name and the contract suite picks it up by itself. What an account's
own system does is a `SystemChannel`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar, TypeAlias

import httpx
import orjson
from pydantic import BaseModel, ConfigDict

from service import plugins
from service.clock import Clock
from service.diagnostics import Issue
from service.errors import SendError
from service.http import never_sent
from service.http.answers import AnswerRefused
from service.http.connection_check import ConnectionCheck
from service.http.error_messages import explain
from service.sources import Source

SentRef: TypeAlias = dict[str, Any]
JSON: TypeAlias = Mapping[str, Any] | orjson.Fragment | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one target, ready to go.

    `key` is the same over all attempts of one delivery and never used for another. `event`,
    `task` and `before` are the API's JSON shapes. `thread` groups messages about one task.
    `receipt` is what `send` returned for the message that this one takes back, and `undo` how that
    is done: `update` rewrites it, `thread` answers it, `retract` removes it. `others` are, for a
    task that is made in a further attempt, those that it cannot have made: other messages did, or
    they have its title and were known before.
    """

    key: str
    channel: str
    target: str
    text: str
    account: str
    task_id: str
    rule: str
    type: str
    at: datetime
    subject: str | None = None
    event: JSON = None
    task: JSON = None
    before: JSON = None
    fields: Mapping[str, Any] | None = None
    receipt: SentRef | None = None
    undo: str | None = None
    others: frozenset[str] = frozenset()


class ChannelOptions(BaseModel):
    """What every channel's configuration has in common; each kind derives its own.

    `timeout` is how long one attempt may take from beginning to end. What was typed in never
    appears in a validation error: it may be a secret.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str
    kind: str
    timeout: timedelta = timedelta(seconds=15)

    def warnings(self) -> Iterable[Issue]:
        """What is allowed and seldom meant, each at its place within these options."""
        return ()


class Channel(ABC):
    """One way out.

    `concurrency` is how many messages may be under way at once in one process. What may have
    arrived by an `at_most_once` channel is never sent again by itself. `undoes` are the ways in
    which it can take back what it sent. One that `finds` what an earlier attempt sent looks before
    each further attempt. What `reaches_people` is held by the storm guard when it comes in floods.
    To one target of a channel with a `pace`, messages go one after the other, and after the first
    few no faster than that.
    """

    concurrency: ClassVar[int] = 4
    reaches_people: ClassVar[bool] = True
    at_most_once: ClassVar[bool] = False
    finds: ClassVar[bool] = False
    pace: ClassVar[timedelta | None] = None
    undoes: ClassVar[frozenset[str]] = frozenset()
    needs_target: ClassVar[bool] = True

    @abstractmethod
    async def send(self, message: Message) -> SentRef:
        """Send, and return what identifies the message over there; raises only SendError."""

    async def take_back(self, message: Message) -> SentRef:
        """Take back what `message.receipt` identifies, by `message.undo`; raises only SendError."""
        raise NotImplementedError(f"{message.channel} cannot change or remove what it sent")

    async def find(self, message: Message) -> SentRef | None:
        """Look whether an earlier attempt of this message arrived, and return its receipt.

        None where it did not, and where the other side cannot be asked. Raises only SendError.
        """
        del message
        return None

    async def probe(self, check: ConnectionCheck) -> None:
        """Find out whether a message could be sent, without sending any; raises only SendError.

        `check` tells whether anybody answers, where nothing better can be asked.
        """
        del check

    async def close(self) -> None:  # noqa: B027 (most hold nothing open)
        """Give back what the channel holds open."""


class ConfiguredChannel(Channel):
    """A way out of a kind that people configure: named, with options of its own."""

    options: ClassVar[type[ChannelOptions]]

    @abstractmethod
    def __init__(self, options: Any, client: httpx.AsyncClient, clock: Clock) -> None:
        """Take one channel's options, the guarded client for its calls, and the time."""


class SystemChannel(Channel):
    """A way out that nobody configures: the account's own system, by the `names` of its actions."""

    names: ClassVar[frozenset[str]]

    def __init__(self, source: Source) -> None:
        self._source = source


@asynccontextmanager
async def http_call(host: str, within: timedelta) -> AsyncIterator[None]:
    """Bound an HTTP call to `host` in time, and raise SendError where it got no answer.

    The text names the host only: an address may hold a secret.
    """
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except TimeoutError as error:
        raise SendError(
            f"{host} did not answer within {within.total_seconds():g} s", outcome_unknown=True
        ) from error
    except AnswerRefused as error:
        raise SendError(
            f"what {host} answered cannot be read: {error}", outcome_unknown=True
        ) from error
    except httpx.RequestError as error:
        if never_sent(error):
            raise SendError(explain(error)) from error
        raise SendError(f"{host} broke off before it answered", outcome_unknown=True) from error


@cache
def kinds() -> Mapping[str, type[ConfiguredChannel]]:
    """Every kind of channel that can be configured, by its name."""
    return dict(plugins.find(__name__, ConfiguredChannel))


@cache
def built_in() -> Mapping[str, type[SystemChannel]]:
    """What an account's own system does, by the names of `service.domain.system_actions`."""
    return {name: way for _, way in plugins.find(__name__, SystemChannel) for name in way.names}


def ways(configured: Mapping[str, str]) -> Mapping[str, type[Channel]]:
    """Every way out by the name that rules call it; `configured` has each channel's kind."""
    chosen = {name: kinds()[kind] for name, kind in configured.items()}
    return {**chosen, **built_in()}
