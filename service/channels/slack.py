"""Slack, by a bot token (posts, undo, direct messages) or an incoming webhook (posts).

The few methods of the Web API are called directly: slack-sdk opens sockets of its own, which the
guard of `service.http` would not see.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

import httpx
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from service.channels import (
    ChannelOptions,
    ConfiguredChannel,
    Message,
    SentRef,
    http_call,
)
from service.channels.pace import Rate
from service.channels.slack_text import LONGEST, mrkdwn, sections
from service.clock import Clock
from service.errors import SendError
from service.http import retry_after
from service.http.connection_check import ConnectionCheck
from service.http.json_body import aside, salvaged
from service.sources.values import identifier, mapping, text

Json: TypeAlias = dict[str, Any]

PAGE, PAGES = "200", 25
CLOCK_SKEW, A_DAY = timedelta(minutes=5), timedelta(days=1)
REQUEST_TIMEOUT, TOO_MANY, SERVER_ERROR = 408, 429, 500

_GONE = "message_not_found"
# https://docs.slack.dev/reference/methods/chat.postMessage#errors and its neighbours.
EXPLANATIONS = {
    "account_inactive": "the app or its workspace was removed; install the app again",
    "cant_delete_message": "the workspace does not allow the app to delete it",
    "cant_update_message": "someone else posted the message, so it cannot be rewritten",
    "channel_is_archived": "the channel is archived; choose another",
    "channel_not_found": "there is no such channel, or the app is not in it; invite the app",
    "edit_window_closed": "the workspace does not allow a message this old to be rewritten",
    "invalid_auth": "the token is not valid; copy it again from the app's page",
    "invalid_blocks": "Slack does not accept its text or its buttons",
    "is_archived": "the channel is archived; choose another",
    _GONE: "the message to change was deleted",
    "msg_blocks_too_long": "the text is too long",
    "missing_scope": "the app lacks a permission; add it on the app's page and install it again",
    "no_service": "the incoming webhook was removed; make a new one",
    "no_text": "the text is empty",
    "not_allowed_token_type": "the app_token must be an App-Level Token, which begins with xapp-",
    "not_in_channel": "the app is not in the channel; invite it",
    "token_expired": "the token has expired; make a new one",
    "token_revoked": "the token was revoked; make a new one",
    "user_not_found": "the workspace has no such member",
    "users_not_found": "no one in the workspace has that email address",
}
RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
NOT_NOW = frozenset({"service_unavailable", "request_timeout"})
PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})


class SlackOptions(ChannelOptions):
    """Either `token` (a bot's, xoxb-…) or `webhook_url`; `api_url` for a proxy or a test.

    With `signing_secret` or `app_token`, buttons of messages are answered in Slack; else they open
    a page of Taskbell.
    """

    token: SecretStr | None = None
    api_url: str = "https://slack.com/api/"
    webhook_url: SecretStr | None = Field(None, validate_default=True)
    signing_secret: SecretStr | None = None
    app_token: SecretStr | None = None
    rate: Rate | None = timedelta(seconds=1)

    @field_validator("webhook_url")
    @classmethod
    def _is_one_way(cls, webhook_url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "token" in info.data and (info.data["token"] is None) == (webhook_url is None):
            raise ValueError("set either token or webhook_url")
        return webhook_url

    @property
    def is_answered_there(self) -> bool:
        """Whether Slack tells Taskbell of a pressed button."""
        return self.signing_secret is not None or self.app_token is not None


class SlackChannel(ConfiguredChannel):
    """Posts to `#channel`, to a channel's id, or to `@mail` of a member of the workspace.

    An incoming webhook posts to the channel it was created for, whatever the target.
    """

    options: ClassVar[type[ChannelOptions]] = SlackOptions
    finds: ClassVar[bool] = True
    undoes: ClassVar[frozenset[str]] = frozenset({"update", "thread", "retract"})
    shows_buttons: ClassVar[bool] = True
    longest: ClassVar[int | None] = LONGEST
    tells_who_by: ClassVar[frozenset[str]] = frozenset({"signing_secret", "app_token"})

    def __init__(self, options: SlackOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        self._options = options
        self._api = httpx.URL(options.api_url.rstrip("/") + "/")
        self._client = client
        self._clock = clock
        self._users: dict[str, _User] = {}

    async def send(self, message: Message) -> SentRef:
        if self._options.webhook_url is not None:
            await self._post_by_webhook(self._options.webhook_url, self._content(message))
            return {}
        try:
            return await self._post(message, {"channel": await self._recipient(message.target)})
        except SendError:
            self._users.pop(message.target, None)
            raise

    async def take_back(self, message: Message) -> SentRef:
        posted = message.receipt
        if not posted:
            raise SendError("an incoming webhook cannot take back its messages", permanent=True)
        if message.undo == "thread":
            place = {"channel": posted["channel"], "thread_ts": posted["ts"]}
            return await self._post(message, place)
        if message.undo == "retract":
            await self._delete(posted)
        else:
            await self._call("chat.update", json={**posted, **self._content(message)})
        return posted

    async def _post(self, message: Message, place: Json) -> SentRef:
        metadata = {"event_type": "taskbell", "event_payload": {"key": message.key}}
        content: Json = {**place, "metadata": metadata, **self._content(message)}
        answer = await self._call("chat.postMessage", json=content)
        return {name: identifier(answer.get(name)) for name in ("channel", "ts")}

    def _content(self, message: Message) -> Json:
        """The text, and the buttons below it."""
        content = _content(mrkdwn(message.text, message.markup))
        if not message.buttons:
            return content
        if not self._options.is_answered_there:
            first = message.buttons[0]
            elements = [_button("Answer…", "answer", url=first.url)]
        else:
            elements = [_button(one.label, one.button, value=one.value) for one in message.buttons]
        content["blocks"].append({"type": "actions", "elements": elements})
        return content

    async def _delete(self, posted: SentRef) -> None:
        """Remove a post; a post that no longer exists counts as removed."""
        with suppress(_MessageGone):
            await self._call("chat.delete", json=posted)

    async def email_of(self, user: str) -> str | None:
        """The mail address of a member of the workspace, by their id; None if Slack shows none."""
        answer = await self._call("users.info", params={"user": user})
        return text(mapping(mapping(answer.get("user")).get("profile")).get("email"))

    async def find(self, message: Message) -> SentRef | None:
        """Look for the message's key in the history since `message.at`, or among the replies.

        None also if the app may not read the history: then the message is posted again. Updating or
        removing a post twice has the same result as once.
        """
        if self._options.token is None or message.undo in {"update", "retract"}:
            return None
        try:
            if message.undo == "thread":
                return await self._among_answers(message.receipt or {}, message)
            channel = await self._conversation(message.target)
            return None if channel is None else await self._in_history(channel, message)
        except SendError as error:
            if error.permanent:
                return None
            raise

    async def probe(self, check: ConnectionCheck) -> None:
        if self._options.webhook_url is not None:
            url = httpx.URL(self._options.webhook_url.get_secret_value())
            await check(url, self._options.timeout)
        else:
            await self._call("auth.test", json={})
        if self._options.app_token is not None:
            await self._call("apps.connections.open", token=self._options.app_token, json={})

    async def _in_history(self, channel: str, message: Message) -> SentRef | None:
        since = (message.at - CLOCK_SKEW).timestamp()
        query = {"channel": channel, "oldest": str(since)}
        return await self._among("conversations.history", query, message)

    async def _among_answers(self, posted: SentRef, message: Message) -> SentRef | None:
        query = {"channel": posted.get("channel"), "ts": posted.get("ts")}
        return await self._among("conversations.replies", query, message)

    async def _among(self, method: str, query: Json, message: Message) -> SentRef | None:
        query["include_all_metadata"] = "true"
        async for posted in self._list(method, "messages", query):
            if posted.get("metadata", {}).get("event_payload", {}).get("key") == message.key:
                return {"channel": query["channel"], "ts": posted.get("ts")}
        return None

    async def _recipient(self, target: str) -> str:
        """The recipient for chat.postMessage: a channel's name or id, or a user's id."""
        if not target.startswith("@"):
            return target
        known, now = self._users.get(target), self._clock.now()
        if known is None or now - known.read_at > A_DAY:
            answer = await self._call("users.lookupByEmail", params={"email": target[1:]})
            known = self._users[target] = _User(answer.get("user", {}).get("id"), now)
        return known.id

    async def _conversation(self, target: str) -> str | None:
        """The id of a channel or of the direct messages with a user; None if there is none."""
        if target.startswith("@"):
            content = {"users": await self._recipient(target)}
            opened: Json = (await self._call("conversations.open", json=content)).get("channel", {})
            return opened.get("id")
        if not target.startswith("#"):
            return target
        query = {"types": "public_channel,private_channel", "exclude_archived": "true"}
        listing = self._list("conversations.list", "channels", query)
        return await anext((one["id"] async for one in listing if one["name"] == target[1:]), None)

    async def _list(self, method: str, name: str, query: Json) -> AsyncIterator[Json]:
        cursor = ""
        for _ in range(PAGES):
            answer = await self._call(method, params={**query, "limit": PAGE, "cursor": cursor})
            for item in answer.get(name, ()):
                yield item
            cursor = answer.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                return

    async def _call(self, method: str, token: SecretStr | None = None, **content: Json) -> Json:
        """Call a method of the Web API: with `params` by GET, with `json` by POST."""
        token = token or self._options.token or SecretStr("")
        response = await self._exchange(
            "POST" if "json" in content else "GET",
            self._api.join(method),
            headers={"authorization": f"Bearer {token.get_secret_value()}"},
            **content,
        )
        try:
            answer: Json = await aside(len(response.content), salvaged, response.content)
            ok = answer["ok"]
        except (ValueError, KeyError, TypeError) as error:
            raise _not_slack(response) from error
        if not ok:
            raise _refusal(str(answer.get("error")), response.status_code)
        return answer

    async def _post_by_webhook(self, url: SecretStr, content: Json) -> None:
        response = await self._exchange("POST", httpx.URL(url.get_secret_value()), json=content)
        if _is_between(response):
            raise _not_slack(response)
        if not response.is_success:
            raise _refusal(response.text, response.status_code)

    async def _exchange(self, verb: str, url: httpx.URL, **content: Any) -> httpx.Response:
        async with http_call(url.host, self._options.timeout):
            response = await self._client.request(verb, url, **content)
        status = response.status_code
        if status == TOO_MANY:
            pause = retry_after(response.headers, self._clock.now())
            said = "Slack asked Taskbell to slow down"
            raise SendError(said, retry_after=pause, not_now=True, status=status)
        if status >= SERVER_ERROR:
            raise SendError(f"Slack answered {status}", outcome_unknown=True, status=status)
        return response


@dataclass(frozen=True, slots=True)
class _User:
    """A user's id, and when it was read (UTC): it is read again after a day and after a failure."""

    id: str
    read_at: datetime


class _MessageGone(SendError):
    """The message to update or to remove does not exist any more."""


def _button(label: str, action: str, **what: str) -> Json:
    """A button, by docs.slack.dev/reference/block-kit/block-elements/button-element."""
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "text": text, "action_id": action, **what}


def _content(text: str) -> Json:
    parts = sections(text)
    return {
        "text": parts[0] if parts else "",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": section, "verbatim": True}}
            for section in parts
        ],
    }


def _is_between(response: httpx.Response) -> bool:
    """Whether a firewall, a proxy or a login answered in place of an incoming webhook."""
    is_page = "html" in response.headers.get("content-type", "").lower()
    return is_page or response.is_redirect or response.status_code == REQUEST_TIMEOUT


def _not_slack(response: httpx.Response) -> SendError:
    status = response.status_code
    said = f"{response.url.host} answered {status}, but not as Slack does"
    return SendError(said, outcome_unknown=True, status=status)


def _refusal(code: str, status: int) -> SendError:
    if code in RATE_LIMITED:
        return SendError(f"Slack asked Taskbell to slow down ({code})", not_now=True, status=status)
    if code in NOT_NOW:
        return SendError(f"Slack did not accept it now ({code})", status=status)
    if code in PERHAPS_DONE:
        return SendError(f"Slack failed ({code})", outcome_unknown=True, status=status)
    if not code.isidentifier():
        return SendError("Slack refused, and did not say why", permanent=True, status=status)
    reason = EXPLANATIONS.get(code, "see Slack's documentation")
    kind = _MessageGone if code == _GONE else SendError
    return kind(f"Slack refused: {reason} ({code[:60]})", permanent=True, status=status)
