"""Messages of a system to a customer about a visit: sent once, whichever rule causes them.

"On the way" is sent once for the day on which the visit begins. The details are sent once for each
announced time. Two accounts that read the same data have the same visits, also if their time zones
differ. If the customer of a task changes, it is another visit.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

import orjson

from service.domain.model import Task

_SENT_ONCE = frozenset({"on_the_way", "details"})


@dataclass(frozen=True, slots=True)
class Visit:
    """The content of a message: which visit and customer (`key`), and for which day or time.

    `announced` is the time, after the day if that is what counts: of the same time it may be
    another one in the zone of another account.
    """

    key: str
    announced: str

    def as_of(self, target: str, task: Task, now: datetime, zone: ZoneInfo) -> "Visit":
        """The same visit as its system tells of it now: it may have been moved since."""
        return replace(self, announced=_announced(target, task, now, zone))


@dataclass(frozen=True, slots=True)
class VisitAnnouncement:
    """The last announcement of a visit: for which day or time, by which rule, in which account."""

    announced: str
    rule: str
    account: str

    def is_of(self, visit: Visit) -> bool:
        """Whether it is for the day or the time of this visit."""
        if self.announced == visit.announced:
            return True
        return not set(self.announced.split()).isdisjoint(visit.announced.split())

    def reason(self, target: str, account: str) -> str:
        """Why another message with the same content, in this account, is not sent."""
        where = "" if account == self.account else f" in account {self.account}"
        return f"already sent: rule {self.rule}{where} has sent {target} for this visit"


def announced_visit(
    channel: str, target: str, tenant: str, task: Task | None, now: datetime, zone: ZoneInfo
) -> Visit | None:
    """The visit that this message is about; None if it may be sent any number of times.

    `tenant` is the owner of the account's data (`Capabilities.tenant`), `zone` the account's. A
    visit without a date is on the day of `now`.
    """
    if channel != "customer" or target not in _SENT_ONCE or task is None:
        return None
    said = orjson.dumps([target, tenant, task.id, _whom(task)])
    return Visit(blake2b(said, digest_size=16).hexdigest(), _announced(target, task, now, zone))


def _announced(target: str, task: Task, now: datetime, zone: ZoneInfo) -> str:
    begins = task.start or task.due
    moment = "" if begins is None else begins.astimezone(UTC).isoformat()
    if target == "on_the_way":
        day = (begins or now).astimezone(zone).date().isoformat()
        return f"{day} {moment}".rstrip()
    return moment


def _whom(task: Task) -> str:
    customer = task.customer
    if customer is None:
        return ""
    return customer.id or customer.email or customer.phone or customer.name or ""
