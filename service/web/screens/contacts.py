"""Customers who want no messages, and those who have agreed to get some."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.contacts import ContactKey, NotOneKeyError, key_named
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from service.web.actions import LONGEST_REASON
from service.web.auth import actor_of
from service.web.pages import read_form
from service.web.parameters import LARGEST_ID, is_text
from service.web.problems import Problem
from service.web.screens import Screen

_MOST = 100
_LONGEST_NAME = 320
_NAMES = ("address", "customer", "account")


class Contacts(Screen):
    """The list, a search in it, and a form to record what a customer wants."""

    path = "/silences"

    def routes(self) -> list[Route]:
        shown = self.office.shown
        return [
            Route("/contacts", shown(self.show), methods=["GET"]),
            Route("/contacts", shown(self.add), methods=["POST"]),
            *(
                Route(
                    f"/contacts/{{id:number}}/{way}",
                    shown(partial(self.change, wants=wants)),
                    methods=["POST"],
                )
                for way, wants in (("opt-in", True), ("opt-out", False))
            ),
        ]

    async def show(self, request: Request) -> Response:
        return await self._page(request, {})

    async def add(self, request: Request) -> Response:
        """Store what a customer has said; with a fault, the form is shown again."""
        form = {name: text.strip() for name, text in (await read_form(request)).items()}
        key = self._named(form)
        if isinstance(key, str):
            return await self._page(request, form, key)
        wants = form.get("wants") == "yes"
        await self._choose(request, key, wants=wants, note=form.get("note", ""))
        return self.office.pages.redirect("/contacts?show=agreed" if wants else "/contacts")

    async def change(self, request: Request, *, wants: bool) -> Response:
        """The customer of an entry has said something else since."""
        number = request.path_params["id"]
        pool = self.office.pool
        key = await contact_choices.key_of_number(pool, number) if number <= LARGEST_ID else None
        if key is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such entry")
        await self._choose(request, key, wants=wants, note="")
        return self.office.pages.redirect("/contacts" if wants else "/contacts?show=agreed")

    def _named(self, form: Mapping[str, str]) -> ContactKey | str:
        """Whom the form names, or what is wrong with it."""
        said = [form.get(name, "") for name in _NAMES]
        if not all(is_text(one, _LONGEST_NAME) for one in said):
            return f"At most {_LONGEST_NAME} characters on one line"
        if not is_text(form.get("note", ""), LONGEST_REASON):
            return f"Note: at most {LONGEST_REASON} characters on one line"
        try:
            key = key_named(*said)
        except NotOneKeyError as error:
            words = str(error)
            return words[:1].upper() + words[1:]
        if key.account and key.account not in self.office.config.accounts:
            return f"There is no account {key.account}"
        return key

    async def _choose(self, request: Request, key: ContactKey, *, wants: bool, note: str) -> None:
        await contact_choices.choose(
            self.office.pool,
            [key],
            wants=wants,
            by=actor_of(request),
            through=Through.PAGE,
            now=self.office.clock.now(),
            note=note,
        )

    async def _page(
        self, request: Request, form: Mapping[str, str], fault: str | None = None
    ) -> Response:
        query = request.query_params
        search = query.get("search", "")
        search = search if is_text(search, _LONGEST_NAME) else ""
        agreed = query.get("show") == "agreed"
        rows = await contact_choices.listed(
            self.office.pool, wants=agreed, containing=search, limit=_MOST
        )
        page = self.render(
            request,
            "contacts.html",
            rows=rows,
            most=_MOST,
            search=search,
            agreed=agreed,
            form=form,
            fault=fault,
            accounts=list(self.office.config.accounts),
            asks_first=self.office.config.rules.contacts.asks_first,
        )
        if fault is not None:
            page.status_code = HTTPStatus.BAD_REQUEST
        return page
