"""The bodies of requests for a new silence, and for a new hold of customer messages."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from service.domain.operators.silences import LONGEST, SCOPES, Silence
from service.web.actions import LONGEST_REASON
from service.web.parameters import is_text, read_time, wrong
from service.web.problems import Problem

LONGEST_NAME = 200
ANYWAY = 'If you expect it later, add "anyway": true'
_KNOWN = frozenset({*SCOPES, "ends_at", "reason", "anyway"})
_OF_A_HOLD = frozenset({"ends_at", "reason"})


def read_silence(said: Mapping[str, Any], now: datetime) -> tuple[Silence, bool]:
    """The silence, which begins now (UTC), and whether unknown names are accepted.

    Raises a 400 Problem that names the wrong field, and a 409 Problem if it would end before now.
    """
    _demand_known(said, _KNOWN)
    scopes = {scope: _name(said, scope) for scope in SCOPES}
    if not any(scopes.values()):
        why = f"Say which messages to hide, by at least one of: {', '.join(SCOPES)}"
        raise Problem(HTTPStatus.BAD_REQUEST, why)
    anyway = said.get("anyway", False)
    if not isinstance(anyway, bool):
        raise wrong("anyway", "true or false")
    return Silence(0, now, _end(said, now), _reason(said), **scopes), anyway


def read_hold(said: Mapping[str, Any], now: datetime) -> tuple[datetime, str]:
    """Until when (UTC) and why a hold lasts that begins now; raises as `read_silence` does."""
    _demand_known(said, _OF_A_HOLD)
    return _end(said, now), _reason(said)


def _demand_known(said: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in said:
        if name not in known:
            raise wrong(name, f"known here: {', '.join(sorted(known))}")


def _name(said: Mapping[str, Any], scope: str) -> str | None:
    name = said.get(scope)
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip() or not is_text(name, LONGEST_NAME):
        raise wrong(scope, f"up to {LONGEST_NAME} characters on one line")
    return name.strip()


def _reason(said: Mapping[str, Any]) -> str:
    reason = said.get("reason")
    if not isinstance(reason, str) or not reason.strip() or not is_text(reason, LONGEST_REASON):
        raise wrong("reason", f"up to {LONGEST_REASON} characters on one line")
    return reason.strip()


def _end(said: Mapping[str, Any], now: datetime) -> datetime:
    ends_at = read_time(said, "ends_at")
    if not now < ends_at <= now + LONGEST:
        why = "ends_at: it has passed, or is more than ten years ahead"
        raise Problem(HTTPStatus.CONFLICT, why, parameter="ends_at")
    return ends_at
