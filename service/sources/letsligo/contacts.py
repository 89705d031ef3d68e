"""The contacts of LetsLigo's tasks, which have to be read one by one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import structlog

from service.errors import SourceError, SourceRejected, SourceUnauthorized
from service.http.upstream import SystemClient
from service.sources.letsligo.reader import CONTACTS, kept_of_contact
from service.sources.reader import Raw
from service.sources.values import mapping

log = structlog.get_logger()

# How many contacts an account remembers and for how long: a name changes seldom.
CONTACTS_KEPT = 5000
CONTACT_KEPT_FOR = timedelta(hours=1)
# How long one is left alone that could not be read, and all after so many in a row could not.
CONTACTS_PAUSE = timedelta(minutes=1)
CONTACTS_TRIED = 3


@dataclass(frozen=True, slots=True)
class _Kept:
    """A contact, and when it was read."""

    contact: Raw
    read_at: datetime


class Contacts:
    """An account's contacts by id: cached for a while, and optional for their tasks.

    A contact that cannot be read is not requested again for a minute, and neither are all contacts
    after several failures in a row: otherwise every task would cost a time-out.
    """

    def __init__(self, upstream: SystemClient) -> None:
        self._upstream = upstream
        self._kept: dict[str, _Kept] = {}
        self._failed: dict[str, datetime] = {}
        self._failures = 0
        self._ask_again_at = upstream.clock.now()

    async def read(self, number: str) -> Raw | None:
        """The contact, which may have only its id; None if it cannot be read now."""
        kept, now = self._kept.get(number), self._upstream.clock.now()
        is_fresh = kept is not None and now - kept.read_at < CONTACT_KEPT_FOR
        if not is_fresh and now >= max(self._ask_again_at, self._failed.get(number, now)):
            try:
                kept = _Kept(await self._ask(number), now)
            except SourceError as error:
                self._leave_alone(number, error)
            else:
                self._keep(number, kept)
        return None if kept is None else kept.contact

    def _leave_alone(self, number: str, error: SourceError) -> None:
        now, self._failures = self._upstream.clock.now(), self._failures + 1
        self._failed = {one: until for one, until in self._failed.items() if until > now}
        self._failed[number] = now + CONTACTS_PAUSE
        if self._failures >= CONTACTS_TRIED or error.retry_after is not None:
            self._ask_again_at = now + CONTACTS_PAUSE
        log.warning("contact.unread", account=self._upstream.account, error=str(error))

    async def _ask(self, number: str) -> Raw:
        try:
            path = f"{CONTACTS}/{quote(number, safe='')}"
            answer = await self._upstream.request("GET", path)
        except (SourceUnauthorized, SourceRejected):
            answer = None  # gone, or not ours to see: asking again would not help
        return {**kept_of_contact(mapping(answer)), "id": number}

    def _keep(self, number: str, kept: _Kept) -> None:
        self._failures = 0
        self._kept.pop(number, None)
        self._kept[number] = kept
        if len(self._kept) > CONTACTS_KEPT:
            del self._kept[next(iter(self._kept))]
