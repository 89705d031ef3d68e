"""When a rule's alarm rings for a task, or why it does not: in words."""

from datetime import datetime
from zoneinfo import ZoneInfo

from service.alarms import Alarm, Rung, was_rung
from service.model import DAYS, Task
from service.rules.date_format import shown
from service.store.tasks import Known


def next_ring(alarm: Alarm, known: Known, zone: ZoneInfo, now: datetime) -> str:
    """When the alarm rings, or why it does not, in the account's zone."""
    task = known.present
    if task is None or not task.is_open:
        return f"the task is {standing(task)}, and the clock looks at open tasks only"
    at = alarm.instant(task, zone)
    if at is None and alarm.lacks_time(task):
        return (
            f"it counts from the time of {alarm.field}, which is the whole of"
            f" {date_shown(task, alarm.field, zone)}; a reminder with `at:` rings for such a task"
        )
    if at is None:
        return f"it rings by the date {alarm.field}, which the task does not have"
    if at > now and not was_rung(alarm, at, known.rung):
        return f"rings {told(at, zone)}, if the task is open then and its {alarm.field} stays"
    return f"its moment was {told(at, zone)}; {_past(alarm, task, at, known.rung, now)}"


def _past(alarm: Alarm, task: Task, at: datetime, rung: Rung, now: datetime) -> str:
    if was_rung(alarm, at, rung):
        return f"for this {alarm.field} date it does not ring again"
    if alarm.is_pointless(task, now):
        return "now it is too late for it"
    return "it rings as soon as a worker looks at the clock"


def standing(task: Task | None) -> str:
    """How a task stands; None is one that is gone."""
    if task is None:
        return "deleted"
    return "done" if task.done else "archived" if task.archived else "open"


def date_shown(task: Task, name: str, zone: ZoneInfo) -> str:
    """A date of a task, without a clock time where it is a day."""
    return shown(getattr(task, name), zone, is_day=getattr(task, DAYS[name]))


def told(moment: datetime, zone: ZoneInfo) -> str:
    """A moment in a zone, as templates show it."""
    return shown(moment, zone)
