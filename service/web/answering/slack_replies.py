"""What Taskbell asks and tells Slack while somebody waits there for what their button does."""

from datetime import timedelta

import httpx
import structlog

from service.channels import http_call
from service.channels.slack import SlackChannel, SlackOptions
from service.channels.slack_text import mrkdwn
from service.clock import Clock
from service.config import Config
from service.errors import SendError
from service.http.client import open_client

log = structlog.get_logger()

# Slack shows the person a warning if a press is not confirmed within three seconds.
_WITHIN = timedelta(seconds=1)


class SlackReplies:
    """Calls that may fail: what was pressed counts all the same, and the log says what went wrong.

    Each opens a connection of its own, because presses are rare.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    async def email_of(self, channel: str, user: str) -> str | None:
        """The mail address of a person, as the workspace of this channel has it."""
        options = self._config.channels.get(channel)
        if not isinstance(options, SlackOptions) or options.token is None:
            return None
        hurried = options.model_copy(update={"timeout": _WITHIN})
        async with open_client(self._config.allow) as client:
            try:
                return await SlackChannel(hurried, client, self._clock).email_of(user)
            except SendError as error:
                log.warning("slack.person_unknown", channel=channel, reason=str(error))
                return None

    async def tell(self, url: str, said: str) -> None:
        """Tell the person who pressed, and nobody else, at the address that came with the press.

        docs.slack.dev/interactivity/handling-user-interaction#message_responses.
        """
        content = {"response_type": "ephemeral", "replace_original": False}
        async with open_client(self._config.allow) as client:
            try:
                where = httpx.URL(url)
                async with http_call(where.host, _WITHIN):
                    await client.post(where, json={**content, "text": mrkdwn(said, ())})
            except (SendError, httpx.InvalidURL) as error:
                log.warning("slack.not_told", reason=str(error))
