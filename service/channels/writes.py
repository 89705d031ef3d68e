"""Writing back: actions of rules that make, change or complete a task in its own system."""

from typing import ClassVar

from service.actions import CREATE, WRITES
from service.channels import Message, Receipt, SystemChannel
from service.errors import SendError, SourceError
from service.sources import Raw


class WritesChannel(SystemChannel):
    """Built in as `update_task` and `complete_task`: what is done twice is done once.

    The message's `fields` are in the words of the rule language. The receipt holds the id of the
    task that was written.
    """

    names: ClassVar[frozenset[str]] = WRITES - {CREATE}
    needs_target: ClassVar[bool] = False

    async def send(self, message: Message) -> Receipt:
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
        return {"task": self._source.identify(raw)}

    async def _write(self, message: Message) -> Raw:
        fields = message.fields or {}
        if message.channel == CREATE:
            return await self._source.create_task(fields)
        if message.channel == "update_task":
            return await self._source.update_task(message.task_id, fields)
        return await self._source.complete_task(message.task_id)


class CreatesChannel(WritesChannel):
    """Built in as `create_task`: what is done twice is two tasks."""

    names: ClassVar[frozenset[str]] = frozenset({CREATE})
    at_most_once: ClassVar[bool] = True


def _failure(action: str, error: SourceError) -> SendError:
    failure = SendError.from_source(error)
    if action != CREATE:
        # The same change made twice is one change, so it may simply be made again.
        failure.outcome_unknown = False
    return failure
