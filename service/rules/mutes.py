"""`muted_by`: a rule sends nothing while a message of another rule explains the same problem.

For example, while a job is overdue, its visits need not be reported one by one. Tasks belong
together if certain fields are the same in both: no system reports which task is the parent of
another.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b

import orjson

from service.rules.language.expressions import EvaluationError, Expression
from service.rules.language.field_reads import Reads
from service.rules.language.scope import Scope
from service.rules.verdict import Plan


@dataclass(frozen=True, slots=True)
class MuteRule:
    """`rule` mutes another one about tasks for which all of `same` have the same values."""

    rule: str
    same: tuple[Expression, ...]

    def key(self, scope: Scope) -> str | None:
        """The values that both tasks must share; None if one is empty, as that never matches."""
        try:
            values = [one.key(scope.activation, scope.zone) for one in self.same]
        except EvaluationError:
            return None
        if not all(values):
            return None
        said = orjson.dumps([scope.event.account, [one.text for one in self.same], values])
        return f"{self.rule}:{blake2b(said, digest_size=16).hexdigest()}"


@dataclass(frozen=True, slots=True)
class MuteIndex:
    """The rules that mute this one, and the rules that it mutes."""

    by: MuteRule | None = None
    others: tuple[MuteRule, ...] = ()

    @property
    def reads(self) -> Reads:
        expressions = [one for muting in self._all() for one in muting.same]
        return frozenset[tuple[str, str]]().union(*(one.reads for one in expressions))

    def marked(self, plans: tuple[Plan, ...], scope: Scope) -> tuple[Plan, ...]:
        """The same plans, with the keys under which they mute others and are muted."""
        if not self._all():
            return plans
        muted_by = None if self.by is None else self.by.key(scope)
        keys = {key for one in self.others if (key := one.key(scope)) is not None}
        return tuple(replace(plan, muted_by=muted_by, mutes=tuple(sorted(keys))) for plan in plans)

    def _all(self) -> tuple[MuteRule, ...]:
        return self.others if self.by is None else (self.by, *self.others)
