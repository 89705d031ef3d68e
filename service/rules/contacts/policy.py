"""`contacts:`: the policy for every message that reaches a customer, whatever its rule says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from service.domain.contacts import Choices, ContactKey, KeyKind, Keys, Receivers
from service.domain.days import FIRST, Calendar
from service.domain.model import State
from service.domain.opening_hours import Hours
from service.rules.language.date_format import DATE_FORMAT
from service.rules.recipients import OPTED_OUT
from service.rules.timing import RuleHours, SendDecision, Timing

NOT_AGREED = "the customer has not agreed to get messages (`consent: opt_in`)"


@dataclass(frozen=True, slots=True)
class ContactsPolicy:
    """When messages reach customers.

    - `asks_first`: only those who have agreed get messages
    - `hours`: the opening hours in which messages are sent; None: at any time
    - `per_day`: the most messages to one customer on a day in the account's zone
    - `same_by`: by which addresses a customer of one account is recognised in another
    """

    asks_first: bool = False
    hours: Hours | None = None
    per_day: int | None = None
    same_by: frozenset[Literal["phone", "email"]] = frozenset()

    def refusal(self, receivers: Receivers, choices: Choices, now: datetime) -> str | None:
        """Why these recipients get no message, for the choice of one of them; else None."""
        if choices.refuses(receivers, now) is not None:
            return OPTED_OUT
        if self.asks_first and not choices.agree(receivers, now):
            return NOT_AGREED
        return None

    def off_hours(
        self, now: datetime, expires_at: datetime | None, zone: ZoneInfo
    ) -> SendDecision | None:
        """The decision on a message to a customer that is due outside the hours."""
        timing = Timing((RuleHours(self.hours),)) if self.hours is not None else Timing()
        return timing.off_hours(None, now, expires_at, zone)

    def too_many(self, now: datetime, expires_at: datetime | None, zone: ZoneInfo) -> SendDecision:
        """The decision on a message to a customer who has got enough today: it waits.

        Until the next day, or until the hours begin then.
        """
        tomorrow = _begin(Calendar(zone), now, 1)
        closed = self.off_hours(tomorrow, None, zone)
        again_at = tomorrow if closed is None or closed.state is not State.HELD else closed.send_at
        until = again_at.astimezone(zone).strftime(DATE_FORMAT)
        said = f"the customer already got {self._many} today"
        if expires_at is not None and expires_at <= again_at:
            reason = f"{said}, and this one expires before {until}"
            return SendDecision(State.SKIPPED, now, reason, expires_at)
        return SendDecision(State.HELD, again_at, f"{said}: waiting until {until}", expires_at)

    @property
    def _many(self) -> str:
        return "1 message" if self.per_day == 1 else f"{self.per_day} messages"

    def sent_since(self, now: datetime, zone: ZoneInfo) -> datetime:
        """Since when the messages of a customer count (UTC): the beginning of their day."""
        return _begin(Calendar(zone), now, 0)

    def counted(self, receivers: Receivers, account: str) -> list[Keys]:
        """The keys by which the messages to each customer of this account are counted."""
        return [self._counted_by(one, account) for one in receivers.customers]

    def _counted_by(self, customer: Keys, account: str) -> Keys:
        """The id; addresses if they are recognised in other accounts, or if there is no id."""
        own = {one for one in customer if one.kind is KeyKind.CUSTOMER}
        shared = {one for one in customer if one.kind in self.same_by}
        left = frozenset() if own else customer - shared
        within = (ContactKey(one.kind, one.value, account) for one in left)
        return frozenset({*own, *shared, *within})


def _begin(calendar: Calendar, now: datetime, days: int) -> datetime:
    """When the day begins that is so many days after the one of this time."""
    return calendar.at(calendar.day_of(now) + timedelta(days=days), FIRST)
