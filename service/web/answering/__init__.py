"""How recipients answer messages: on the page behind a link, or by a button in Slack."""

from starlette.routing import BaseRoute

from service.outbox.approvals import DeliveryLinks
from service.rules.contacts.unsubscribe_links import UnsubscribeLinks
from service.settings import Settings
from service.web.answering.given import GivenAnswers
from service.web.answering.page import AnswerPage
from service.web.answering.slack import SlackPresses
from service.web.answering.slack_http import SlackEndpoint
from service.web.approvals import ApprovalPage
from service.web.office import Office
from service.web.unsubscribing import UnsubscribePage


class Answering:
    """The pages and endpoints for answers; `presses` takes those that Slack tells of."""

    def __init__(self, office: Office, settings: Settings) -> None:
        links = DeliveryLinks(settings.taskbell_url or "", settings.taskbell_admin_token)
        unsubscribing = UnsubscribeLinks(settings.taskbell_url or "", settings.taskbell_admin_token)
        given = GivenAnswers(
            office.pool, office.clock, office.doorbell, office.actions, office.config
        )
        self.presses = SlackPresses(office, links, given)
        self._routes = [
            *ApprovalPage(office, links).routes(),
            *AnswerPage(office, links, given).routes(),
            *UnsubscribePage(
                office.pool, office.clock, office.guard, unsubscribing, office.pages
            ).routes(),
            *SlackEndpoint(office.config, office.clock, self.presses).routes(),
        ]

    def routes(self) -> list[BaseRoute]:
        return [*self._routes]
