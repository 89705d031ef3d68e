"""The pure half of a source: it parses the system's JSON."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from service.domain.days import Calendar
from service.domain.model import Cause, Customer, Kind, Observation, Task
from service.sources.account import Account
from service.sources.dates import Dates
from service.sources.fingerprints import fingerprint, salt_of
from service.sources.forms import Form
from service.sources.forms import unread as unread_in
from service.sources.task_links import is_open, link

Raw: TypeAlias = dict[str, Any]
"""A task in its system's own shape."""


class TaskReader(ABC):
    """Parses the JSON of one account of one system; makes no calls.

    `revision` is incremented when more fields of a task are stored than before: the next scan
    parses every task again, and a value that is stored for the first time is not a change.
    """

    revision: ClassVar[int] = 0

    def __init__(self, account: Account) -> None:
        self.account = account
        self._salt = self._salted_with(b"")

    @cached_property
    def dates(self) -> Dates:
        """How the account writes its dates."""
        account = self.account
        calendar = Calendar(account.timezone or UTC, account.due_by)
        return Dates(calendar, account.midnight_is_day)

    @property
    def refetches(self) -> bool:
        """Whether `enrich` reads a listed task again, so that it is as new as that call."""
        return False

    @abstractmethod
    def items(self, payload: Any) -> list[Raw] | None:
        """The tasks of the system's own list envelope; None if `payload` is not one."""

    def trim(self, raw: Raw) -> Raw:
        """The stored part of a task's JSON: no credentials, no values that change on their own."""
        return raw

    def list_view(self, raw: Raw) -> Raw:
        """The part of a trimmed task that lists show: if it is equal, the task is unchanged."""
        return raw

    @abstractmethod
    def identify(self, raw: Raw) -> str | None:
        """The task's id, from a whole task or from a hint with little more than the id."""

    @abstractmethod
    def is_whole(self, raw: Raw) -> bool:
        """Whether `raw` has all fields of a task, so that it need not be read by id."""

    def is_task(self, raw: Raw) -> bool:
        """Whether `raw` is a task, or part of one, and not an envelope around it."""
        return self.is_whole(raw)

    @abstractmethod
    def parse(self, raw: Raw) -> Task:
        """The normalised task, of this `revision`; a value of unknown form becomes None.

        `observe` adds its `url`, by the account's pattern. Raises PayloadError without an id.
        """

    @property
    def forms(self) -> Mapping[str, Form]:
        """The expected types of this system's JSON fields, by name."""
        return {}

    def unknown_fields(self, raw: Raw) -> frozenset[str]:
        """The fields of `Task` that this JSON does not include: their known values are kept.

        `fields.value` is one of the fields in `Task.fields`. `customer.opted_out`, `customer.tags`,
        `customer.groups` and `customer.fields` are kept for the same customer only.
        """
        del raw
        return frozenset()

    def customers(self, raw: Raw) -> tuple[Customer, ...]:
        """All customers of a task, if the system shows several in arbitrary order."""
        del raw
        return ()

    def version(self, raw: Raw) -> datetime | None:
        """When the system itself last changed the task; None if it does not report that."""
        del raw
        return None

    def observe(
        self,
        raw: Raw,
        observed_at: datetime,
        cause: Cause,
        *,
        pushed: bool = False,
        announced: frozenset[Kind] = frozenset(),
    ) -> Observation:
        """The observation in this trimmed JSON, read or received at that time; raises as `parse`.

        `pushed` and `announced` are as in `Observation`.
        """
        task, forms = self.parse(raw), self.forms
        unread, untold = unread_in(raw, forms), self.unknown_fields(raw)
        if unread:
            untold = untold.union(*(forms[field].fills for field in unread))
        if (links := self.account.links) is not None:
            task = replace(task, url=link(links, task))
            untold = untold | {"url"} if is_open(links, untold) else untold
        return Observation(
            account=self.account.name,
            task_id=task.id,
            task=task,
            observed_at=observed_at,
            cause=cause,
            version=self.version(raw),
            fingerprint=self.fingerprint(raw),
            pushed=pushed,
            announced=announced,
            untold=untold,
            customers=self.customers(raw),
            unread=unread,
        )

    def fingerprint(self, raw: Raw) -> bytes:
        """A digest of a trimmed task's stored fields, as lists show them: equal means unchanged."""
        return fingerprint(self.list_view(raw), self._salt)

    def _salted_with(self, people: bytes) -> bytes:
        # If each listed task has to be read by itself, a new field is filled at its next change.
        if self.refetches:
            return b""
        account = self.account
        return salt_of(self.revision, people, account.due_by, account.read_by)
