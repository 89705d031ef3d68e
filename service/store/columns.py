"""Columns of many rows, as arrays for `unnest`."""

from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")


def column(values: Sequence[Value | None]) -> Sequence[Value | None]:
    """These values; none at all where every one is None.

    `unnest` fills a shorter array up with NULL, and the driver takes long to look at each None.
    Some other array has to be as long as there are rows.
    """
    return () if values.count(None) == len(values) else values
