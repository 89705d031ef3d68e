"""What the receiver of a message can answer with one press, and the words for it."""

from collections.abc import Mapping
from enum import StrEnum


class Button(StrEnum):
    """A button or link of a message about one task.

    - `acknowledge`: the receiver takes care of it; further escalation stops
    """

    ACKNOWLEDGE = "acknowledge"


LABELS: Mapping[Button, str] = {Button.ACKNOWLEDGE: "Acknowledge"}
