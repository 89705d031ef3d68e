"""The approver's page: what would be sent to whom, and two buttons.

The link itself authorises the approver, who does not need the admin token. Opening the page decides
nothing, even if a program opens links automatically.
"""

from http import HTTPStatus

import asyncpg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.actors import Actor
from service.outbox import approvals
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.web.auth import address_of
from service.web.office import Office
from service.web.pages import read_form
from service.web.parameters import LARGEST_ID, wrong
from service.web.problems import Problem

_ANSWERS = ("approve", "decline")
_NOT_VALID = "This approval link is not valid. Ask for a new one, or decide on the Taskbell page."


class ApprovalPage:
    """The page of one delivery, for a request with its link."""

    def __init__(self, office: Office, links: DeliveryLinks) -> None:
        self._office = office
        self._links = links

    def routes(self) -> list[Route]:
        return [
            Route("/approvals/{id:number}", self._office.pages.for_people(self.show)),
            Route(
                "/approvals/{id:number}",
                self._office.pages.for_people(self.answer),
                methods=["POST"],
            ),
        ]

    async def show(self, request: Request) -> Response:
        return self._page(await self._admitted(request), too_late=None)

    async def answer(self, request: Request) -> Response:
        """One of the buttons; the page is shown again, with the result."""
        row = await self._admitted(request)
        form = await read_form(request)
        action, said = form.get("answer", ""), {"reason": form.get("reason") or None}
        if action not in _ANSWERS:
            raise wrong("answer", " or ".join(_ANSWERS))
        name = f"the person who opened the link sent to {row['approver']}"
        by = Actor(name, address=address_of(request))
        too_late = None
        try:
            await self._office.actions.act(action, row["id"], said, by)
        except Problem as problem:
            if problem.status_code != HTTPStatus.CONFLICT:
                raise
            too_late = problem.detail
        return self._page(await self._admitted(request), too_late=too_late)

    async def _admitted(self, request: Request) -> asyncpg.Record:
        """The delivery of the link; raises Problem if the link is not valid."""
        self._office.guard.admit_by_link(request)
        number = request.path_params["id"]
        row = await approvals.read(self._office.pool, number) if number <= LARGEST_ID else None
        token = request.query_params.get("token", "")
        if row is None or not self._links.is_genuine(LinkTo.APPROVE, number, row["key"], token):
            raise Problem(HTTPStatus.NOT_FOUND, _NOT_VALID)
        return row

    def _page(self, row: asyncpg.Record, *, too_late: str | None) -> Response:
        is_open = (
            row["state"] == "held"
            and row["approved_by"] is None
            and row["approve_by"] > self._office.clock.now()
        )
        config = self._office.config
        return self._office.pages.render(
            "approval.html",
            one=row,
            is_open=is_open,
            too_late=too_late,
            now=self._office.clock.now(),
            zone=config.zones.get(row["account"], config.timezone),
        )
