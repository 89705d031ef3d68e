"""The buttons of the screens; each leads back to its screen."""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.actors import Actor
from service.domain.model import Person
from service.domain.operators.buttons import WORDS, Button, snoozed_until
from service.store.views import messages
from service.web.actions import (
    DELIVERY_ACTIONS,
    STORM_ACTIONS,
    WEBHOOK_ACTIONS,
    action_routes,
)
from service.web.auth import Endpoint, actor_of
from service.web.office import Office
from service.web.pages import read_form
from service.web.parameters import LARGEST_ID, wrong
from service.web.presenters.silence_form import read_length
from service.web.problems import Problem

_DIGITS = 9  # of a number in a form


class Buttons:
    """Operator actions on messages, webhooks, storms, silences, holds, tasks and rules."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._actions = office.actions
        self._tasks = office.actions.tasks

    def routes(self) -> list[Route]:
        end_silence = self._protected(self.end_silence)
        return [
            *action_routes(self._protected, "/deliveries", self.decide, DELIVERY_ACTIONS),
            Route("/deliveries/{id:number}/snooze", self._protected(self.snooze), methods=["POST"]),
            *action_routes(self._protected, "/webhooks", self.decide_on_webhook, WEBHOOK_ACTIONS),
            *action_routes(self._protected, "/storms", self.end_storm, STORM_ACTIONS),
            Route("/silences/{id:number}/expire", end_silence, methods=["POST"]),
            Route("/holds", self._protected(self.hold), methods=["POST"]),
            Route(
                "/holds/{id:number}/release",
                self._protected(self.release_hold),
                methods=["POST"],
            ),
            Route(
                "/tasks/{account}/{id:path}/acknowledge",
                self._protected(self.acknowledge),
                methods=["POST"],
            ),
            Route(
                "/tasks/{account}/{id:path}/assign", self._protected(self.assign), methods=["POST"]
            ),
            Route(
                "/tasks/{account}/{id:path}/complete",
                self._protected(self.complete),
                methods=["POST"],
            ),
            Route("/rules/{id}/mode", self._protected(self.switch_rule), methods=["POST"]),
        ]

    async def decide(self, action: str, request: Request) -> Response:
        form = await read_form(request)
        number, by = request.path_params["id"], actor_of(request)
        done = self._actions.act(action, number, _said(form), by, can_be_undone=True)
        return await self._decided(done, form)

    async def decide_on_webhook(self, action: str, request: Request) -> Response:
        form = await read_form(request)
        done = self._actions.act_on_webhook(action, request.path_params["id"], actor_of(request))
        return await self._decided(done, form)

    async def end_storm(self, action: str, request: Request) -> Response:
        form = await read_form(request)
        ended = self._actions.end_storm(action, request.path_params["id"], actor_of(request))
        return await self._decided(ended, form)

    async def end_silence(self, request: Request) -> Response:
        form = await read_form(request)
        ended = self._actions.end_silence(request.path_params["id"], actor_of(request))
        return await self._decided(ended, form)

    async def hold(self, request: Request) -> Response:
        form, office = await read_form(request), self._office
        try:
            until, why = read_length(form, office.config.timezone, office.clock.now())
        except ValueError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error
        return await self._decided(self._actions.hold(until, why, actor_of(request)), form)

    async def release_hold(self, request: Request) -> Response:
        form = await read_form(request)
        released = self._actions.release_hold(request.path_params["id"], actor_of(request))
        return await self._decided(released, form)

    async def switch_rule(self, request: Request) -> Response:
        form = await read_form(request)
        said = _said(form) | {"mode": form.get("mode")}
        rule, text = request.path_params["id"], self._office.config.text
        switched = self._actions.switch_rule(rule, text, said, actor_of(request))
        return await self._decided(switched, form)

    async def acknowledge(self, request: Request) -> Response:
        form, by = await read_form(request), actor_of(request)
        key = request.path_params["account"], request.path_params["id"]
        return await self._decided(self._tasks.acknowledge(key, Person(name=by.name), by), form)

    async def assign(self, request: Request) -> Response:
        form, by = await read_form(request), actor_of(request)
        key = request.path_params["account"], request.path_params["id"]
        return await self._decided(self._tasks.assign(key, form.get("assignee", ""), by), form)

    async def complete(self, request: Request) -> Response:
        form, by = await read_form(request), actor_of(request)
        key = request.path_params["account"], request.path_params["id"]
        return await self._decided(self._tasks.complete(key, by), form)

    async def snooze(self, request: Request) -> Response:
        form, number = await read_form(request), request.path_params["id"]
        button = form.get("again", "")
        if button not in WORDS["snooze"]:
            raise wrong("again", " or ".join(WORDS["snooze"]))
        return await self._decided(self._snoozed(number, Button(button), actor_of(request)), form)

    async def _snoozed(self, number: int, button: Button, by: Actor) -> None:
        """Have a message sent again at the time that its own button says."""
        office = self._office
        account = await messages.account_of(office.pool, min(number, LARGEST_ID))
        zone = office.config.zones.get(account or "", office.config.timezone)
        await self._tasks.snooze(number, snoozed_until(button, office.clock.now(), zone), by)

    def _protected(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for logged-in users; another browser is redirected to the login."""
        return self._office.pages.for_people(self._office.guard.protects(endpoint))

    async def _decided(self, action: Awaitable[object], form: Mapping[str, str]) -> Response:
        return await self._office.unless_away(self._back(action, _place(form)))

    async def _back(self, action: Awaitable[object], place: str) -> Response:
        """Back to the screen; it says so if the action had already been taken."""
        try:
            await action
        except Problem as problem:
            if problem.status_code != HTTPStatus.CONFLICT:
                raise
            sign = "&" if "?" in place else "?"
            return self._office.pages.redirect(f"{place}{sign}too_late")
        return self._office.pages.redirect(place)


def _said(form: Mapping[str, str]) -> dict[str, Any]:
    """The other fields of the form, for `OperatorActions.act`."""
    said: dict[str, Any] = {}
    if "arrived" in form:
        said["arrived"] = form["arrived"] == "yes"
    if form.get("attempts", "")[:_DIGITS].isdecimal():
        said["attempts"] = int(form["attempts"][:_DIGITS])
    if form.get("reason"):
        said["reason"] = form["reason"]
    return said


def _place(form: Mapping[str, str]) -> str:
    """The screen of the button; an address outside Taskbell is not followed."""
    back = form.get("back", "/")
    parts = urlsplit(back)
    is_ours = back.startswith("/") and not back.startswith(("//", "/\\")) and not parts.netloc
    return back if is_ours and back.isprintable() and back.isascii() else "/"
