"""The steps of a rule in words."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from service.domain.durations import in_words, parse_duration
from service.rules.sentences.fields import FIELDS
from service.rules.sentences.phrases import listed, quoted, short
from service.rules.sentences.receivers import notification, receiver
from service.rules.steps import DATES

_UNDONE = {
    "update": "rewrite it if this is undone",
    "thread": "answer it if this is undone",
    "retract": "remove it if this is undone",
}
_BARE = {
    "complete_task": "complete the task",
    "reopen_task": "reopen the task",
    "delete_task": "delete the task",
}


def steps_words(steps: Iterable[Mapping[str, Any]]) -> str:
    """The steps, one after the other."""
    return ", then ".join(_step(one) for one in steps)


def _step(raw: Mapping[str, Any]) -> str:
    if "wait" in raw:
        return f"wait {duration_words(raw['wait'])}"
    said = _notify(raw) if "notify" in raw else _write(raw)
    asked = f"ask for approval by {receiver(raw['approve'])} and " if "approve" in raw else ""
    more = [word for key, words in _DETAILS.items() if (word := words(raw.get(key)))]
    details = f" ({'; '.join(more)})" if more else ""
    return f"{asked}{said}{details}"


def _notify(raw: Mapping[str, Any]) -> str:
    told = notification(raw["notify"])
    if told is not None:
        return told
    texts = [raw[key] for key in ("subject", "text") if raw.get(key)]
    said = " with ".join(map(quoted, texts[:1])) or "the event"
    if "subject" in raw and len(texts) > 1:
        said = f"{quoted(texts[0])}: {quoted(texts[1])}"
    if "template" in raw:
        subject = f"{quoted(raw['subject'])} with " if raw.get("subject") else ""
        said = f"{subject}the text in {short(raw['template'])}"
    return f"send {said} to {receiver(raw['notify'])}"


def _write(raw: Mapping[str, Any]) -> str:
    for name, words in _BARE.items():
        if name in raw:
            return words
    if "create_task" in raw:
        fields = dict(raw["create_task"])
        title, place = quoted(fields.pop("title")), fields.pop("in", None)
        given = ((name, value) for name, value in fields.items() if value is not None)
        details = listed(_field(name, value) for name, value in given)
        where = f" in {short(place)}" if place else ""
        return f"create the task {title}{f' ({details})' if details else ''}{where}"
    fields = {name: one for name, one in raw["update_task"].items() if one is not None}
    return f"set the task's {listed(_set(name, value) for name, value in fields.items())}"


def _field(name: str, value: Any) -> str:
    """A field of a new task, such as `due in 1 business day`."""
    return f"{FIELDS[name]} {_value(name, value)}"


def _set(name: str, value: Any) -> str:
    return f"{FIELDS[name]} to {_value(name, value)}"


def _value(name: str, value: Any) -> str:
    text = str(value)
    if name in DATES and not text.startswith("{"):
        return f"{duration_words(text)} later"
    return quoted(text)


def _repeat(raw: Any) -> str:
    if not raw:
        return ""
    times = raw["max"]
    return f"again every {duration_words(raw['every'])}, at most {times} times"


def _fallback(raw: Any) -> str:
    return f"if that fails: {steps_words(raw)}" if raw else ""


def _undone(raw: Any) -> str:
    return _UNDONE.get(raw, "")


def _attached(raw: Any) -> str:
    return f"with the {raw} for calendars" if raw else ""


def _told(raw: Any) -> str:
    return "even if the customer was told of this visit before" if raw else ""


def _buttons(raw: Any) -> str:
    return f"with buttons: {listed(raw)}" if raw else ""


_DETAILS: Mapping[str, Callable[[Any], str]] = {
    "repeat": _repeat,
    "even_if_told": _told,
    "attach": _attached,
    "on_undo": _undone,
    "buttons": _buttons,
    "on_fail": _fallback,
}


def duration_words(text: Any) -> str:
    """A duration as people say it: `2 business hours` or `90 minutes`."""
    duration = parse_duration(text)
    amount = duration.business_hours or duration.business_days
    if not amount:
        return in_words(duration.plain)
    unit = "hour" if duration.business_hours else "day"
    return f"{amount} business {unit}{'' if amount == 1 else 's'}"
