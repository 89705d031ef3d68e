"""Axes: where a value is in a drawing, and at which values there are ticks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_MOST_TICKS = 6
_MANY = 300  # times the least value is the most, if a logarithmic axis has powers of ten only


@dataclass(frozen=True, slots=True)
class Axis:
    """From the value `low` at `start` to `high` at `end`, in units of the drawing."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    is_log: bool = False

    @classmethod
    def linear(cls, values: Iterable[float], start: float, end: float) -> Self:
        """From 0 to the first tick that is not below any of the values."""
        most = max(values)
        step = _step(most / _MOST_TICKS)
        count = math.ceil(most / step)
        return cls(0, count * step, start, end, tuple(step * n for n in range(count + 1)))

    @classmethod
    def log(cls, values: Iterable[float], start: float, end: float) -> Self:
        """From tick to tick: 1, 2, 5, 10, …, or if that is too much, 1, 10, 100, …."""
        found = list(values)
        least, most = min(found), max(found)
        leads = (1,) if most / least > _MANY else (1, 2, 5)
        steps = [lead * 10.0**power for power in range(*_powers(least, most)) for lead in leads]
        low = max(one for one in steps if one <= least)
        high = min(one for one in steps if one >= most and one > low)
        ticks = tuple(one for one in steps if low <= one <= high)
        return cls(low, high, start, end, ticks, is_log=True)

    def at(self, value: float) -> float:
        """Where this value is, to a tenth of a unit."""
        low, high, here = (self._scaled(one) for one in (self.low, self.high, value))
        return round(self.start + (here - low) / (high - low) * (self.end - self.start), 1)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_log else value


def _powers(least: float, most: float) -> tuple[int, int]:
    """A range of powers of ten that has one below `least` and one above `most`."""
    return math.floor(math.log10(least)), math.ceil(math.log10(most)) + 2


def _step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, … that is not smaller."""
    power: float = 10 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least)


def label(value: float) -> str:
    return f"{value:,.10g}"
