"""Coming up: what will be sent in the next day or week, and as a calendar to subscribe to."""

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import islice
from typing import Any

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.outbox import holds, storms
from service.store.views import api_lists, coming, dashboard
from service.store.views import messages as message_views
from service.web.auth import actor_of
from service.web.parameters import LARGEST_ID, cursor
from service.web.presenters.calendar_feed import calendar
from service.web.presenters.coming_up import Mark, Message, Outlook, by_hour, planned
from service.web.presenters.customer_messages import to_customers
from service.web.presenters.forecast import AHEAD
from service.web.problems import Problem, come_again
from service.web.screens import Screen

_SPANS = {"24h": timedelta(hours=24), "7d": AHEAD}
_KNOWN = frozenset({"within", "cursor", "too_late"})
_ON_PAGE = 50
_IN_CALENDAR = 1_000
_HELD = 25
_PATIENCE, _PATIENCE_OF_CALENDARS = 1.0, 4.0  # seconds
_CALENDAR = "coming.ics"


class Coming(Screen):
    """What is planned, and what comes if nothing changes."""

    path, words, place = "/coming", "Coming up", 2

    def routes(self) -> list[Route]:
        feed = self.office.pages.for_people(self.feed)
        return [Route(self.path, self.office.shown(self.show)), Route("/coming.ics", feed)]

    async def show(self, request: Request) -> Response:
        try:
            within, after = _asked(request)
        except Problem as problem:
            return self.office.render(
                "refused.html", problem.status_code, path=self.path, why=problem.detail
            )
        found = await self.office.forecast.latest(_PATIENCE)
        now = self.office.clock.now()
        until = now + _SPANS[within]
        messages = await self._messages(found, until, _ON_PAGE + 1, after)
        persons = await self._for_persons()
        shown = [*messages[:_ON_PAGE], *persons["asking"]]
        return self.render(
            request,
            "coming.html",
            within=within,
            until=until,
            days=by_hour(messages[:_ON_PAGE], self.office.config.timezone, now),
            is_first=after is None,
            next=cursor(_text(messages[_ON_PAGE - 1].mark)) if messages[_ON_PAGE:] else None,
            forecast=found,
            limited=found is not None and found.until < min(until, found.now + AHEAD),
            too_late="too_late" in request.query_params,
            calendar=self._address(request),
            to_customers=await self._to_customers(shown),
            **persons,
        )

    async def feed(self, request: Request) -> Response:
        """The next seven days as iCalendar, for anyone with the secret address."""
        self.office.guard.admit_by_key(request, _CALENDAR)
        found = await self.office.forecast.latest(_PATIENCE_OF_CALENDARS)
        if found is None:
            raise come_again(HTTPStatus.SERVICE_UNAVAILABLE, "This is still being calculated")
        now = self.office.clock.now()
        messages = await self._messages(found, now + AHEAD, _IN_CALENDAR, None)
        text = await asyncio.to_thread(calendar, messages, now, self._page(request))
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(text, headers=headers, media_type="text/calendar; charset=utf-8")

    async def _messages(
        self, found: Outlook | None, until: datetime, limit: int, after: Mark | None
    ) -> list[Message]:
        """The first of what comes by then, after a mark; what is planned is read anew."""
        place = None if after is None else (after[0], LARGEST_ID if after[1] else after[2])
        rows = await coming.planned(self.office.pool, until, limit, place)
        messages = planned(rows, found)
        if found is not None:
            now = self.office.clock.now()
            messages += islice(found.between(now, until, after), limit)
        return sorted(messages, key=lambda one: one.mark)[:limit]

    async def _to_customers(self, shown: Sequence[Message | asyncpg.Record]) -> frozenset[int]:
        """The numbers of those that reach a customer."""
        pool = self.office.pool
        found = (one.id if isinstance(one, Message) else one["id"] for one in shown)
        numbers = [number for number in found if number is not None]
        rows = await message_views.receivers(pool, numbers)
        return to_customers(rows, await message_views.tasks_of(pool, numbers))

    async def _for_persons(self) -> dict[str, Any]:
        """What does not go out until somebody decides, and what accounts are paused."""
        pool, now = self.office.pool, self.office.clock.now()
        accounts = await api_lists.read_accounts(pool, now, list(self.office.config.accounts))
        return {
            "asking": await dashboard.asking(pool, _HELD + 1),
            "storms": await storms.read(pool),
            "holds": await holds.read(pool, now),
            "most": _HELD,
            "paused": {one["id"] for one in accounts if one["state"] == "paused"},
        }

    def _page(self, request: Request) -> str:
        """The address of Taskbell's page, as it is configured or was asked for."""
        guard = self.office.guard
        own = f"{request.url.scheme}://{request.url.netloc}"
        return (guard.url or own).rstrip("/")

    def _address(self, request: Request) -> str:
        """Where the calendar is: the secret address."""
        guard = self.office.guard
        key = f"?key={guard.signed(_CALENDAR, actor_of(request))}" if guard.has_login else ""
        return f"{self._page(request)}/coming.ics{key}"


def _asked(request: Request) -> tuple[str, Mark | None]:
    """The time ahead and the mark; a 400 Problem in words for a person."""
    query = request.query_params
    within = query.get("within", "24h")
    if within not in _SPANS or not query.keys() <= _KNOWN:
        raise _wrong("Coming up shows the next 24 hours or the next 7 days. Choose one of these")
    if "cursor" not in query:
        return within, None
    return within, _mark(query["cursor"])


def _mark(text: str) -> Mark:
    wrong = _wrong("This page of the list does not exist. Begin again from the first")
    try:
        at, source, number = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        moment = datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise wrong from None
    if type(source) is int and type(number) is int and 0 <= number <= LARGEST_ID:
        return moment, source, number
    raise wrong


def _text(mark: Mark) -> tuple[str | int, ...]:
    at, source, number = mark
    return at.isoformat(), source, number


def _wrong(why: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, why)
