"""What customers chose, in the API: the list is read as any other, and this adds to it."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.domain.contacts import ContactKey, NotOneKeyError, key_named
from service.store import Pool
from service.store.account_actions import NoSuchAccount
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from service.store.views import api_lists, listing
from service.web.actions import LONGEST_REASON
from service.web.api.answers import answer, found, said
from service.web.auth import Guard, actor_of
from service.web.parameters import is_text, wrong
from service.web.problems import Problem

LONGEST_NAME = 320  # characters, as many as a mail address may have
WHO = (("address",), ("customer", "account"))
"""The fields that name a customer, in one way or the other."""
WAYS = {"opt-out": False, "opt-in": True}
"""Whether the customer wants messages, by the end of the path."""


class ContactChoices:
    """Records that a customer wants messages or none."""

    def __init__(self, pool: Pool, clock: Clock, guard: Guard) -> None:
        self._pool = pool
        self._clock = clock
        self._guard = guard

    def routes(self) -> list[Route]:
        return [
            Route(
                f"/api/v1/contacts/{way}",
                self._guard.protects(partial(self._choose, wants=wants)),
                methods=["POST"],
            )
            for way, wants in WAYS.items()
        ]

    async def _choose(self, request: Request, *, wants: bool) -> Response:
        """Store the choice, and return it."""
        key, note = _read(await said(request))
        by, now = actor_of(request), self._clock.now()
        try:
            await contact_choices.demand_account(self._pool, key)
        except NoSuchAccount as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error
        await contact_choices.choose(
            self._pool, [key], wants=wants, by=by, through=Through.API, now=now, note=note
        )
        number = await contact_choices.number_of(self._pool, key)
        return answer(found(await listing.read_one(self._pool, api_lists.CONTACTS, number)))


def _read(said: Mapping[str, Any]) -> tuple[ContactKey, str]:
    """The key and the note; raises a Problem that names what is wrong."""
    named = {name for name in said if name != "note"}
    if named not in map(set, WHO):
        why = "Send either address, or customer and account; note is optional"
        raise Problem(HTTPStatus.BAD_REQUEST, why)
    who = {name: _text(said[name], name, LONGEST_NAME) for name in named}
    for name in named:
        if not who[name]:
            raise wrong(name, "something that is not blank")
    note = _text(said.get("note") or "", "note", LONGEST_REASON)
    try:
        key = key_named(*(who.get(name, "") for name in ("address", "customer", "account")))
    except NotOneKeyError as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error
    return key, note


def _text(text: Any, name: str, longest: int) -> str:
    if not isinstance(text, str) or not is_text(text, longest):
        raise wrong(name, f"up to {longest} characters on one line")
    return text.strip()
