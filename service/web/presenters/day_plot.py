"""A small plot: how many messages were sent on each of the last days, and how many were not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from service.store.views.rule_activity import DayCount
from service.web.labels import many

DAYS = 30
WIDTH, HEIGHT = 6, 36  # of a day and of the plot, in units of the drawing
_GAP = 1
_LEAST = 2  # units: so high is a bar at least, so that it is seen


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of the drawing; `look` is its CSS class."""

    x: int
    y: int
    width: int
    height: int
    look: str


@dataclass(frozen=True, slots=True)
class DayPlot:
    """The last days up to today, without those on which nothing was decided.

    `bars` are drawn, `days` are told to people who do not see them.
    """

    days: Sequence[DayCount]
    bars: Sequence[Bar]

    @classmethod
    def of(cls, counts: Iterable[DayCount], today: date) -> "DayPlot":
        first = today - timedelta(days=DAYS - 1)
        days = [one for one in counts if first <= one.day <= today and one.sent + one.kept]
        most = max((one.sent + one.kept for one in days), default=1)
        bars = [bar for one in days for bar in _bars(one, (one.day - first).days, most)]
        return cls(days, bars)

    @property
    def width(self) -> int:
        return DAYS * WIDTH

    @property
    def height(self) -> int:
        return HEIGHT

    @property
    def sent(self) -> int:
        return sum(one.sent for one in self.days)

    @property
    def kept(self) -> int:
        return sum(one.kept for one in self.days)

    @property
    def says(self) -> str:
        """The plot in words."""
        kept = f", {self.kept:,} not sent" if self.kept else ""
        return f"{many(self.sent, 'message')} sent in {DAYS} days{kept}"


def _bars(one: DayCount, place: int, most: int) -> Iterable[Bar]:
    """What was sent, and what was not above it."""
    x, bottom = place * WIDTH, HEIGHT
    for count, look in ((one.sent, "sent"), (one.kept, "kept")):
        if count:
            height = max(_LEAST, (HEIGHT - _LEAST) * count // most)
            bottom -= height
            yield Bar(x, bottom, WIDTH - _GAP, height, look)
