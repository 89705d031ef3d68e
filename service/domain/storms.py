"""The storm guard: limits for unusually many messages at once."""

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

TOO_MANY = "on hold, too many at once: "


@dataclass(frozen=True, slots=True)
class StormScope:
    """Messages that count together: those to an account's customers, by any rule and channel.

    Others count by the `rule` that sends them and their `receiver`, such as `slack:#office`; and by
    their rule over all receivers, if `receiver` is None.
    """

    account: str
    rule: str | None = None
    receiver: str | None = None

    @property
    def key(self) -> str:
        """Its text form; the names of accounts and rules have no spaces."""
        parts = (self.account, self.rule, self.receiver)
        return " ".join(part for part in parts if part is not None)

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Parse the result of `key`."""
        return cls(*key.split(" ", 2))

    @property
    def is_of_customers(self) -> bool:
        return self.rule is None

    @property
    def is_of_rule(self) -> bool:
        """Whether it is all that a rule sends, except to customers."""
        return self.rule is not None and self.receiver is None

    @property
    def wider(self) -> Self | None:
        """The messages of the same rule to all receivers, for messages to one receiver."""
        return None if self.receiver is None else type(self)(self.account, self.rule)

    def messages(self, count: int) -> str:
        """The number of these messages, as text."""
        if self.is_of_customers:
            return f"{count} customer messages"
        to = "" if self.receiver is None else f" to {self.receiver}"
        return f'{count} messages{to} from rule "{self.rule}"'


@dataclass(frozen=True, slots=True)
class StormGuard:
    """How many messages `within` a period are a storm.

    - More than `messages` to the customers of one account
    - More than `per_target` of one rule to one receiver who is not a customer; default: twice
      `messages`
    - More than `per_rule` of one rule to all such receivers; default: three times `messages`, but
      at least as many as a company of forty people gets in a morning
    """

    messages: int = 50
    within: timedelta = timedelta(minutes=10)
    per_target: int | None = None
    per_rule: int | None = None

    def most(self, flood: StormScope) -> int:
        """How many of these may be sent."""
        if flood.is_of_customers:
            return self.messages
        if flood.is_of_rule:
            return self.per_rule or max(3 * self.messages, A_MORNING)
        return self.per_target or 2 * self.messages

    def is_unusual(self, flood: StormScope, count: int) -> bool:
        """Whether the usual number matters: ten times that number is at least ten."""
        return flood.is_of_customers and TIMES < count <= self.messages

    def refusal(self, flood: StormScope, count: int, usual: float | None) -> str | None:
        """Why so many are held; None if they are not too many. For `usual` see `usual_of`."""
        most = self.most(flood)
        if count > most:
            why = f"limit {most}"
        elif usual is not None and count > TIMES * usual:
            why = f"more than {TIMES} times the usual {usual:.1f}"
        else:
            return None
        minutes = self.within.total_seconds() / 60
        said = f"{flood.messages(count)} in {minutes:g} minutes"
        return f"{TOO_MANY}{said} ({why})"


@dataclass(frozen=True, slots=True)
class Lately:
    """By the key of a storm group: why a storm holds it, and when its messages were sent.

    `ended` is when its last storm was decided: messages sent before do not count.
    """

    reasons: Mapping[str, str] = field(default_factory=dict)
    sent: Sequence[tuple[str, datetime]] = ()
    ended: Mapping[str, datetime] = field(default_factory=dict)


def usual_of(messages: int, spans: int) -> float | None:
    """The average number of customer messages in a period with any; None if too little is known.

    A period is as long as `StormGuard.within`.
    """
    return messages / spans if spans >= ENOUGH else None


def usual(sent: Sequence[datetime], within: timedelta) -> float | None:
    """The same, from the times at which they were sent."""
    return usual_of(
        len(sent), len({moment.timestamp() // within.total_seconds() for moment in sent})
    )
