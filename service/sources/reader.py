"""What a system's JSON means: the pure half of a source."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
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

Raw: TypeAlias = dict[str, Any]
"""A task in its system's own shape."""


class TaskReader(ABC):
    """Reads the JSON of one account of one system; makes no calls.

    `revision` is raised when more of a task is kept than before: the next scan reads every task
    anew, and what is kept for the first time is no change.
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
        """Whether `enrich` reads a task of a list anew, so that it is as new as that call."""
        return False

    @abstractmethod
    def items(self, payload: Any) -> list[Raw] | None:
        """The tasks of the system's own list envelope; None if `payload` is not one."""

    def trim(self, raw: Raw) -> Raw:
        """As much of a task's JSON as may be kept: no credentials, nothing that flickers."""
        return raw

    def list_view(self, raw: Raw) -> Raw:
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
        """The normalised task, of this `revision`; what has no known form is none.

        Raises PayloadError without an id.
        """

    @property
    def forms(self) -> Mapping[str, Form]:
        """By the names of this system's fields the form that their values have."""
        return {}

    def unknown_fields(self, raw: Raw) -> frozenset[str]:
        """The fields of `Task` that this JSON leaves open: what is known of them stays.

        `fields.value` is one of the fields in `Task.fields`, and `customer.opted_out` what is known
        of the same customer.
        """
        del raw
        return frozenset()

    def customers(self, raw: Raw) -> tuple[Customer, ...]:
        """All whom a task is for, where the system shows several in an order that means nothing."""
        del raw
        return ()

    def version(self, raw: Raw) -> datetime | None:
        """When the system itself last changed the task; None where it does not say."""
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
        """What this trimmed JSON, asked for or come in at that moment, says; raises as `parse`.

        `pushed` and `announced` are as in `Observation`.
        """
        task, forms = self.parse(raw), self.forms
        unread, untold = unread_in(raw, forms), self.unknown_fields(raw)
        if unread:
            untold = untold.union(*(forms[field].tells for field in unread))
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
        """A digest of what lists show of a trimmed task and what is kept: equal means unchanged."""
        return fingerprint(self.list_view(raw), self._salt)

    def _salted_with(self, people: bytes) -> bytes:
        # Where each task of a list has to be read by itself, what is kept anew comes with changes.
        if self.refetches:
            return b""
        return salt_of(self.revision, people, self.account.due_by)
