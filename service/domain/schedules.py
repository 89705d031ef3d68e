"""Schedules: the times of a cron expression in a time zone. Pure arithmetic.

`cronsim` interprets them as Debian's cron does at clock changes: a time that does not exist on that
day in spring comes right after the gap, a time that exists twice in autumn comes once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from service.diagnostics import refused

# A slot that was missed, because no worker ran, is still processed while it is younger than this.
LATE = timedelta(hours=1)
# How long a rule with `together` waits for accounts that are not read yet. Then it acts by what is
# known, as the alarms of one account do (`service.store.outages`).
PATIENCE = timedelta(minutes=30)

NONE_TOGETHER: Mapping[str, datetime] = MappingProxyType({})
"""No rule with `together`; else by rule what was due until then it may do now (UTC)."""

_PARTS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_HINT = 'write minute, hour, day of the month, month and day of the week: "30 7 * * 1-5"'
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def parse_cron(text: str) -> str:
    """A cron expression of five parts, normalised; raises ValueError with the error."""
    parts = text.split()
    if len(parts) != len(_PARTS):
        raise refused(f"a schedule must have five parts, not {len(parts)}", _HINT)
    cron = " ".join(parts)
    try:
        coming = next(CronSim(cron, _ANY_DAY), None)
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        wrong = parts[_PARTS.index(name)]
        raise refused(f"{wrong} is not a valid {name.replace('-', ' ')}", _HINT) from None
    if coming is None:
        raise refused("there is no such day", _HINT)
    return cron


def lateness(at: datetime, now: datetime) -> str:
    """The suffix of a reason: `, 20 minutes late`, or nothing below one minute."""
    minutes = (now - at) // timedelta(minutes=1)
    return f", {minutes} minute{'' if minutes == 1 else 's'} late" if minutes > 0 else ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression in an account's zone. All times are UTC."""

    cron: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """The first slot after this time; None if there is none."""
        return next(self._from(moment), None)

    def latest(self, due: datetime, now: datetime) -> datetime | None:
        """The last slot from `due` up to now that is not older than `LATE`."""
        last = None
        for slot in self._from(max(due - timedelta(seconds=1), now - LATE)):
            if slot > now:
                break
            last = slot
        return last

    def _from(self, moment: datetime) -> Iterator[datetime]:
        for slot in CronSim(self.cron, moment.astimezone(self.zone)):
            at = slot.astimezone(UTC)
            # Starting inside the hour that exists twice, cronsim goes back to the first of the two.
            if at > moment:
                yield at


@dataclass(frozen=True, slots=True)
class Slot:
    """A due slot of a rule's schedule in an account. All times are UTC.

    `due` is the first slot that was not processed yet, `at` the latest one up to now, for which the
    rule is evaluated; None if that is too long ago. `outdated` is as in
    `Event`.
    """

    rule: str
    account: str
    schedule: Schedule
    due: datetime
    at: datetime | None
    outdated: str | None = None
