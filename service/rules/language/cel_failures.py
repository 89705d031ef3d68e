"""Translates CEL runtime errors, of expressions that cannot be evaluated for a task."""

import re

_ANYTHING_ELSE = "it cannot be evaluated for this task"
_SAYINGS = (
    (r"optional\.none\(\) dereference", "a value that it needs is not set"),
    (r"Key not found in map : \"?([^\"]*)\"?", "the task has no {}"),
    (r"Index error: index=(\S+) size=(\S+)", "item {} does not exist in a list of {}"),
    (r"(?:divide|modulus) by zero", "it divides by zero"),
    (
        r"overflow|out of range|above maximum|below minimum",
        "a number or a date becomes too large",
    ),
    (r"cannot convert string to (?:int|uint|double)", "a text that it reads is not a number"),
    (r"String to Timestamp", "a text that it reads is not a date"),
    (r"String to Duration", "a text that it reads is not a duration"),
    (r"Invalid timezone", "a text that it reads is not a time zone"),
    (r"No matching overloads? found", "a value that it reads has the wrong kind"),
    (r"budget", "it takes too many steps"),
)


def failure(said: str) -> str:
    """The message that replaces CEL's own."""
    for pattern, words in _SAYINGS:
        if found := re.search(pattern, said):
            return words.format(*found.groups())
    return _ANYTHING_ELSE
