"""What an account waits for after nobody looked after it, or could read it: in words."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

Told: TypeAlias = Callable[[datetime], str]
"""How a moment is shown."""

FIRST_SYNC, READING_ANEW = "first sync", "reading anew"
_KNOWN_BEFORE = "Alarms and lists go by what was known before"


def name_of(account: Mapping[str, Any]) -> str:
    """How an account is, in a word or two."""
    if account["state"] == "baseline":
        return FIRST_SYNC
    if account["state"] != "ok":
        return str(account["state"])
    if account["absent"]:
        return "tasks gone"
    if account["alone_since"]:
        return "no worker"
    return READING_ANEW if account["reread_since"] else "ok"


def what_waits(account: Mapping[str, Any], told: Told) -> str | None:
    """Why what is due of an account does not come yet, and until when; None where nothing waits."""
    if (since := account["alone_since"]) is not None:
        return f"No worker has looked after it since {told(since)}. What is due waits for one."
    if account["state"] == "failing":
        return _until_it_answers(account, told)
    if account["reread_since"] is None:
        return None
    return f"{_why_anew(account, told)} {_until_read(account, told)}"


def _until_it_answers(account: Mapping[str, Any], told: Told) -> str:
    latest = account["alarms_wait_until"]
    alarms = (
        f"{_KNOWN_BEFORE}, as it has failed for so long"
        if latest is None
        else f"Alarms and lists wait until it can be read, until {told(latest)} at the latest"
    )
    return f"{alarms}. Customers are written to only where their own task can be read."


def _why_anew(account: Mapping[str, Any], told: Told) -> str:
    since, away = told(account["reread_since"]), account["away_since"]
    if away is None:
        return f"Tasks may have changed unseen, so since {since} all of them are to be read anew."
    return (
        f"Taskbell was away from {told(away)} to {since}. Tasks may have changed unseen, so all of"
        " them are to be read anew."
    )


def _until_read(account: Mapping[str, Any], told: Told) -> str:
    latest = account["alarms_wait_until"]
    alarms = (
        _KNOWN_BEFORE
        if latest is None
        else f"Alarms and lists wait for that until {told(latest)} at the latest"
    )
    return f"{alarms}; what goes through {account['system']} waits until it is done."
