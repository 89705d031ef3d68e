"""Where tasks come from: the interface that one file per system implements.

A new system is one new module in this folder, named like the system (`system: plannr` is
`service/sources/plannr.py`), with one class that derives from `Source`. Nothing else has to be
edited: the configuration finds it by its name and the contract suite picks it up by itself.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from hashlib import blake2b
from typing import Any, ClassVar, Literal, Self, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from service.clock import Clock
from service.errors import SourceRejected
from service.http.throttle import Throttle
from service.http.upstream import Upstream
from service.model import Task

Raw: TypeAlias = dict[str, Any]
_Secret: TypeAlias = SecretStr | tuple[SecretStr, ...] | None
_SHORTEST_POLL = timedelta(seconds=1)


class WebhookOptions(BaseModel):
    """How an account's incoming webhooks are proved genuine.

    There may be two secrets while one is being replaced. For `standard` they are base64, with or
    without the prefix whsec_, as Standard Webhooks has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    verify: Literal["plannr", "standard", "github", "slack", "token", "none"] = "none"
    secret: _Secret = Field(None, validate_default=True)

    @field_validator("secret")
    @classmethod
    def _is_what_verify_needs(cls, secret: _Secret, info: ValidationInfo) -> _Secret:
        verify = info.data.get("verify", "none")
        if verify != "none" and not all(_keys(verify, secret) or (b"",)):
            raise ValueError(f"verify: {verify} needs a secret")
        return secret

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        """The secrets as bytes."""
        return _keys(self.verify, self.secret)


def _keys(verify: str, secret: _Secret) -> tuple[bytes, ...]:
    """The secrets as bytes; ValueError for one that should be base64 and is not."""
    given = secret if isinstance(secret, tuple) else (secret,)
    texts = [one.get_secret_value() for one in given if one is not None]
    if verify != "standard":
        return tuple(text.encode() for text in texts)
    try:
        return tuple(b64decode(text.removeprefix("whsec_"), validate=True) for text in texts)
    except ValueError:
        raise ValueError(
            "verify: standard needs a secret in base64, usually written whsec_…"
        ) from None


class Account(BaseModel):
    """One connection to a system: what every system's options have in common.

    `per_minute` is how many calls Taskbell makes at most, `timeout` the longest that one takes,
    `max_pages` where reading a list is given up.
    A system with options of its own derives from this and names the class in `Source.options`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    system: str
    base_url: str
    token: SecretStr
    timezone: ZoneInfo | None = None
    poll: timedelta = timedelta(minutes=1)
    full_scan: timedelta = timedelta(hours=1)
    per_minute: int = Field(default=120, ge=1)
    timeout: timedelta = timedelta(minutes=1)
    max_pages: int = Field(default=2000, ge=1)
    webhook: WebhookOptions | None = None

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, base_url: str) -> str:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address that begins with https:// or http://")
        return base_url

    @field_validator("poll")
    @classmethod
    def _is_not_too_often(cls, poll: timedelta) -> timedelta:
        if poll < _SHORTEST_POLL:
            raise ValueError("poll is at least 1s")
        return poll

    def headers(self) -> Mapping[str, str]:
        """What every request carries: the credentials and the format asked for."""
        return {
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "Accept": "application/json",
        }


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: tasks by id, in the system's own shape but trimmed; when asked for.

    `nameless` is how many rows without a usable id there were up to here.
    """

    raws: Mapping[str, Raw]
    requested_at: datetime
    nameless: int = 0


class Source(ABC):
    """One account of one system: what its JSON means, and the calls it understands.

    The readers (`items` to `version`) are pure. The calls raise only `SourceError`.
    """

    options: ClassVar[type[Account]] = Account
    notifications: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, account: Account, upstream: Upstream) -> None:
        self.account = account
        self.upstream = upstream

    @classmethod
    def connect(
        cls, account: Account, client: httpx.AsyncClient, clock: Clock, throttle: Throttle
    ) -> Self:
        """The account's source, whose every call goes by its throttle."""
        upstream = Upstream(
            account.name,
            client,
            account.base_url,
            clock,
            headers=account.headers(),
            throttle=throttle,
            total=account.timeout,
        )
        return cls(account, upstream)

    @abstractmethod
    def items(self, payload: Any) -> list[Raw] | None:
        """The tasks of the system's own list envelope; None if `payload` is not one."""

    def trim(self, raw: Raw) -> Raw:
        """As much of a task's JSON as may be kept: no credentials, nothing that flickers."""
        return raw

    def listed(self, raw: Raw) -> Raw:
        """What lists show of a trimmed task: two looks that agree in it are alike."""
        return raw

    @abstractmethod
    def identify(self, raw: Raw) -> str | None:
        """The task's id, from a whole task or from a hint that has little more than the id."""

    @abstractmethod
    def is_whole(self, raw: Raw) -> bool:
        """Whether `raw` has all that a task needs, so that it need not be fetched."""

    def is_task(self, raw: Raw) -> bool:
        """Whether `raw` is a task, or part of one, and not an envelope around it."""
        return self.is_whole(raw)

    @abstractmethod
    def parse(self, raw: Raw) -> Task:
        """The normalised task; raises PayloadError naming the field that cannot be read."""

    def untold(self, raw: Raw) -> frozenset[str]:
        """The fields of `Task` that this JSON leaves open: what is known of them stays."""
        del raw
        return frozenset()

    def version(self, raw: Raw) -> datetime | None:
        """When the system itself last changed the task; None where it does not say."""
        del raw
        return None

    @abstractmethod
    def scan(self) -> AsyncIterator[Page]:
        """Every task, page by page; ends only when the system said that it was the last."""

    async def enrich(self, raw: Raw) -> Raw | None:
        """A task of a list, with what lists leave out; None if there is no such task any more."""
        return raw

    async def probe(self) -> None:
        """Read one page: address and credentials are good if this raises nothing."""
        await anext(self.scan(), None)

    async def hooks(self) -> list[str] | None:
        """The addresses it pushes changes to; None where the system cannot be asked for them."""
        return None

    async def subscribe(self, url: str) -> SecretStr:
        """Have changes of tasks pushed to `url`; returns the secret that will sign them."""
        raise SourceRejected(
            f"{self.account.name}: {self.account.system} has no webhooks to subscribe {url} to;"
            " it is polled, or pushed to by a script of your own"
        )

    def recent(self, since: datetime) -> AsyncIterator[Page]:
        """The tasks changed since then; a full scan where the system cannot be asked that."""
        del since
        return self.scan()

    def listed_starts(self) -> tuple[datetime, datetime] | None:
        """From when to before when a task begins that a complete scan would list; None: any task.

        What begins outside of that, or has no start, is not missing because it is not listed.
        """
        return None

    def alike(self, fields: Mapping[str, Any], since: datetime) -> AsyncIterator[Page]:
        """Where a task is to be found that was made of these `fields` since then."""
        del fields
        return self.recent(since)

    def covers(self, task: Task) -> bool:
        """Whether a complete scan would list this task, if it still exists."""
        del task
        return True

    @abstractmethod
    async def fetch(self, task_id: str) -> Raw | None:
        """The task as it is now; None if the system says that there is none of that id."""

    async def notify(self, task_id: str, notification: str) -> None:
        """Have the system tell somebody: one of `notifications`. Reaches real people."""
        raise NotImplementedError(f"{self.account.system} sends no {notification} for {task_id}")

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        """Make a task and return it; `fields` in the words of the rule language."""
        raise NotImplementedError(f"{self.account.system} cannot create tasks: {fields}")

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        """Change a task and return it; `fields` in the words of the rule language."""
        raise NotImplementedError(f"{self.account.system} cannot update {task_id}: {fields}")

    async def complete_task(self, task_id: str) -> Raw:
        """Mark a task done and return it."""
        raise NotImplementedError(f"{self.account.system} cannot complete {task_id}")


def fingerprint(raw: Raw) -> bytes:
    """A digest of what lists show of a task, the same in every process: equal means unchanged."""
    return blake2b(orjson.dumps(raw), digest_size=16).digest()


@cache
def systems() -> Mapping[str, type[Source]]:
    """Every system there is a module for, by its name."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return {name: found for name in names if (found := _source_class(name)) is not None}


def _source_class(system: str) -> type[Source] | None:
    module = importlib.import_module(f"{__name__}.{system}")
    return next(
        (
            thing
            for thing in vars(module).values()
            if isinstance(thing, type)
            and issubclass(thing, Source)
            and thing.__module__ == module.__name__
        ),
        None,
    )
