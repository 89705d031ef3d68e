"""`group`: which digest an event or a task belongs to, and how people read that."""

from dataclasses import dataclass
from datetime import timedelta

from service.rules.language.expressions import EvaluationError, Expression
from service.rules.language.scope import Scope

# As many tasks as a text can tell of, with the limits that templates have.
MOST = 500

# Part of an index, of which PostgreSQL holds no entry above 2704 bytes.
_LONGEST_KEY = 320  # characters
_IN_COMPANY = "; added to the digest for "
_AS_WRITTEN = (_IN_COMPANY, "; told with others of ")  # the latter by earlier versions


@dataclass(frozen=True, slots=True)
class Grouping:
    """One digest for each value of `by`, open for `wait` or until it has `most` tasks.

    In a rule by a schedule `wait` is zero: what was chosen is told at once.
    """

    by: Expression
    wait: timedelta
    most: int

    def key(self, scope: Scope) -> str:
        """The key of the digest that the event belongs to; raises EvaluationError."""
        key = self.by.key(scope.activation, scope.zone).replace("\0", "")
        if len(key) > _LONGEST_KEY:
            raise EvaluationError(self.by.text, f"{len(key)} characters are too long for a group")
        return key


def named(key: str) -> str:
    """The key of a digest as people read it."""
    return key or "(no value)"


def in_company(grounds: str, key: str) -> str:
    """The reason of an event that joined a digest."""
    return f"{grounds}{_IN_COMPANY}{named(key)}"


def company(reason: str) -> str:
    """The key, as people read it, back from a reason that `in_company` has made."""
    return min((reason.rpartition(words)[2] for words in _AS_WRITTEN), key=len)
