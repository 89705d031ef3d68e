"""Messages: what was sent, is still to be sent or was not, to look through; and each by itself."""

from http import HTTPStatus
from typing import Any

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.channels import ways
from service.store.views import message_search, messages
from service.store.views.message_search import Found
from service.web.auth import actor_of
from service.web.parameters import LARGEST_ID
from service.web.presenters.customer_messages import to_customers
from service.web.presenters.field_changes import changes
from service.web.presenters.message_form import STATES, MessageForm, read_message_form
from service.web.screens import Screen

_SHOWN = 25
_BESIDE = 20  # other messages because of the same event
_ATTEMPTS = 50


class Messages(Screen):
    """The list with its form, and the screen of one message."""

    path, words, place = "/messages", "Messages", 3

    def routes(self) -> list[Route]:
        return [
            Route(self.path, self.office.shown(self.show)),
            Route(f"{self.path}/{{id}}", self.office.shown(self.show_one)),
        ]

    async def show(self, request: Request) -> Response:
        config = self.office.config
        form = read_message_form(request.query_params, config.timezone, config.zones)
        return self.office.render(
            "messages.html",
            HTTPStatus.BAD_REQUEST if form.faults else HTTPStatus.OK,
            path=self.path,
            actor=actor_of(request),
            here=form.here,
            too_late="too_late" in request.query_params,
            form=form,
            states=STATES,
            channels=self._channels(form),
            accounts=self._accounts(form),
            rules=sorted({*config.rules.ids, *(one.id for one in config.off)}),
            found=Found() if form.faults else await self._found(form),
        )

    async def show_one(self, request: Request) -> Response:
        """A message; of a number that none has, a page that says so."""
        named = request.path_params["id"]
        number = _number(named)
        one = None if number is None else await messages.read(self.office.pool, number)
        if one is None:
            page = {"path": self.path, "actor": actor_of(request), "named": named}
            return self.office.render("no_message.html", HTTPStatus.NOT_FOUND, **page)
        return self.office.render(
            "message.html",
            path=self.path,
            actor=actor_of(request),
            here=f"{self.path}/{one['id']}",
            too_late="too_late" in request.query_params,
            one=one,
            fields=_fields(one["fields"]),
            **await self._behind(one),
        )

    async def _found(self, form: MessageForm) -> Found:
        return await message_search.find(
            self.office.pool, form.search, _SHOWN, form.mark, forward=form.forward
        )

    async def _behind(self, one: asyncpg.Record) -> dict[str, Any]:
        """The event behind a message, and what else came of it."""
        pool, config, number = self.office.pool, self.office.config, one["id"]
        zone = config.zones.get(one["account"], config.timezone)
        event = await messages.read_event(pool, number)
        return {
            "to_customers": to_customers([one], await messages.tasks_of(pool, [number])),
            "event": event,
            "changes": [] if event is None else changes(event, zone, config.timezone),
            "beside": await messages.beside(pool, number, _BESIDE),
            "attempts": await messages.attempts(pool, number, _ATTEMPTS),
        }

    def _channels(self, form: MessageForm) -> list[str]:
        """Those to choose from, and one that is asked for and not configured any more."""
        asked = form.fields["channel"]
        return sorted({*ways(self.office.config.kinds), *([asked] if asked else ())})

    def _accounts(self, form: MessageForm) -> list[str]:
        asked = form.fields["account"]
        return sorted({*self.office.config.accounts, *([asked] if asked else ())})


def _number(text: str) -> int | None:
    """The number of a message, if it can be one."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID))
    return int(text) if is_number and int(text) <= LARGEST_ID else None


def _fields(stored: str | None) -> dict[str, str]:
    """What a message has beside its text, such as the fields of a task that it creates."""
    fields = {} if stored is None else orjson.loads(stored)
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in fields.items()
    }
