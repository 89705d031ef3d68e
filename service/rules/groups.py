"""`group`: the digest that an event or a task belongs to, its displayed name, and its accounts."""

from dataclasses import dataclass
from datetime import timedelta

from service.rules.language.expressions import EvaluationError, Expression
from service.rules.language.scope import Scope

# The most tasks that a text can list within the limits of templates.
MOST = 500

# Part of an index, of which PostgreSQL holds no entry above 2704 bytes.
_LONGEST_KEY = 320  # characters


@dataclass(frozen=True, slots=True)
class Grouping:
    """One digest for each value of `by`, open for `wait` or until it has `most` tasks.

    For a scheduled rule `wait` is zero: the selected tasks are sent at once, and if there are none,
    an empty digest where `when_empty`. Then `by` does not read the task.
    """

    by: Expression
    wait: timedelta
    most: int
    when_empty: bool = False

    def key(self, scope: Scope) -> str:
        """The key of the digest that the event belongs to; raises EvaluationError."""
        key = self.by.key(scope.activation, scope.zone).replace("\0", "")
        if len(key) > _LONGEST_KEY:
            raise EvaluationError(self.by.text, f"{len(key)} characters are too long for a group")
        return key


@dataclass(frozen=True, slots=True)
class Together:
    """The accounts for which a rule acts once, by the zone and under the name of `lead`."""

    lead: str
    accounts: frozenset[str]


def named(key: str) -> str:
    """The displayed name of the digest with this key."""
    return key or "(no value)"
