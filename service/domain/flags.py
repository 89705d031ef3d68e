"""Truth values as people and databases write them."""

from typing import Any

_YES = frozenset({"t", "true", "y", "yes", "on", "x", "checked"})
_NO = frozenset({"", "f", "false", "n", "no", "off", "none", "null", "nil"})


def flag(value: Any) -> bool | None:
    """The boolean that a value means, in whatever form; None if it means neither."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return _tick(value) if value else False
    word = value.strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES
    try:
        return _tick(float(word))
    except ValueError:
        return None


def _tick(value: Any) -> bool | None:
    """The boolean of 0 and 1; other numbers are dates or counts."""
    return bool(value) if value in (0, 1) else None
