"""The channel interface: each channel is one module in this package.

A new channel is one new module in this folder, named like its kind (`kind: slack` is
`service/channels/slack.py`), with one class that derives from `ConfiguredChannel`. The
configuration finds it by its name, and so does the contract suite. The actions of an account's own
system are a `SystemChannel`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, ClassVar, TypeAlias

import httpx
import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)

from service import plugins
from service.channels.pace import Pace, Rate
from service.clock import Clock
from service.diagnostics import Issue
from service.domain.operators.buttons import Button
from service.errors import SendError
from service.http import NO_HOST, can_be_looked_up
from service.http.answers import AnswerRefused
from service.http.connection_check import ConnectionCheck
from service.http.error_messages import explain, never_sent
from service.sources import Source

SentRef: TypeAlias = dict[str, Any]
JSON: TypeAlias = Mapping[str, Any] | orjson.Fragment | None


def _http_address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except (httpx.InvalidURL, UnicodeError):  # whose text quotes the address
        raise ValueError("url is not an address") from None
    if parsed.scheme not in {"http", "https"} or not host:
        raise ValueError("must be an address that begins with https:// or http://")
    if not can_be_looked_up(host):
        raise ValueError(NO_HOST)
    return url


def _secret_address(url: SecretStr) -> SecretStr:
    _http_address(url.get_secret_value())
    return url


HttpAddress: TypeAlias = Annotated[SecretStr, AfterValidator(_secret_address)]
"""Where something is posted, and kept as a secret: many services put a key into it."""
ApiAddress: TypeAlias = Annotated[str, AfterValidator(_http_address)]
"""Where the API of a service is, without anything secret."""


@dataclass(frozen=True, slots=True)
class MessageButton:
    """Something that the receiver can answer: its words, its link, and a value that proves it."""

    button: Button
    label: str
    url: str
    value: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one target, ready to be sent.

    - `key`: the idempotency key: the same for all attempts of one delivery, and never used for
      another
    - `event`, `task`, `before`: the API's JSON shapes
    - `thread`: groups messages about one task
    - `receipt`: for an undo, the result of `send` for the message that is undone
    - `undo`: how it is undone: `update` rewrites the message, `thread` answers it, `retract`
      removes it
    - `unsubscribe`: in a message to a customer, the address of the page that ends all messages
    - `markup`: which parts of the text its rule has written: the start and the end of each, one
      after the other. Only there may be markup; everything else is text as it is
    - `attach`: what goes with it: `visit`, an invitation to the visit that its task is
    - `progress`: for a further attempt, what an earlier one has achieved (`SendError.progress`)
    - `others`: for a repeated attempt to create a task, tasks that it cannot have created: other
      messages did, or they have its title and were known before
    - `buttons`: what the receiver can answer; unless the channel `shows_buttons`, the text has
      their link
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
    markup: tuple[int, ...] = ()
    subject: str | None = None
    attach: str | None = None
    event: JSON = None
    task: JSON = None
    before: JSON = None
    fields: Mapping[str, Any] | None = None
    receipt: SentRef | None = None
    undo: str | None = None
    progress: SentRef | None = None
    others: frozenset[str] = frozenset()
    buttons: tuple[MessageButton, ...] = ()
    unsubscribe: str | None = None


class ChannelOptions(BaseModel):
    """What every channel's configuration has in common; each kind derives its own.

    - `timeout`: how long one attempt may take from beginning to end
    - `concurrency`: how many messages each worker sends at once
    - `rate`, `burst`: the messages to one target are sent one after the other, no faster than the
      rate, except for the first `burst` of them; without a rate, all at once

    What was typed in never appears in a validation error: it may be a secret.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str
    kind: str
    timeout: timedelta = timedelta(seconds=15)
    concurrency: int = Field(4, ge=1, le=1000)
    rate: Rate | None = None
    burst: int = Field(5, ge=1, le=1000)

    @field_validator("timeout")
    @classmethod
    def _leaves_time(cls, timeout: timedelta) -> timedelta:
        if timeout <= timedelta(0):
            raise ValueError("timeout must be at least 1s")
        return timeout

    @property
    def pace(self) -> Pace | None:
        return None if self.rate is None else Pace(self.rate, self.burst)

    def warnings(self) -> Iterable[Issue]:
        """Allowed options that are probably not intended, each with its place in these options."""
        return ()


class Channel(ABC):
    """A channel.

    - `at_most_once`: a message that may have arrived is never sent again automatically
    - `undoes`: the ways in which it can undo a sent message
    - `finds`: it can find a message of an earlier attempt, and is asked before each further attempt
    - `reaches_people`: its messages are counted by the storm guard
    - `needs_text`: a step must have a text; without it, the event is sent
    - `shows_buttons`: it shows `Message.buttons` in its own way
    - `longest`: how many characters of a text fit; of a longer one the middle is left out
    - `attaches`: what can go with a message (`attach`)
    """

    reaches_people: ClassVar[bool] = True
    at_most_once: ClassVar[bool] = False
    finds: ClassVar[bool] = False
    undoes: ClassVar[frozenset[str]] = frozenset()
    needs_target: ClassVar[bool] = True
    needs_text: ClassVar[bool] = True
    longest: ClassVar[int | None] = None
    shows_buttons: ClassVar[bool] = False
    attaches: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        """Why nothing can be sent to this target, whatever the options; None if it may be."""
        del target
        return None

    @abstractmethod
    async def send(self, message: Message) -> SentRef:
        """Send, and return the message's id in the receiving system; raises only SendError.

        A `note` in it is for people: what is special about how it was sent.
        """

    async def take_back(self, message: Message) -> SentRef:
        """Undo the message in `message.receipt`, by `message.undo`; raises only SendError."""
        raise NotImplementedError(f"{message.channel} cannot change or remove what it sent")

    async def find(self, message: Message) -> SentRef | None:
        """Find out whether an earlier attempt of this message arrived, and return its receipt.

        None if it did not, or if the receiving system cannot be asked. Raises only SendError.
        """
        del message
        return None

    async def probe(self, check: ConnectionCheck) -> str | None:
        """Find out whether a message could be sent, without sending any; raises only SendError.

        `check` finds out whether the server responds, if there is no better test. Returns what
        could not be found out, if there is something.
        """
        del check
        return None

    async def close(self) -> None:  # noqa: B027 (most hold nothing open)
        """Close the resources of the channel."""


class ConfiguredChannel(Channel):
    """A channel of a kind that people configure: named, with options of its own.

    With one of the options `tells_who_by` it tells who has pressed a button in it.
    """

    options: ClassVar[type[ChannelOptions]]
    tells_who_by: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def __init__(self, options: Any, client: httpx.AsyncClient, clock: Clock) -> None:
        """Take one channel's options, the guarded client for its calls, and the clock."""


class SystemChannel(Channel):
    """A channel without configuration: the account's own system, by the `names` of its actions."""

    names: ClassVar[frozenset[str]]

    def __init__(self, source: Source) -> None:
        self._source = source


@asynccontextmanager
async def http_call(host: str, within: timedelta) -> AsyncIterator[None]:
    """Limit the time of an HTTP call to `host`, and raise SendError if it got no response.

    The text names the host only: an address may contain a secret.
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
            f"the answer of {host} cannot be read: {error}", outcome_unknown=True
        ) from error
    except httpx.RequestError as error:
        if never_sent(error):
            raise SendError(explain(error)) from error
        raise SendError(
            f"{host} closed the connection before it answered", outcome_unknown=True
        ) from error


@cache
def kinds() -> Mapping[str, type[ConfiguredChannel]]:
    """Every kind of channel that can be configured, by its name."""
    return dict(plugins.find(__name__, ConfiguredChannel))


@cache
def built_in() -> Mapping[str, type[SystemChannel]]:
    """The channels of an account's own system, by names in `service.domain.system_actions`."""
    return {name: way for _, way in plugins.find(__name__, SystemChannel) for name in way.names}


def ways(configured: Mapping[str, str]) -> Mapping[str, type[Channel]]:
    """Every channel by its name in rules; `configured` has the kind of each configured one."""
    chosen = {name: kinds()[kind] for name, kind in configured.items()}
    return {**chosen, **built_in()}
