"""History: who did what, when and from where."""

from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.store.views import change_log
from service.store.views.change_log import Asked, Mark
from service.web.auth import actor_of
from service.web.parameters import cursor, is_text, read_cursor
from service.web.problems import Problem
from service.web.screens import Screen

_SHOWN = 50
_KNOWN = frozenset({"by", "day", "cursor"})


class History(Screen):
    """Everything that people have done, newest first."""

    path, words, place = "/audit", "History", 9

    def routes(self) -> list[Route]:
        return [Route(self.path, self.office.shown(self.show))]

    async def show(self, request: Request) -> Response:
        query = request.query_params
        try:
            asked, after = self._asked(request), _mark(query.get("cursor"))
        except Problem as problem:
            return self.office.render(
                "refused.html",
                problem.status_code,
                path=self.path,
                actor=actor_of(request),
                why=problem.detail,
            )
        found = await change_log.page(self.office.pool, asked, _SHOWN, after)
        names = await change_log.names(self.office.pool)
        users = [user.name for user in self.office.config.users.values()]
        return self.render(
            request,
            "history.html",
            rows=found.rows,
            newest=_address(query),
            older=None if found.next is None else _address(query, cursor=_cursor(found.next)),
            is_first=after is None,
            by=asked.by or "",
            day=query.get("day", ""),
            names=sorted({*names, *users, *([asked.by] if asked.by else ())}, key=str.casefold),
        )

    def _asked(self, request: Request) -> Asked:
        """What is looked for; a 400 Problem in words for a person. Empty fields ask nothing."""
        query = request.query_params
        by, day = query.get("by") or None, query.get("day")
        if not query.keys() <= _KNOWN or not is_text(by or ""):
            raise _wrong("The history can be filtered by person and day only")
        if not day:
            return Asked(by)
        zone = self.office.config.timezone
        try:
            begins = datetime.combine(date.fromisoformat(day), time(), zone)
            ends = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), zone)
            return Asked(by, begins.astimezone(UTC), ends.astimezone(UTC))
        except (ValueError, OverflowError):
            raise _wrong(f"{day[:20]} is not a day. Write for example 2026-03-06") from None


def _mark(text: str | None) -> Mark | None:
    if text is None:
        return None
    wrong = _wrong("This page of the history does not exist. Begin again from the newest entries")
    mark = read_cursor(text, [str, int])
    if mark is None:
        raise wrong
    try:
        return datetime.fromisoformat(str(mark[0])).astimezone(UTC), int(mark[1])
    except (ValueError, OverflowError):
        raise wrong from None


def _cursor(mark: Mark) -> str | None:
    return cursor((mark[0].isoformat(), mark[1]))


def _address(query: QueryParams, **more: Any) -> str:
    """The history with the filters of this query."""
    kept = {name: query[name] for name in ("by", "day") if query.get(name)}
    return f"{History.path}?{urlencode({**kept, **more})}".rstrip("?")


def _wrong(why: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, why)
