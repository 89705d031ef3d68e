"""Notifications sent by the account's own system to customers or employees."""

from typing import ClassVar

from service.channels import Message, SentRef, SystemChannel
from service.domain.system_actions import NOTIFICATIONS
from service.errors import SendError, SourceError


class CustomerChannel(SystemChannel):
    """Built in as `customer` and `employee`: the account's system sends the notification.

    A customer message's target is the notification (`on_the_way`, `details`); the employee's has
    none. The call has no idempotency key and reaches a real person.
    """

    names: ClassVar[frozenset[str]] = NOTIFICATIONS
    at_most_once: ClassVar[bool] = True

    async def send(self, message: Message) -> SentRef:
        notification = message.target or message.channel
        if notification not in self._source.notifications:
            raise SendError(self._unknown(notification), permanent=True)
        try:
            await self._source.notify(message.task_id, notification)
        except SourceError as error:
            raise SendError.from_source(error) from error
        return {}

    def _unknown(self, notification: str) -> str:
        account = self._source.account
        known = ", ".join(sorted(self._source.notifications)) or "none"
        return (
            f"{account.name} ({account.system}) has no message called {notification!r}; "
            f"it has: {known}"
        )
