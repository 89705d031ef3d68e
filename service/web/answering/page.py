"""The page on which the receiver of a message answers it.

The link itself authorises its receiver. Opening the page does nothing, even if a program opens
links automatically; what can be done, can be done once.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.actors import Actor
from service.domain.addresses import mails, plain
from service.domain.model import Person
from service.domain.operators.buttons import LABELS, MEANINGS, Button
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.rules import recipients
from service.store.views import answerable
from service.store.views.answerable import AnswerableMessage
from service.web.answering.given import GivenAnswers, Presser
from service.web.auth import address_of
from service.web.office import Office
from service.web.pages import read_form
from service.web.parameters import LARGEST_ID, wrong
from service.web.problems import Problem

_NOT_VALID = "This link is not valid. Use the one in the latest message, or open the Taskbell page."


class AnswerPage:
    """The page of one message, for a request with its link."""

    def __init__(self, office: Office, links: DeliveryLinks, given: GivenAnswers) -> None:
        self._office = office
        self._links = links
        self._given = given

    def routes(self) -> list[Route]:
        for_people = self._office.pages.for_people
        return [
            Route("/answers/{id:number}", for_people(self.show)),
            Route("/answers/{id:number}", for_people(self.answer), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        return self._page(await self._admitted(request))

    async def answer(self, request: Request) -> Response:
        """The button; the page is shown again, with the result."""
        message = await self._admitted(request)
        given = (await read_form(request)).get("answer", "")
        if given not in message.buttons:
            raise wrong("answer", " or ".join(message.buttons))
        person, done, too_late = receiver(message), "", ""
        by = Actor(person.name or "", address=address_of(request))
        try:
            done = await self._given.give(message, Button(given), Presser(person), by)
        except Problem as problem:
            too_late = problem.detail or "it came too late"
        return self._page(await self._admitted(request), too_late=too_late, done=done)

    async def _admitted(self, request: Request) -> AnswerableMessage:
        """The message of the link; raises Problem if the link is not valid."""
        self._office.guard.admit_by_link(request)
        number, token = request.path_params["id"], request.query_params.get("token", "")
        found = await answerable.read(self._office.pool, number) if number <= LARGEST_ID else None
        if found is None or not self._links.is_genuine(LinkTo.ANSWER, number, found.key, token):
            raise Problem(HTTPStatus.NOT_FOUND, _NOT_VALID)
        return found

    def _page(self, message: AnswerableMessage, *, too_late: str = "", done: str = "") -> Response:
        return self._office.pages.render(
            "answer.html",
            one=message,
            labels=LABELS,
            meanings=MEANINGS,
            too_late=too_late,
            done=done,
            zone=self._zone(message),
        )

    def _zone(self, message: AnswerableMessage) -> object:
        config = self._office.config
        return config.zones.get(message.of[0], config.timezone)


def receiver(message: AnswerableMessage) -> Person:
    """The person who answers by the link of a message: its address, or its recipient."""
    address = message.target.lstrip("@")
    if recipients.is_address(address) and not message.target.startswith("#"):
        email = [*mails(plain(address))]
        if email:
            return Person(name=address, email=email[0] if len(email) == 1 else None)
        return Person(name=address, phone=address)
    sent_to = f"{message.channel}:{message.target}" if message.target else message.channel
    return Person(name=f"the person who opened the link sent to {sent_to}")
