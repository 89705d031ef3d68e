"""Rule actions that create, update, complete, reopen or delete a task in its own system."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from service.channels import Message, SentRef, SystemChannel
from service.domain.model import Task
from service.domain.system_actions import BARE, CLOCKS_DIFFER, CREATE, WRITES
from service.errors import PayloadError, SendError, SourceError
from service.sources import Source
from service.sources.reader import Raw
from service.sources.task_fields import may_be, shows


class WritesChannel(SystemChannel):
    """Built in as `create_task`, `update_task`, `complete_task`, `reopen_task` and `delete_task`.

    The message's `fields` have the names of the rule language. The receipt has the id of the
    written task. Before a write is retried, the system is checked for its result.
    """

    names: ClassVar[frozenset[str]] = WRITES
    finds: ClassVar[bool] = True
    needs_target: ClassVar[bool] = False
    reaches_people: ClassVar[bool] = False

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._adopted: dict[str, str] = {}  # by task the key of the message that has it

    async def send(self, message: Message) -> SentRef:
        if message.channel not in self._source.writes:
            account = self._source.account
            raise SendError(
                f"{account.name} ({account.system}) cannot {message.channel.replace('_', ' ')}s",
                permanent=True,
            )
        try:
            raw = await self._write(message)
        except SourceError as error:
            raise _failure(message.channel, error) from error
        return {"task": self._source.identify(raw) or message.task_id}

    async def find(self, message: Message) -> SentRef | None:
        try:
            if message.channel == CREATE:
                task_id = await self._find_made(message)
            else:
                task_id = await self._find_changed(message)
        except SourceError as error:
            raise SendError.from_source(error) from error
        return None if task_id is None else {"task": task_id}

    async def _write(self, message: Message) -> Raw:
        fields = message.fields or {}
        if message.channel == CREATE:
            return await self._source.create_task(fields)
        if message.channel == "update_task":
            return await self._source.update_task(message.task_id, fields)
        if message.channel == "delete_task":
            return await self._source.delete_task(message.task_id)
        if message.channel == "reopen_task":
            return await self._source.reopen_task(message.task_id)
        return await self._source.complete_task(message.task_id)

    async def _find_made(self, message: Message) -> str | None:
        """A matching task, created since, that no other delivery is known to have created."""
        since = message.at - CLOCKS_DIFFER
        async for page in self._source.find_similar(message.fields or {}, since):
            for task_id, raw in page.raws.items():
                if task_id not in message.others and self._is_made(raw, message, since):
                    owner = self._adopted.setdefault(task_id, message.key)
                    if owner == message.key:
                        return task_id
        return None

    def _is_made(self, raw: Raw, message: Message, since: datetime) -> bool:
        task = self._read(raw)
        if task is None or (task.created_at is not None and task.created_at < since):
            return False
        return may_be(task, message.fields or {})

    async def _find_changed(self, message: Message) -> str | None:
        raw = await self._source.fetch(message.task_id)
        if message.channel == "delete_task":
            return message.task_id if raw is None else None
        task = None if raw is None else self._read(raw)
        wanted: Mapping[str, Any] = message.fields or {}
        if message.channel in BARE:
            wanted = {"done": message.channel == "complete_task"}
        return message.task_id if task is not None and shows(task, wanted) else None

    def _read(self, raw: Raw) -> Task | None:
        """None for a task that cannot be read: it cannot be recognised either."""
        try:
            return self._source.parse(raw)
        except PayloadError:
            return None


def _failure(action: str, error: SourceError) -> SendError:
    failure = SendError.from_source(error)
    if action != CREATE:
        # The same change made twice is one change.
        failure.outcome_unknown = False
    return failure
