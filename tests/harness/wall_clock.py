"""What a clock on the wall shows, found by looking at it every five minutes."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

_LOOK = timedelta(minutes=5)

# Where clocks change by an hour or by half of one, in the night or at midnight, or never; and when.
_CHANGES = {
    "America/New_York": [(3, 8), (11, 1)],
    "Europe/London": [(3, 29), (10, 25)],
    "Australia/Lord_Howe": [(4, 5), (10, 4)],
    "America/Santiago": [(4, 5), (9, 6)],
    "Asia/Kolkata": [(3, 8)],
}
_AROUND = [timedelta(days=some) for some in (-3, -1, 0, 0, 1)]

zones = [ZoneInfo(name) for name in _CHANGES]

places = st.sampled_from(
    [
        (ZoneInfo(name), date(2026, *change) + around)
        for name, changes in _CHANGES.items()
        for change in changes
        for around in _AROUND
    ]
)
"""A zone, and a day on which its clocks change, or one near that."""

_at_night = st.integers(0, 3 * 12 - 1)
times = (_at_night | _at_night | st.integers(0, 24 * 12 - 1)).map(
    lambda some: time(some // 12, some % 12 * 5)
)
"""Times of day, most of them at night."""


def shown(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first moment, in UTC, at which the clock shows this.

    Where it leaves that out, as long after the day began as if it did not.
    """
    begin = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    while begin.astimezone(zone).date() != day:
        begin += _LOOK
    looks = (begin + some * _LOOK for some in range(26 * 12))
    today = takewhile(lambda moment: moment.astimezone(zone).date() == day, looks)
    found = (moment for moment in today if moment.astimezone(zone).time() == at)
    return next(found, begin + timedelta(hours=at.hour, minutes=at.minute))
