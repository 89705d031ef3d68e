"""Text for accounts that wait for a full sync after an outage."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

Told: TypeAlias = Callable[[datetime], str]
"""How a moment is shown."""

FIRST_SYNC, READING_AGAIN = "first sync", "reading all tasks again"
_LAST_KNOWN = (
    "time-based and combined messages are now sent from the last known data, which may be out of"
    " date"
)
_MISSED = "It may have missed changes, so it is reading all tasks again."


def name_of(account: Mapping[str, Any]) -> str:
    """The state of an account, in a word or two."""
    if account["state"] == "baseline":
        return FIRST_SYNC
    if account["state"] != "ok":
        return str(account["state"])
    if account["absent"]:
        return "many tasks missing"
    if account["alone_since"]:
        return "not being processed"
    return READING_AGAIN if account["reread_since"] else "ok"


def what_waits(account: Mapping[str, Any], told: Told) -> str | None:
    """Why an account's due messages are not sent yet, and until when; None if none waits."""
    if (since := account["alone_since"]) is not None:
        return (
            f"Taskbell has not processed this account since {told(since)}."
            " Due messages wait until the part of Taskbell that does this (a worker process) runs."
        )
    if account["state"] == "failing":
        return _until_it_answers(account, told)
    if account["reread_since"] is None:
        return None
    return f"{_why_again(account, told)} {_until_read(account, told)}"


def _until_it_answers(account: Mapping[str, Any], told: Told) -> str:
    latest = account["alarms_wait_until"]
    waits = (
        f"The account has failed for too long, so {_LAST_KNOWN}."
        if latest is None
        else "Time-based and combined messages wait until the account can be read,"
        f" but no longer than {told(latest)}."
    )
    return f"{waits} A customer gets a message only if Taskbell can read that customer's task."


def _why_again(account: Mapping[str, Any], told: Told) -> str:
    since, stopped = told(account["reread_since"]), account["away_since"]
    if stopped is None:
        return f"Taskbell was not reading this account until {since}. {_MISSED}"
    return f"Taskbell was not running from {told(stopped)} to {since}. {_MISSED}"


def _until_read(account: Mapping[str, Any], told: Told) -> str:
    latest = account["alarms_wait_until"]
    waits = (
        f"This takes too long, so {_LAST_KNOWN}."
        if latest is None
        else f"Time-based and combined messages wait for this, but no longer than {told(latest)}."
    )
    # Only for such an account: the systems take longer to import than a command's other modules.
    from service.sources import title_of  # noqa: PLC0415 (see above)

    return f"{waits} Messages sent through {title_of(account['system'])} wait until it is finished."
