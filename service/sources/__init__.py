"""The source interface: each system implements it.

A new system is one new module in this folder, named like the system (`system: rolodex` is
`service/sources/rolodex.py`), with one class that derives from `Source`. The configuration finds it
by its name, and so does the contract suite; the required samples and the emulation are listed in
`tests/contract/source_rig.py`.

A system that is too long for one file is a package of that name: `account.py` has its options,
`reader.py` a `TaskReader` of its JSON, and `__init__.py` the `Source`, which derives from that
reader as well and has lists, calls and writes (`service/sources/plannr/`).

To be written, in this order:

1. a class of options, derived from `Account`, if the system needs more than address and token
2. the readers `items`, `identify`, `is_whole` and `parse`, which every system needs; `trim` if its
   JSON holds credentials or values that change on their own; `version` if it says when a task was
   changed
3. the calls `scan` and `fetch`, with the help of `sources.pagination`, and of `sources.offsets` if
   its lists are read by offsets; `by_change` if a list can be sorted by the time of change, latest
   first
4. `forms`, so that a value of unexpected type keeps the known value of its field; `list_view`,
   `is_task`, `unknown_fields`, `enrich` and `refetches` if its lists or webhooks show only a part
   of a task; `between` and `covered` if they can be limited to a period
5. `notifications` and `writes`, with the calls for them
6. `facts`: which task fields it provides, and which a new task requires, so that rules can be
   checked; `facts_for` if that depends on the account's options
7. `webhook_urls` and `subscribe` if it sends webhooks
8. `guide`: what a person needs to know to connect an account
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Self

import httpx
from pydantic import SecretStr

from service import plugins
from service.clock import Clock
from service.errors import SourceRejected
from service.http.throttle import Throttle
from service.http.upstream import SystemClient
from service.sources.account import Account
from service.sources.facts import Facts
from service.sources.guide import Guide
from service.sources.reader import Raw, TaskReader
from service.sources.values import mapping
from service.store.lookups import Coverage


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: trimmed tasks by id, in the system's own format, and the request time.

    `nameless` is the number of rows without a usable id so far, `total` the number of tasks in the
    whole list according to the system.
    """

    raws: Mapping[str, Raw]
    requested_at: datetime
    nameless: int = 0
    total: int | None = None


class Source(TaskReader):
    """One account of one system: the meaning of its JSON, and its calls.

    `title` is its name in texts, if that is not just the name of its module with a capital letter.
    `needed_options` are the options without which an account cannot do one of the `writes`. The
    readers, which are those of `TaskReader`, are pure. The calls raise only `SourceError`.
    """

    title: ClassVar[str] = ""
    options: ClassVar[type[Account]] = Account
    notifications: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[frozenset[str]] = frozenset()
    needed_options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    facts: ClassVar[Facts]
    guide: ClassVar[Guide]

    @classmethod
    def facts_for(cls, options: Mapping[str, Any]) -> Facts:
        """The facts for an account with these options, as they are written."""
        found = cls.facts.and_gives(mapping(options.get("create")))
        return found.and_links(given=bool(options.get("url")))

    def __init__(self, account: Account, upstream: SystemClient) -> None:
        super().__init__(account)
        self.upstream = upstream

    @classmethod
    def connect(
        cls,
        account: Account,
        client: httpx.AsyncClient,
        clock: Clock,
        throttle: Throttle,
        people: bytes = b"",
    ) -> Self:
        """The account's source, all of whose calls use its throttle.

        `people` is the digest of the directory of people, of up to 8 bytes: after a change of the
        directory, a list's tasks are parsed again, to add its details.
        """
        upstream = SystemClient(
            account.name,
            client,
            account.base_url,
            clock,
            headers=account.headers(),
            secret=account.token.get_secret_value(),
            throttle=throttle,
            total=account.timeout,
        )
        source = cls(account, upstream)
        source._salt = source._salted_with(people)
        return source

    @abstractmethod
    def scan(self) -> AsyncIterator[Page]:
        """Every task, page by page; ends only when the system said that it was the last page."""

    async def enrich(self, raw: Raw) -> Raw | None:
        """A task of a list, with the fields that lists leave out; None if it no longer exists."""
        return raw

    async def probe(self) -> None:
        """Read one page: address and credentials are valid if this raises nothing."""
        await anext(self.scan(), None)

    async def webhook_urls(self) -> list[str] | None:
        """The addresses that it sends webhooks to; None if the system cannot be asked for them."""
        return None

    async def subscribe(self, url: str) -> SecretStr:
        """Subscribe `url` to changes of tasks; returns the secret that will sign them."""
        raise SourceRejected(
            f"{self.account.name}: {self.account.system} has no webhooks to subscribe {url} to;"
            " Taskbell polls it, or a script of yours pushes changes"
        )

    def by_change(self) -> AsyncIterator[Page] | None:
        """Every task, the last changed ones first; None if no list has that order.

        The caller stops when it has enough.
        """
        return None

    async def recent(self, since: datetime) -> AsyncIterator[Page]:
        """The tasks changed since then; a full scan if the system has no such query."""
        pages = self.by_change()
        async for page in self.scan() if pages is None else pages:
            yield page
            if pages is not None and self.reaches(page, since):
                return

    def reaches(self, page: Page, moment: datetime) -> bool:
        """Whether a page of `by_change` has tasks that were changed before that time."""
        changed = [at for raw in page.raws.values() if (at := self.version(raw)) is not None]
        return bool(changed) and min(changed) < moment

    def between(self) -> AsyncIterator[Page]:
        """The list for every poll, if there is none by change: all tasks, or those of a period.

        `covered` says which period.
        """
        return self.scan()

    def covered(self, *, whole: bool) -> Coverage:
        """The tasks that a complete scan lists: `scan` if `whole`, else `between`."""
        del whole
        return Coverage()

    def find_similar(self, fields: Mapping[str, Any], since: datetime) -> AsyncIterator[Page]:
        """A list with any task that was created with these `fields` since then."""
        del fields
        return self.recent(since)

    @abstractmethod
    async def fetch(self, task_id: str) -> Raw | None:
        """The task as it is now; None if the system reports that no task has that id."""

    async def notify(self, task_id: str, notification: str) -> None:
        """Send one of `notifications` through the system. Reaches real people."""
        raise NotImplementedError(f"{self.account.system} sends no {notification} for {task_id}")

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        """Create a task and return it; `fields` have the names of the rule language."""
        raise NotImplementedError(f"{self.account.system} cannot create tasks: {fields}")

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        """Update a task and return it; `fields` have the names of the rule language."""
        raise NotImplementedError(f"{self.account.system} cannot update {task_id}: {fields}")

    async def complete_task(self, task_id: str) -> Raw:
        """Mark a task done and return it."""
        raise NotImplementedError(f"{self.account.system} cannot complete {task_id}")

    async def reopen_task(self, task_id: str) -> Raw:
        """Mark a task as not done and return it."""
        raise NotImplementedError(f"{self.account.system} cannot reopen {task_id}")

    async def delete_task(self, task_id: str) -> Raw:
        """Delete a task; returns its last state. A task that does not exist counts as deleted."""
        raise NotImplementedError(f"{self.account.system} cannot delete {task_id}")


def title_of(system: str) -> str:
    """The name of a system in texts, such as `LetsLigo`; also of one that is not known any more."""
    known = systems().get(system)
    return (known.title if known is not None else "") or system.capitalize()


@cache
def assignable() -> frozenset[str]:
    """The systems in which Taskbell can assign a task to somebody."""
    return frozenset(
        name
        for name, one in systems().items()
        if "update_task" in one.writes and "assignee" in one.facts.sets
    )


@cache
def completable() -> frozenset[str]:
    """The systems in which Taskbell can complete a task."""
    return frozenset(name for name, one in systems().items() if "complete_task" in one.writes)


@cache
def systems() -> Mapping[str, type[Source]]:
    """Every system there is a module for, by its name."""
    return dict(plugins.find(__name__, Source))
