"""Columns of many rows, as arrays for `unnest`."""

from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")


def column(values: Sequence[Value | None]) -> Sequence[Value | None]:
    """These values; an empty list if all are None.

    `unnest` pads a shorter array with NULL, and the driver is slow for lists of None. At least one
    other array must have the full length.
    """
    return () if values.count(None) == len(values) else values
