"""Formats dates: a point in time with its time, a day without one."""

import re
from datetime import datetime, tzinfo

DATE_FORMAT = "%a %-d %b %Y, %H:%M"

# A part of a format that shows the time of day, with what stands between it and what is before it.
_CLOCK = re.compile(r"%%|(?:,?\s*|[:.T])%[-_^#0]?[HIklMSfpPrRTXszZ]")
_BOTH = {"%c": "%a %b %-d %Y", "%+": "%a %b %-d %Y"}


class Day(datetime):
    """A time of which only the day is meant, in the zone in which it is that day."""

    @classmethod
    def of(cls, moment: datetime, zone: tzinfo) -> "Day":
        local = moment.astimezone(zone)
        return cls.combine(local.date(), local.timetz())

    def __str__(self) -> str:
        return self.date().isoformat()


def shown(moment: datetime, zone: tzinfo, form: str = DATE_FORMAT, *, is_day: bool = False) -> str:
    """A time in a zone, formatted with strftime; a day is formatted without its time fields."""
    return moment.astimezone(zone).strftime(_without_time(form) if is_day else form)


def _without_time(form: str) -> str:
    for both, day in _BOTH.items():
        form = form.replace(both, day)
    return _CLOCK.sub(lambda part: "%%" if part[0] == "%%" else "", form).lstrip(" ,:;").rstrip()
