"""Cron expressions in words, in their common forms."""

import re

from service.rules.sentences.phrases import Phrase, code, listed

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_SHORT = {name[:3].upper(): str(number) for number, name in enumerate(_DAYS[:7])}
_SHORT_MONTHS = {name[:3].upper(): str(number) for number, name in enumerate(_MONTHS, 1)}
_NUMBER, _STEP = re.compile(r"\d+"), re.compile(r"\*/(\d+)")
_RANGE = re.compile(r"(\d+)-(\d+)")
_NAME = re.compile(r"[A-Za-z]{3}")
_ANY = "*"
_ENDINGS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}


def schedule(cron: str) -> Phrase:
    """When it fires, such as `Every Monday to Friday at 07:30`; the expression if it is unusual."""
    minute, hour, day, month, weekday = cron.split()
    at, on = _times(minute, hour), _days(day, month, _numbered(weekday, _SHORT))
    if at is None or on is None:
        return ("By the schedule ", *code(cron))
    if at.startswith("every"):
        return (f"{at.capitalize()}{'' if on == 'every day' else f', {on}'}",)
    return (f"{on[0].upper()}{on[1:]} {at}",)


def _numbered(part: str, names: dict[str, str]) -> str:
    return _NAME.sub(lambda found: names.get(found[0].upper(), found[0]), part)


def _times(minute: str, hour: str) -> str | None:
    if _NUMBER.fullmatch(minute) and all(map(_NUMBER.fullmatch, hour.split(","))):
        return f"at {listed(f'{int(one):02}:{int(minute):02}' for one in hour.split(','))}"
    if (step := _STEP.fullmatch(minute)) is not None and hour == _ANY:
        return f"every {step[1]} minutes"
    if _NUMBER.fullmatch(minute) and hour == _ANY:
        return f"every hour at minute {int(minute)}"
    if _NUMBER.fullmatch(minute) and (span := _RANGE.fullmatch(hour)) is not None:
        first, last = (f"{int(one):02}:{int(minute):02}" for one in span.groups())
        return f"every hour from {first} to {last}"
    if minute == _ANY and hour == _ANY:
        return "every minute"
    return None


def _days(day: str, month: str, weekday: str) -> str | None:
    months = _of_months(_numbered(month, _SHORT_MONTHS))
    if months is None or _ANY not in {day, weekday}:
        return None
    if weekday != _ANY:
        names = _weekdays(weekday)
        return None if names is None else f"every {names}{months}"
    if day == _ANY:
        return f"every day{months}"
    if not all(map(_NUMBER.fullmatch, day.split(","))):
        return None
    days = listed(f"{int(one)}{_ENDINGS.get(int(one), 'th')}" for one in day.split(","))
    return f"on the {days} of {months.removeprefix(' in ') or 'every month'}"


def _of_months(part: str) -> str | None:
    if part == _ANY:
        return ""
    if not all(map(_NUMBER.fullmatch, part.split(","))):
        return None
    return f" in {listed(_MONTHS[int(one) - 1] for one in part.split(','))}"


def _weekdays(part: str) -> str | None:
    found = []
    for one in part.split(","):
        if _NUMBER.fullmatch(one):
            found.append(_DAYS[int(one)])
        elif (span := _RANGE.fullmatch(one)) is not None:
            found.append(f"{_DAYS[int(span[1])]} to {_DAYS[int(span[2])]}")
        else:
            return None
    return listed(found)
