"""The page behind the link by which customers end all messages to them.

The link itself authorises its receiver. Opening the page changes nothing, for programs that check
mail open all links; a POST does. Mail programs send one by themselves for their own button
(RFC 8058): it has no session and no form of ours. A link may be used any number of times.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.domain.actors import Actor
from service.domain.contacts import KeyKind, Keys
from service.rules.contacts.unsubscribe_links import PATH, UnsubscribeLinks
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from service.web.auth import Guard, address_of
from service.web.pages import Pages
from service.web.problems import Problem

_NOT_VALID = (
    "This link is not valid: it is incomplete, or too old. Answer the message instead, or call the"
    " company, and say that you want no more messages."
)
_CUSTOMER = "the customer, by the link in a message"


class UnsubscribePage:
    """Asks, and ends all messages to the person whose link it is."""

    def __init__(
        self, pool: Pool, clock: Clock, guard: Guard, links: UnsubscribeLinks, pages: Pages
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._guard = guard
        self._links = links
        self._pages = pages

    def routes(self) -> list[Route]:
        path = f"{PATH}/{{link}}"
        return [
            Route(path, self._pages.for_people(self.show), methods=["GET"]),
            Route(path, self._pages.for_people(self.end), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The question; nothing is changed."""
        return self._page(self._admitted(request), is_over=False)

    async def end(self, request: Request) -> Response:
        """End all messages, unless that was done before."""
        keys = self._admitted(request)
        by = Actor(_CUSTOMER, address=address_of(request))
        now = self._clock.now()
        await contact_choices.choose(
            self._pool, keys, wants=False, by=by, through=Through.LINK, now=now
        )
        return self._page(keys, is_over=True)

    def _admitted(self, request: Request) -> Keys:
        """Whose link it is; raises Problem if it is not valid."""
        self._guard.admit_by_link(request)
        keys = self._links.read(request.path_params["link"])
        if keys is None:
            raise Problem(HTTPStatus.NOT_FOUND, _NOT_VALID)
        return keys

    def _page(self, keys: Keys, *, is_over: bool) -> Response:
        address = next(one for one in keys if one.kind is not KeyKind.CUSTOMER)
        return self._pages.render("unsubscribe.html", address=address, is_over=is_over)
