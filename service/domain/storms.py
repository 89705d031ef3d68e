"""The storm guard: how many messages at once are more than anybody can have meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

# How many times the usual is a storm, over how long that is taken, and from how many spans of time.
TIMES = 10
LOOK_BACK = timedelta(days=30)
ENOUGH = 20
# As many as one rule may send forty people on a Monday, a few to each.
A_MORNING = 150


@dataclass(frozen=True, slots=True)
class StormScope:
    """Messages that count together: those to an account's customers, by whichever rule and way.

    Others count by the `rule` that sends them and their `receiver`, such as `slack:#office`; and by
    their rule over all receivers, where that is None.
    """

    account: str
    rule: str | None = None
    receiver: str | None = None

    @property
    def key(self) -> str:
        """Identifies it; the names of accounts and rules have no spaces."""
        parts = (self.account, self.rule, self.receiver)
        return " ".join(part for part in parts if part is not None)

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Read what `key` gave."""
        return cls(*key.split(" ", 2))

    @property
    def is_of_customers(self) -> bool:
        return self.rule is None

    @property
    def is_of_rule(self) -> bool:
        """Whether it is all that a rule sends, to whomever but customers."""
        return self.rule is not None and self.receiver is None

    @property
    def wider(self) -> Self | None:
        """All that the same rule sends to whomever, for messages to one receiver."""
        return None if self.receiver is None else type(self)(self.account, self.rule)

    def messages(self, count: int) -> str:
        """So many of them, in words."""
        if self.is_of_customers:
            return f"{count} customer messages"
        to = "" if self.receiver is None else f" to {self.receiver}"
        return f'{count} messages{to} from rule "{self.rule}"'


@dataclass(frozen=True, slots=True)
class StormGuard:
    """How many messages `within` a span of time are a storm.

    More than `messages` to the customers of one account; more than `per_target` of one rule to one
    receiver that is no customer, or twice as many as `messages` where that is None; more than
    `per_rule` of one rule to whomever else, or three times as many as `messages` and no fewer than
    a firm of forty people is told of in a morning.
    """

    messages: int = 50
    within: timedelta = timedelta(minutes=10)
    per_target: int | None = None
    per_rule: int | None = None

    def most(self, flood: StormScope) -> int:
        """How many of these may go out."""
        if flood.is_of_customers:
            return self.messages
        if flood.is_of_rule:
            return self.per_rule or max(3 * self.messages, A_MORNING)
        return self.per_target or 2 * self.messages

    def is_unusual(self, flood: StormScope, count: int) -> bool:
        """Whether it is worth asking what is usual: ten times that is at least ten."""
        return flood.is_of_customers and TIMES < count <= self.messages

    def refusal(self, flood: StormScope, count: int, usual: float | None) -> str | None:
        """Why so many are held; None where they are not too many. For `usual` see `usual_of`."""
        most = self.most(flood)
        if count > most:
            why = f"limit {most}"
        elif usual is not None and count > TIMES * usual:
            why = f"more than {TIMES} times the usual {usual:.1f}"
        else:
            return None
        minutes = self.within.total_seconds() / 60
        said = f"{flood.messages(count)} in {minutes:g} minutes"
        return f"on hold, too many at once: {said} ({why})"


@dataclass(frozen=True, slots=True)
class Lately:
    """By the key of a flood: why a storm holds its messages, and when others have gone out.

    `ended` is when somebody decided about its last storm: what went out before does not count.
    """

    reasons: Mapping[str, str] = field(default_factory=dict)
    sent: Sequence[tuple[str, datetime]] = ()
    ended: Mapping[str, datetime] = field(default_factory=dict)


def usual_of(messages: int, spans: int) -> float | None:
    """How many customer messages go out in a span in which any do; None where too little is known.

    A span of time is as long as `StormGuard.within`.
    """
    return messages / spans if spans >= ENOUGH else None


def usual(sent: Sequence[datetime], within: timedelta) -> float | None:
    """The same of the moments at which they were sent."""
    return usual_of(
        len(sent), len({moment.timestamp() // within.total_seconds() for moment in sent})
    )
