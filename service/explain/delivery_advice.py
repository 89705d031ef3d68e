"""Why a message was not sent: in plain words, by the error that is stored."""

from collections.abc import Mapping
from typing import Any

from service.domain.system_actions import BUILT_IN
from service.http.upstream import CREDENTIALS_REFUSED, NOT_REACHED, REJECTED, SKIPPED, SLOW_DOWN

# By the words in the error; the first that is found counts.
_CAUSES = {
    CREDENTIALS_REFUSED: (
        "{sender} refused Taskbell's token. Ask your developer to enter a new one, and then send"
        " this again."
    ),
    REJECTED: (
        "{sender} did not accept this: something in the message or in its task is wrong. Correct"
        " it there, and then send this again."
    ),
    NOT_REACHED: "{sender} could not be reached. When it works again, send this again.",
    SLOW_DOWN: "{sender} had too much to do. Send this again later.",
    SKIPPED: "{sender} did not work at that time. When it works again, send this again.",
}
_OTHERWISE = (
    "{sender} could not send this. If the details do not help you, show them to your developer."
)
_NO_MATTER = "If it does not matter any more, dismiss it."


def cause_of(delivery: Mapping[str, Any]) -> str:
    """What went wrong with a failed delivery, and what to do about it.

    It has `account`, `channel` and `reason`, as in the views of deliveries.
    """
    says = delivery["reason"] or ""
    cause = next((cause for words, cause in _CAUSES.items() if words in says), _OTHERWISE)
    sender = delivery["account"] if delivery["channel"] in BUILT_IN else delivery["channel"]
    return f"{cause.format(sender=sender)} {_NO_MATTER}"
