"""The body of a request that acts on many deliveries at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.outbox.operator_actions import BULK_STATES, MOST_AT_ONCE, BulkAction
from service.store.views.message_search import Search
from service.web.parameters import is_text, read_time, wrong

LONGEST_NAME = 200
NAMES = ("rule", "channel", "account", "receiver")
TIMES = ("since", "until")
STATES = tuple(sorted({state for states in BULK_STATES.values() for state in states}))
_KNOWN = frozenset({"action", "state", *NAMES, *TIMES, "count"})


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What is to be done to which deliveries; `count` is how many were shown, None: none yet."""

    action: BulkAction
    search: Search
    count: int | None


def read_bulk(said: Mapping[str, Any]) -> BulkRequest:
    """Raises a 400 Problem that names the wrong field."""
    for name in said:
        if name not in _KNOWN:
            raise wrong(name, f"known here: {', '.join(sorted(_KNOWN))}")
    action = BulkAction(_choice(said, "action", tuple(BulkAction)))
    search = Search(
        state=_choice(said, "state", STATES),
        rule=_name(said, "rule"),
        channel=_name(said, "channel"),
        account=_name(said, "account"),
        receiver=_name(said, "receiver"),
        since=_time(said, "since"),
        until=_time(said, "until"),
    )
    return BulkRequest(action, search, _count(said))


def _choice(said: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = said.get(name)
    if not isinstance(value, str) or value not in choices:
        raise wrong(name, f"one of {', '.join(choices)}")
    return value


def _name(said: Mapping[str, Any], name: str) -> str:
    """The name; "" if there is none. A blank one is refused: it would select everything."""
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip() or not is_text(value, LONGEST_NAME):
        raise wrong(name, f"up to {LONGEST_NAME} characters on one line, and not none")
    return value.strip()


def _time(said: Mapping[str, Any], name: str) -> datetime | None:
    return None if said.get(name) is None else read_time(said, name)


def _count(said: Mapping[str, Any]) -> int | None:
    count = said.get("count")
    if count is None:
        return None
    if isinstance(count, float) and count.is_integer():  # 1.0 is an integer in JSON Schema
        count = int(count)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_AT_ONCE:
        raise wrong("count", f"a number from 1 to {MOST_AT_ONCE}")
    return count
