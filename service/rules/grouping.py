"""What events or tasks have in common when a rule tells of them at once."""

from dataclasses import dataclass
from datetime import timedelta

from service.rules.expressions import EvaluationError, Expression
from service.rules.scope import Scope

# As many tasks as a text can tell of, with the limits that templates have.
MOST = 500

# Part of an index, of which PostgreSQL holds no entry above 2704 bytes.
_LONGEST_KEY = 320  # characters
_IN_COMPANY = "; told with others of "


@dataclass(frozen=True, slots=True)
class Grouping:
    """A digest for each value of `by`. It is open for `wait`, and takes `most` tasks.

    What a schedule has chosen is told at once: there `wait` is nothing.
    """

    by: Expression
    wait: timedelta
    most: int

    def key(self, scope: Scope) -> str:
        """What the event belongs to; raises EvaluationError."""
        key = self.by.key(scope.activation, scope.zone).replace("\0", "")
        if len(key) > _LONGEST_KEY:
            raise EvaluationError(f"{self.by.text}: {len(key)} characters are too long for a group")
        return key


def named(key: str) -> str:
    """How a person reads what a digest is of."""
    return key or "nobody and nothing"


def in_company(grounds: str, key: str) -> str:
    """The reason of an event that joined a digest."""
    return f"{grounds}{_IN_COMPANY}{named(key)}"


def company(reason: str) -> str:
    """What the digest is of that an event joined for this reason, as a person reads it."""
    return reason.rpartition(_IN_COMPANY)[2]
