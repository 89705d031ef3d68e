"""Who gets a message, in words."""

import re

from service.domain.system_actions import NOTIFICATIONS
from service.rules.sentences.fields import Names
from service.rules.sentences.phrases import short

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_PATH = re.compile(r"[\w.]+")
_TITLES = {
    "slack": "Slack",
    "teams": "Teams",
    "discord": "Discord",
    "telegram": "Telegram",
    "googlechat": "Google Chat",
    "pagerduty": "PagerDuty",
    "twilio": "Twilio",
    "vonage": "Vonage",
}
_CUSTOMER = {
    "on_the_way": "that someone is on the way",
    "details": "the details of the visit",
}


def receiver(address: str) -> str:
    """A receiver such as `Slack #office`, or `its assignee's email address by email`."""
    channel, _, target = address.partition(":")
    name = _TITLES.get(channel, short(channel))
    if not target:
        return name
    is_alone = _PLACEHOLDER.fullmatch(target)
    words = short(_filled(is_alone) if is_alone else _PLACEHOLDER.sub(_inside, target))
    return f"{name} {words}" if target.startswith(("#", "@")) else f"{words} by {name}"


def notification(address: str) -> str | None:
    """A message that the system itself writes, such as `tell the customer …`; else None."""
    channel, _, what = address.partition(":")
    if channel not in NOTIFICATIONS:
        return None
    if channel == "customer":
        return f"tell the customer {_CUSTOMER.get(what, short(what))}"
    return "notify the assigned employee"


def _inside(found: re.Match[str]) -> str:
    return f"[{_filled(found)}]"


def _filled(found: re.Match[str]) -> str:
    """What is filled in, such as `its assignee's email address`."""
    path = found[1]
    if path == "group.key":
        return "the recipient of this group"
    words = Names().field(path) if _PATH.fullmatch(path) else None
    return words or "…"
