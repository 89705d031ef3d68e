"""LetsLigo: a CRM on API Platform; its tasks are read-only, and its lists show part of them.

Sources: the vendor's page on /api/contact_tasks, provided by the user, its public pages on contacts
and workspaces, and API Platform's documentation on paging. Inferred details are options of
`LetsLigoAccount`.
"""

from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import structlog

from service.errors import SourceBroken
from service.http.upstream import SystemClient
from service.sources import Page, Source
from service.sources.account import Account
from service.sources.facts import Facts, Words, inside
from service.sources.guide import POLLED, Guide
from service.sources.letsligo.account import LetsLigoAccount
from service.sources.letsligo.contacts import Contacts
from service.sources.letsligo.reader import TASKS, LetsLigoReader, hydra
from service.sources.pagination import Reading, by_id
from service.sources.reader import Raw
from service.sources.values import mapping, tally

log = structlog.get_logger()

PER_PAGE = 30

_TYPES = ("call", "email", "meeting", "follow_up", "proposal", "quote", "other")


class LetsLigo(LetsLigoReader, Source):
    """One LetsLigo account.

    A task's contact is an IRI; it is replaced by the contact's own JSON once that was read.
    """

    title: ClassVar[str] = "LetsLigo"
    options: ClassVar[type[Account]] = LetsLigoAccount
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "description", "type", "done", "due", "completed_at", "fields"})
        | {"due_is_day", "completed_at_is_day"}
        | inside("customer", "id", "name", "email", "phone", "fields"),
        words={"type": Words(frozenset(_TYPES))},
    )
    guide: ClassVar[Guide] = Guide(
        credential="The token under Developer in the settings of your workspace.",
        base_url="https://www.letsligo.com",
        company="Short name of the workspace, only if the token opens several",
        webhook=POLLED,
    )

    def __init__(self, account: LetsLigoAccount, upstream: SystemClient) -> None:
        super().__init__(account, upstream)
        self._contacts = Contacts(upstream)
        self._page_size = account.per_page or PER_PAGE
        self._ended: tuple[int, int] | None = None

    async def scan(self) -> AsyncIterator[Page]:
        reading, read, asked = Reading(self), 0, self._page(1)
        for next_number in count(2):
            requested_at = self.upstream.clock.now()
            answer = await self.upstream.request("GET", TASKS, params=asked)
            rows = reading.rows(answer)
            is_again = reading.is_again(rows)
            raws, read = await reading.tasks(rows), read + (0 if is_again else len(rows))
            total = tally(hydra(mapping(answer), "totalItems"))
            yield Page(raws, requested_at, reading.nameless, total)
            following = self._following(
                mapping(answer), next_number, read, len(rows), is_again=is_again
            )
            if following is None:
                return
            asked = following

    async def enrich(self, raw: Raw) -> Raw | None:
        if self.refetches:
            return await self.fetch(raw["id"])
        return await self._introduce(raw)

    async def fetch(self, task_id: str) -> Raw | None:
        raw = await by_id(self, task_id, f"{TASKS}/{quote(task_id, safe='')}")
        return None if raw is None else await self._introduce(raw)

    async def _introduce(self, raw: Raw) -> Raw:
        """The task with its contact's name and addresses, if they can be read now."""
        number = mapping(raw["contact"]).get("id")
        if number is None:
            return raw
        contact = await self._contacts.read(number)
        return {**raw, "contact": contact or {"id": number, "unread": True}}

    def _page(self, number: int) -> dict[str, str | int]:
        per_page = self.account.per_page
        return {"page": number} if per_page is None else {"page": number, "itemsPerPage": per_page}

    def _following(
        self, answer: Mapping[str, Any], number: int, read: int, rows: int, *, is_again: bool
    ) -> dict[str, str | int] | None:
        """The next request; None at the end. Raises SourceBroken if the list ended too early.

        A link to the next page decides, if there is one, except on an empty page, or on a short
        page that is repeated: some servers always include it. Otherwise the total decides, if it is
        more than a page: some servers count only the page, or include tasks that the token cannot
        see.
        """
        view, total = mapping(hydra(answer, "view")), tally(hydra(answer, "totalItems"))
        is_full = rows == self._page_size
        is_end = not rows or (is_again and (not is_full or read == total))
        link = hydra(view, "next")
        if link is not None and not (is_end and is_again):
            return _asked_by(link) or self._page(number)
        if total is None or (read == total and (view or not is_full)):
            return None if is_end or view or read == total else self._page(number)
        if not is_end or not (is_again or read == total):
            return self._page(number)
        if read != total:
            self._demand_whole(read, total)
        return None

    def _demand_whole(self, read: int, total: int) -> None:
        """Raise SourceBroken for a list that ended too early after a full page, or an empty one.

        If it ends there again, the total includes tasks that the token cannot see.
        """
        is_known, self._ended = self._ended == (read, total), (read, total)
        if read < total and read % self._page_size == 0 and not (read and is_known):
            raise SourceBroken(
                f"{self.account.name}: the list of tasks ended after {read} of {total}"
            )
        log.warning("list.wrong_total", account=self.account.name, read=read, total=total)


def _asked_by(link: Any) -> dict[str, str | int]:
    """The query parameters of a link to the next page; empty if it has none.

    Its host does not matter: behind a proxy, a system knows neither its scheme nor its port.
    """
    try:
        return dict(httpx.URL(link).params)
    except (TypeError, httpx.InvalidURL):
        return {}
