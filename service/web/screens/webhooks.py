"""The webhook log: what came in, what became of it, and what to do with what was not read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from json import JSONEncoder
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.json_body import aside, decoded
from service.store.views import webhook_log
from service.store.views.listing import Row
from service.web.parameters import LARGEST_ID, cursor, demand_choice, read_parameters
from service.web.presenters.told_tasks import told_tasks
from service.web.presenters.webhook_body import masked
from service.web.problems import Problem
from service.web.screens import Screen

_LONGEST_BODY = 20_000  # characters
_MOST_TASKS = 50
_NUMBER = re.compile(r"[0-9]{1,19}")
# They reorder what is around them, so that a text reads as it is not.
_REORDERING = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_ENCODER = JSONEncoder(indent=2, ensure_ascii=False)
STATES = {
    "done": "done",
    "waiting": "waiting",
    "unread": "could not be read",
    "ignored": "ignored",
}


class Webhooks(Screen):
    """Each receipt; it is reached from Connections."""

    path = "/webhooks"

    def routes(self) -> list[Route]:
        return [
            Route(self.path, self.office.shown(self.show)),
            Route(f"{self.path}/{{id}}", self.office.shown(self.show_one)),
        ]

    async def show(self, request: Request) -> Response:
        asked = read_parameters(_said(request.query_params), webhook_log.LOG)
        values = dict(asked.values)
        if "account" in values:
            demand_choice("account", values["account"], self.office.config.accounts)
        before = webhook_log.LARGEST if asked.after is None else int(asked.after[0])
        page = await webhook_log.page(self.office.pool, values, asked.limit, before)
        return self.render(
            request,
            "webhooks.html",
            too_late="too_late" in request.query_params,
            accounts=list(self.office.config.accounts),
            states=STATES,
            asked=values,
            rows=page.rows,
            is_first=asked.after is None,
            newest=_address(values),
            older=None if page.next is None else _address(values, cursor=cursor(page.next)),
        )

    async def show_one(self, request: Request) -> Response:
        """The webhook with this number; 404 for anything that is not the number of one."""
        number = request.path_params["id"]
        found = None
        if _NUMBER.fullmatch(number) and int(number) <= LARGEST_ID:
            found = await webhook_log.one(self.office.pool, int(number))
        if found is None:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "There is no webhook with this number. Old webhooks are deleted after a while",
            )
        return self.render(
            request,
            "webhook.html",
            too_late="too_late" in request.query_params,
            one=found,
            states=STATES,
            body=await aside(found["size"], _pretty, found["body"]),
            longest=_LONGEST_BODY,
            headers=orjson.loads(found["headers"]),
            **await self._told(found),
        )

    async def _told(self, receipt: Row) -> dict[str, Any]:
        """The tasks that a webhook tells of, and what happened to them because of it."""
        office, account = self.office, receipt["account"]
        options = office.config.accounts.get(account)
        tasks = (
            await aside(
                receipt["size"],
                told_tasks,
                options,
                office.clock,
                receipt["body"],
                _MOST_TASKS,
            )
            if options is not None
            else []
        )
        if not tasks:
            return {"tasks": [], "titles": {}, "changes": []}
        until = receipt["settled_at"] or office.clock.now()
        return {
            "tasks": tasks,
            "titles": await webhook_log.titles(office.pool, account, tasks),
            "changes": await webhook_log.changes(
                office.pool, account, tasks, receipt["received_at"], until
            ),
        }


def _said(query: QueryParams) -> QueryParams:
    """What a form asks for: what it leaves empty is not asked, and `too_late` is no filter."""
    return QueryParams(
        [(name, text) for name, text in query.multi_items() if text and name != "too_late"]
    )


def _address(values: Mapping[str, Any], **more: Any) -> str:
    query = urlencode({**values, **more})
    return f"{Webhooks.path}?{query}" if query else Webhooks.path


def _pretty(body: bytes) -> str:
    """The beginning of the body, indented; what would reorder a text on a screen is written out.

    It has one character more than are shown, if there is more.
    """
    text = "".join(_up_to(_LONGEST_BODY + 1, _ENCODER.iterencode(masked(decoded(body)))))
    whole = text.encode("utf-8", "replace").decode()
    return _REORDERING.sub(lambda found: f"\\u{ord(found[0]):04x}", whole)


def _up_to(characters: int, parts: Iterable[str]) -> Iterator[str]:
    """The first of these parts; deeply nested JSON grows a hundredfold as it is indented."""
    for part in parts:
        yield part[:characters]
        characters -= len(part)
        if characters <= 0:
            return
