"""What the clock does to a task whose alarms it rings."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from service.domain.alarms import OVERDUE, Alarm
from service.domain.model import Kind
from service.engine.alarm_clock import AlarmClock
from service.store.tasks import TaskState
from tests.harness.tasks import START, task

AN_HOUR_BEFORE = Alarm(Kind.STARTING_SOON, "start", timedelta(hours=-1))


def test_what_another_worker_has_rung_stays_rung() -> None:
    """Its clock is half a minute ahead: what it has announced is not still to come."""
    ahead = START + timedelta(seconds=30)
    alarm_clock = AlarmClock(frozenset({OVERDUE, AN_HOUR_BEFORE}), {"london": ZoneInfo("UTC")})
    known = alarm_clock.announce(TaskState(task(), announced_until={"due": ahead}), START)
    assert known.announced_until == {"due": ahead, "start": START}
