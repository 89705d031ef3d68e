"""The ways out: the interface that one file per channel implements.

A new channel is one new module in this folder, named like its kind (`kind: slack` is
`service/channels/slack.py`), with one class that derives from `Channel`. The configuration
finds it by its name and the contract suite picks it up by itself.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict

Receipt: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one target, ready to go.

    `key` is the same over all attempts of one delivery and never used for another. `event`,
    `task` and `before` are the API's JSON shapes. `thread` groups messages about one task.
    `receipt` is what `send` returned for the message that an `update` rewrites.
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
    event: Mapping[str, Any] | None = None
    task: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] | None = None
    receipt: Receipt | None = None


class ChannelOptions(BaseModel):
    """What every channel's configuration has in common; each kind derives its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str


class Channel(ABC):
    """One way out.

    A kind that people configure names its `options` and is made with them and the guarded HTTP
    client; one without is built in (`customer`, `employee`, the writes) and is made with the
    account's source. `concurrency` is how many messages may be under way at once in one process, `per_second` the
    most to start in a second (None: no limit). `at_most_once` channels reach customers: what
    may have arrived is never sent again by itself.
    """

    options: ClassVar[type[ChannelOptions] | None] = None
    concurrency: ClassVar[int] = 4
    per_second: ClassVar[float | None] = None
    at_most_once: ClassVar[bool] = False
    can_update: ClassVar[bool] = False
    needs_target: ClassVar[bool] = True

    @abstractmethod
    async def send(self, message: Message) -> Receipt:
        """Send, and return what identifies the message over there; raises only SendError."""

    async def update(self, message: Message) -> Receipt:
        """Rewrite the message that `message.receipt` identifies; raises only SendError."""
        raise NotImplementedError(f"{message.channel} cannot rewrite what it sent")

    async def close(self) -> None:
        """Give back what the channel holds open."""


@cache
def kinds() -> Mapping[str, type[Channel]]:
    """Every kind of channel that can be configured, by its name."""
    classes = {
        module.name: _channel_class(module.name) for module in pkgutil.iter_modules(__path__)
    }
    return {kind: channel for kind, channel in classes.items() if channel.options is not None}


def _channel_class(kind: str) -> type[Channel]:
    module = importlib.import_module(f"{__name__}.{kind}")
    return next(
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Channel)
        and thing.__module__ == module.__name__
    )
