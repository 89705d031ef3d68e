"""Messages: what was sent, is still to be sent or was not, to look through; and each by itself."""

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.channels import ways
from service.domain.operators.buttons import LABELS as BUTTONS
from service.domain.operators.buttons import WORDS, Button
from service.outbox.operator_actions import MOST_AT_ONCE, BulkAction, snoozing
from service.store.views import dashboard, message_search, messages
from service.store.views.message_search import Found
from service.web.actions import Matching
from service.web.auth import Endpoint, actor_of
from service.web.pages import read_form
from service.web.parameters import LARGEST_ID
from service.web.presenters.customer_messages import to_customers
from service.web.presenters.field_changes import changes
from service.web.presenters.message_form import (
    LABELS,
    STATES,
    MessageForm,
    read_message_form,
)
from service.web.problems import Problem
from service.web.screens import Screen

_SHOWN = 25
_BESIDE = 20  # other messages because of the same event
_ATTEMPTS = 50
_FIRST = 50  # of the messages to which something is done at once


class Messages(Screen):
    """The list with its form, and the screen of one message."""

    path, words, place = "/messages", "Messages", 3

    def routes(self) -> list[Route]:
        return [
            Route(self.path, self.office.shown(self.show)),
            Route(f"{self.path}/bulk/{{action}}", self.office.shown(self.preview)),
            Route(f"{self.path}/bulk/{{action}}", self._protected(self.act), methods=["POST"]),
            Route(f"{self.path}/{{id}}", self.office.shown(self.show_one)),
        ]

    async def show(self, request: Request) -> Response:
        config, form = self.office.config, self._form(request)
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

    async def preview(self, request: Request) -> Response:
        """To how many messages it would be done, and which come first. Nothing is done yet."""
        return await self._preview(request, _action(request), self._form(request))

    async def act(self, request: Request) -> Response:
        """Do it, if the messages are as many as were shown; otherwise show them again."""
        action, form, said = _action(request), self._form(request), await read_form(request)
        if form.faults:  # what it asks for is not what would be done
            return await self._preview(request, action, form)
        count = said.get("count", "")
        shown = int(count) if count.isdecimal() and len(count) <= len(str(MOST_AT_ONCE)) else -1
        try:
            await self.office.actions.act_on_all(action, form.search, shown, actor_of(request))
        except Problem as problem:
            return await self._preview(request, action, form, problem.detail)
        return self.office.pages.redirect(form.address())

    def _form(self, request: Request) -> MessageForm:
        config = self.office.config
        return read_message_form(request.query_params, config.timezone, config.zones)

    async def _preview(
        self, request: Request, action: BulkAction, form: MessageForm, why: str = ""
    ) -> Response:
        found = Matching([], frozenset())
        try:
            if not form.faults:
                found = await self.office.actions.matching(action, form.search)
        except Problem as problem:
            why = problem.detail
        status = HTTPStatus.BAD_REQUEST if form.faults else HTTPStatus.CONFLICT
        first = list(found.numbers[:_FIRST])
        return self.office.render(
            "messages_bulk.html",
            status if form.faults or why else HTTPStatus.OK,
            path=self.path,
            actor=actor_of(request),
            action=action,
            form=form,
            labels=_labels(form),
            why=why,
            found=found,
            messages=await dashboard.numbered(self.office.pool, first),
        )

    def _protected(self, endpoint: Callable[[Request], Coroutine[Any, Any, Response]]) -> Endpoint:
        """The endpoint for logged-in users; another browser is redirected to the login."""

        async def answered(request: Request) -> Response:
            return await self.office.unless_away(endpoint(request))

        return self.office.pages.for_people(self.office.guard.protects(answered))

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
            labels=BUTTONS,
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
            "again": await self._again(number),
        }

    async def _again(self, number: int) -> Sequence[Button]:
        """The buttons that have a message sent again later, if it can be."""
        async with self.office.pool.acquire() as connection:
            refused = await snoozing.refusal(connection, number)
        return WORDS["snooze"] if refused is None else ()

    def _channels(self, form: MessageForm) -> list[str]:
        """Those to choose from, and one that is asked for and not configured any more."""
        asked = form.fields["channel"]
        return sorted({*ways(self.office.config.kinds), *([asked] if asked else ())})

    def _accounts(self, form: MessageForm) -> list[str]:
        asked = form.fields["account"]
        return sorted({*self.office.config.accounts, *([asked] if asked else ())})


def _action(request: Request) -> BulkAction:
    try:
        return BulkAction(request.path_params["action"])
    except ValueError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "There is nothing at this address") from error


def _labels(form: MessageForm) -> dict[str, str]:
    """What the form asks for, by the labels of its fields."""
    asked = {LABELS[name]: text for name, text in form.fields.items() if text}
    return asked | {LABELS["state"]: STATES.get(form.fields["state"], "any")}


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
