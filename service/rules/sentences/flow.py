"""The other keys of a rule in words: what is waited for, combined, limited and ended."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.rules.limit import parse_limit
from service.rules.sentences.conditions import conditions
from service.rules.sentences.fields import noun_of
from service.rules.sentences.phrases import Code, Phrase, joined, listed, short
from service.rules.sentences.steps import duration_words, steps_words

_CONSTANT = re.compile(r"'[^']*'|\"[^\"]*\"")
_PERIODS = {"m": "a minute", "h": "an hour", "d": "a day"}
_OUTSIDE = {
    "hold": "only in {} hours",
    "skip": "only in {} hours, otherwise not at all",
    "ignore": "also outside {} hours",
}
_WHOSE = {
    "task.id": "task",
    **{
        f"task.{noun}.{field}": noun
        for noun in ("customer", "project", "assignee")
        for field in ("id", "name", "email")
    },
}
_MOMENTS = {"now": "time", "event.at": "time of the event", "group.key": "group"}
_DAYS = {"date(now)": "day", "date(event.at)": "day"}


def waiting(rule: Mapping[str, Any]) -> str:
    """What the rule waits for before it decides (`settle`, `for`); empty if for nothing."""
    if "for" in rule:
        return f", and this stays so for {duration_words(rule['for'])}"
    settle = rule.get("settle")
    if settle is None:
        return ""
    shape = {"quiet": settle} if isinstance(settle, str) else settle
    most = f", after {duration_words(shape['max'])} at the latest" if "max" in shape else ""
    return f", once it has not changed for {duration_words(shape['quiet'])}{most}"


def combined(rule: Mapping[str, Any]) -> Phrase:
    """How tasks are combined (`group`); empty if they are not."""
    group = rule.get("group")
    if group is None:
        return ()
    spans = []
    if "wait" in group:
        spans.append(f"collected for {duration_words(group['wait'])}")
    if "max" in group:
        spans.append(f"at most {group['max']} tasks")
    if group.get("empty") == "send":
        spans.append("also if there are none")
    details = f" ({', '.join(spans)})" if spans else ""
    one = () if _CONSTANT.fullmatch(group["by"]) else (" of one ", *_identity(group["by"]))
    return ("for all such tasks", *one, f" together{details}: ")


def _hours(raw: Any) -> Phrase:
    choices = raw if isinstance(raw, list) else [raw]
    return joined([_hours_choice(one) for one in choices], ", otherwise ")


def _hours_choice(raw: Any) -> Phrase:
    shape = {"use": raw} if isinstance(raw, str) else raw
    said = _OUTSIDE[shape.get("outside", "hold")].format(short(shape["use"]))
    return (said, " if ", *conditions([shape["if"]])) if "if" in shape else (said,)


def _expires(raw: Any) -> Phrase:
    return (f"at most {duration_words(raw)} late",)


def _once(raw: Any) -> Phrase:
    keys = raw if isinstance(raw, list) else [raw]
    return ("once per ", *joined([_identity(one) for one in keys], ", ", " and "))


def _identity(text: str) -> Phrase:
    """What identifies a message, such as `customer` or `day of the start`."""
    if (word := (_WHOSE | _MOMENTS | _DAYS).get(text)) is not None:
        return (word,)
    inner = text.removeprefix("date(").removesuffix(")")
    noun = noun_of(inner.removeprefix("task.")) if inner.startswith("task.") else None
    if noun is None:
        return (Code(short(text)),)
    return (f"day of the {noun}" if text.startswith("date(") else noun,)


def _limit(raw: Any) -> Phrase:
    limit = parse_limit(raw)
    return (f"at most {limit.count} {_PERIODS[limit.text[-1]]}",)


def _muted(raw: Any) -> Phrase:
    same = raw["same"] if isinstance(raw["same"], list) else [raw["same"]]
    phrase = joined([_identity(one) for one in same], ", ", " and ")
    return (f"not while {raw['rule']} has acted for the same ", *phrase)


def _until(raw: Any) -> Phrase:
    return ("cancelled as soon as ", *conditions([raw]))


def _own_writes(raw: Any) -> Phrase:
    return ("also for changes that other rules make",) if raw else ()


def _enabled(raw: Any) -> Phrase:
    if raw is True:
        return ()
    return ("on trial in the file" if raw == "shadow" else "switched off in the file",)


def _escalate(raw: Any) -> Phrase:
    further = ", then ".join(
        f"after {duration_words(one['after'])} {steps_words([one])}" for one in raw
    )
    return (f"until someone acknowledges the task or it changes, {further}",) if raw else ()


def _together(raw: Any) -> Phrase:
    return (f"once for all accounts, by the time zone of {raw}",)


_QUALIFIERS: Mapping[str, Callable[[Any], Phrase]] = {
    "together": _together,
    "hours": _hours,
    "expires": _expires,
    "once_per": _once,
    "limit": _limit,
    "muted_by": _muted,
    "escalate": _escalate,
    "until": _until,
    "own_writes": _own_writes,
    "enabled": _enabled,
}


def qualifiers(rule: Mapping[str, Any]) -> Sequence[Phrase]:
    """What restricts the rule's messages, one phrase each."""
    found = (words(rule[key]) for key, words in _QUALIFIERS.items() if rule.get(key) is not None)
    return [one for one in found if one]


def accounts(rule: Mapping[str, Any]) -> str:
    """The accounts to which the rule is limited; empty if it is for all."""
    names = rule.get("accounts")
    return listed(map(short, names), "or") if names else ""
