"""PagerDuty, by the Events API v2: triggers, acknowledges and resolves alerts.

Sources: PagerDuty's "Events API v2" (`dedup_key` of up to 255 characters, summary of up to 1,024,
events of up to 512 KB, 202 for success) and its schema (PagerDuty/api-schema, events-v2). An event
with the key of an open alert makes no second one, so a repeated message is recognised.
"""

import re
from datetime import timedelta
from hashlib import blake2b
from typing import Any, ClassVar, Literal, TypeAlias

import httpx
import orjson
from pydantic import SecretStr

from service.channels import ApiAddress, ChannelOptions, Message, SentRef
from service.channels.http_api import ApiAnswer, ApiChannel
from service.channels.pace import Rate
from service.channels.text_fitting import fitted, one_line
from service.clock import Clock
from service.domain.model import JSON_OPTIONS
from service.errors import SendError

Json: TypeAlias = dict[str, Any]

LONGEST_SUMMARY, LONGEST_TEXT, LONGEST_KEY = 1024, 20_000, 255
SEVERITIES = ("critical", "error", "warning", "info")
TRIGGER = "trigger"
ACTIONS = (TRIGGER, "acknowledge", "resolve")
EXPLANATIONS = {
    "routing_key": "the key is not valid; copy the Integration Key of the service's"
    " Events API v2 integration again",
    "invalid event": "it does not accept this event",
}
BY_STATUS = {403: EXPLANATIONS["routing_key"]}
WORDS = "the target must be critical, error, warning, info, acknowledge or resolve"

_NAME = re.compile(r"[a-z ]{1,40}")


class PagerDutyOptions(ChannelOptions):
    """`routing_key` is the Integration Key of an Events API v2 integration of a service.

    `severity` is how serious an alert is, if a rule says nothing else: critical, error, warning or
    info. `api_url` is the address of the API, for the EU service region.
    """

    routing_key: SecretStr
    severity: Literal["critical", "error", "warning", "info"] = "error"
    api_url: ApiAddress = "https://events.pagerduty.com"
    rate: Rate | None = timedelta(milliseconds=500)


class PagerDutyChannel(ApiChannel):
    """Triggers an alert about a task, acknowledges or resolves it.

    The target is a severity or an action, and behind a slash a key: `pagerduty:critical/boiler`.
    Without a key, all messages about one task are about one alert.
    """

    options: ClassVar[type[ChannelOptions]] = PagerDutyOptions
    service = "PagerDuty"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    needs_target: ClassVar[bool] = False
    needs_text: ClassVar[bool] = False
    undoes: ClassVar[frozenset[str]] = frozenset({"retract"})
    shows_buttons: ClassVar[bool] = True

    def __init__(self, options: PagerDutyOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        self._url = httpx.URL(options.api_url.rstrip("/") + "/v2/enqueue")
        self._key = options.routing_key.get_secret_value()
        self._severity = options.severity

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        word = target.partition("/")[0]
        return None if not word or word in SEVERITIES + ACTIONS else WORDS

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        self.demand_target(message.target)
        word, _, key = message.target.partition("/")
        action = word if word in ACTIONS else TRIGGER
        severity = word if word in SEVERITIES else self._severity
        content = _alert(message, severity) if action == TRIGGER else {}
        event = {"event_action": action, "dedup_key": _dedup_key(message, key)}
        await self._enqueue(message, {**event, **content})
        return event

    async def take_back(self, message: Message) -> SentRef:
        """Resolve the alert."""
        posted = message.receipt or {}
        if posted.get("event_action") != TRIGGER:
            raise SendError("only an alert can be taken back, by resolving it", permanent=True)
        await self._enqueue(message, {**posted, "event_action": "resolve"})
        return posted

    async def _enqueue(self, message: Message, event: Json) -> None:
        content = {"routing_key": self._key, **event}
        await self.call("POST", self._url, message, json=content)

    def accepts(self, answer: ApiAnswer) -> bool:
        return answer.is_success and answer.at("status") == "success"

    def error_name(self, answer: ApiAnswer) -> str:
        """What PagerDuty calls it; of its sentences, which may repeat anything, only the key."""
        name = answer.at("status")
        if "routing_key" in str(answer.at("errors") or ""):
            return "routing_key"
        is_name = isinstance(name, str) and _NAME.fullmatch(name) and name != "success"
        return str(name) if is_name else ""


def _dedup_key(message: Message, key: str) -> str:
    """The key of an alert: the rule's, or that of the task, or of the rule if there is no task."""
    made = key or f"taskbell/{message.account}/{message.task_id or message.rule}"
    if len(made) <= LONGEST_KEY:
        return made
    return f"taskbell/{blake2b(made.encode(), digest_size=16).hexdigest()}"


def _alert(message: Message, severity: str) -> Json:
    alert = {"payload": _payload(message, severity)}
    links = [{"href": one.url, "text": "Answer"} for one in message.buttons[:1]]
    return {**alert, "links": links} if links else alert


def _payload(message: Message, severity: str) -> Json:
    text = message.text.strip() or _title(message)
    return {
        "summary": one_line(message.subject or text, LONGEST_SUMMARY),
        "severity": severity,
        "source": message.account or "taskbell",
        "timestamp": message.at.isoformat(),
        "class": message.type,
        "custom_details": {
            "text": fitted(text, LONGEST_TEXT, len),
            "account": message.account,
            "task": message.task_id,
            "rule": message.rule,
        },
    }


def _title(message: Message) -> str:
    """The summary of a message without a text: the event, and the title of its task."""
    task = orjson.loads(orjson.dumps(message.task, option=JSON_OPTIONS)) or {}
    return f"{message.type}: {task.get('title') or message.task_id}"
