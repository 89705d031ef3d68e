"""Error responses with status 200, such as `{"success": false, "error": …}`."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from service.domain.flags import flag

_ANSWERED = frozenset({"success", "ok"})
_TOLD = frozenset({"sent", "notified", "accepted"})
# It may still be on its way.
_ARRIVED = "delivered"
_WRONG = frozenset({"error", "errors"})
_ALSO_WRONG = re.compile(
    r"(has)?errors?(messages?|codes?|details?|descriptions?|counts?)?"
    r"|exception|failures?|violations",
    re.ASCII,
)
_NOT_DONE = frozenset({"failed", "rejected", "denied"})
_STATES = frozenset({"status", "result", "type", "@type", "state", "outcome"})
_FAILED = frozenset(
    {
        *("error", "errors", "fail", "failed", "failure", "unsuccessful", "rejected", "denied"),
        *(
            "invalid",
            "undelivered",
            "notdelivered",
            "notsent",
            "unsent",
            "skipped",
            "blocked",
            "suppressed",
        ),
        *("unprocessable", "hydra:error"),
        *("false", "no", "ko"),
    }
)
_NO_ERROR = frozenset({"", "0", "200", "none", "null", "nil", "false", "ok", "success"})
_CODES = frozenset({"status", "statuscode", "code"})
_REFUSALS = range(400, 600)  # HTTP's, said in the answer instead of by it
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_OF_MESSAGES = frozenset(
    {"notification", "notifications", "message", "messages", "result", "results"}
)
_ENVELOPES = frozenset(
    {
        *("data", "task", "meta", "response", "responses"),
        *_OF_MESSAGES,
    }
)
_DEEPEST = 4
_IDS = frozenset({"id", "uuid"})


def is_denied(answer: Any) -> bool:
    """Whether the JSON of a response says that the request was not carried out."""
    return _is_failed(answer) or _is_no(answer, _DEEPEST)


def words(value: Any) -> str:
    """The error text of a response."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {words(one)}" for name, one in value.items() if one)
    if isinstance(value, list):
        return "; ".join(words(one) for one in value if one)
    return str(value)


def _is_no(answer: Any, levels: int, *, of_messages: bool = False) -> bool:
    """Whether an object reports a failure, or every object of a list: some may have succeeded."""
    if not levels:
        return False
    if isinstance(answer, list):
        return bool(answer) and all(
            one is False or _is_no(one, levels - 1, of_messages=of_messages) for one in answer
        )
    if not isinstance(answer, dict):
        return False
    part = {_plain(name): value for name, value in answer.items()}
    return _is_denial(part, of_messages=of_messages) or any(
        _is_no(part[name], levels - 1, of_messages=name in _OF_MESSAGES)
        for name in _ENVELOPES & part.keys()
    )


def _plain(name: Any) -> str:
    """A name in lower case, without separators between its words."""
    return _BETWEEN_WORDS.sub("", str(name)).casefold().removeprefix("is")


def _is_denial(part: Mapping[str, Any], *, of_messages: bool) -> bool:
    if any(flag(part[name]) is False for name in _ANSWERED & part.keys()):
        return True
    if any(_is_something(part.get(name)) for name in _WRONG):
        return True
    # What has an id and is no message is the task, and this is how it stands.
    if part.keys() & _IDS and not of_messages:
        return False
    return _reached_nobody(part) or _names_a_failure(part) or _is_refusal(part)


def _reached_nobody(part: Mapping[str, Any]) -> bool:
    if any(_is_none_of(part[name]) for name in _TOLD & part.keys()):
        return True
    others = (_ANSWERED | _TOLD | _STATES) & part.keys()
    return not others and _ARRIVED in part and _is_none_of(part[_ARRIVED])


def _is_none_of(value: Any) -> bool:
    """Whether it is false, or a count of 0; null means that it is not known yet."""
    return value is not None and flag(value) is False


def _names_a_failure(part: Mapping[str, Any]) -> bool:
    if any(_ALSO_WRONG.fullmatch(name) and _is_something(part[name]) for name in part):
        return True
    if any(_is_failed(part[name]) for name in _STATES & part.keys()):
        return True
    # Of several notifications some may have been sent.
    return not part.keys() & _TOLD and any(
        _is_something(part[name]) for name in _NOT_DONE & part.keys()
    )


def _is_failed(state: Any) -> bool:
    return state is False or (isinstance(state, str) and _plain(state.strip()) in _FAILED)


def _is_refusal(part: Mapping[str, Any]) -> bool:
    """Whether it contains the HTTP status that the response should have had."""
    codes = (str(part[name]) for name in _CODES & part.keys())
    return any(code.isascii() and code.isdigit() and int(code[:9]) in _REFUSALS for code in codes)


def _is_something(value: Any) -> bool:
    """Whether it contains any text, at any depth; `{"base": []}` contains none."""
    if isinstance(value, dict):
        return any(_is_something(one) for one in value.values())
    if isinstance(value, list):
        return any(_is_something(one) for one in value)
    if isinstance(value, str):
        return value.strip().casefold() not in _NO_ERROR
    return bool(value) and value != HTTPStatus.OK
