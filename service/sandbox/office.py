"""Simulated office work on the emulated systems, so that the demo has events."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle

from service.clock import Clock
from service.sandbox.app import Sandbox
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.kickserv import Kickserv, customer, employee
from service.sandbox.plannr import Plannr, person

FIRST_ROUND, LATER = 2.0, 8.0  # seconds between two things that happen
SETTLING_IN = 2.0
MOST_TASKS = 30

ADVISERS = [person(name) for name in ("Gwen Thomas", "Amir Khan", "Beth Lowe")]
CREW = [employee(name, number) for number, name in enumerate(("Bo Reed", "Kim Park"), 4)]
CUSTOMERS = [
    customer(name, number)
    for number, name in enumerate(("Ida Smith", "Omar Diaz", "June Ford"), 13579)
]
ERRANDS = ("Review the pension of the Olsens", "Chase the provider", "Check the mortgage papers")
VISITS = ("Clean the gutters", "Mend the fence", "Inspect the boiler")


class Office:
    """The staff of a company of advisers and of a field crew, who work without end."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self._plannr = sandbox.plannr
        self._kickserv = sandbox.kickserv
        self._clock = clock
        self._errands = cycle(ERRANDS)
        self._visits = cycle(VISITS)
        self._advisers = cycle(ADVISERS)
        self._crew = cycle(CREW)
        self._customers = cycle(CUSTOMERS)

    async def run(self) -> None:
        """Create tasks, wait until both systems have been read, then work forever."""
        self.furnish()
        await self._plannr.watched.wait()
        await self._kickserv.watched.wait()
        await asyncio.sleep(SETTLING_IN)
        for act in (*self.acts, self.have_message_refused, self.lose_answer):
            act()
            await asyncio.sleep(FIRST_ROUND)
        for act in cycle(self.acts):
            act()
            await asyncio.sleep(LATER)

    @property
    def acts(self) -> tuple[Callable[[], None], ...]:
        """The actions, repeated in this order."""
        return (
            self.finish_errand,
            self.let_task_become_overdue,
            self.move_visit,
            self.begin_visit,
            self.finish_visit,
            self.hand_errand_over,
            self.tidy,
        )

    def furnish(self) -> None:
        """The tasks that exist before the first read."""
        for days in (1, 2, 3):
            self._errand(timedelta(days=days))
            self._visit(timedelta(days=days))

    def finish_errand(self) -> None:
        """Complete a task; Plannr sends a webhook."""
        self._plannr.finish(_open_errands(self._plannr)[0])
        self._errand(timedelta(days=1))

    def let_task_become_overdue(self) -> None:
        """Let a task become overdue; there is no webhook, only an alarm."""
        self._errand(timedelta(seconds=4))

    def begin_visit(self) -> None:
        """Begin a visit that a customer should be told about."""
        self._visit(timedelta(minutes=25))

    def have_message_refused(self) -> None:
        """Begin a visit of which Kickserv refuses to tell the customer: the message fails."""
        self._kickserv.faults.set(Fault(FaultKind.REJECTED, path="notify"))
        self.begin_visit()

    def lose_answer(self) -> None:
        """Begin a visit of which the customer is told, but Taskbell cannot know it."""
        self._kickserv.faults.set(Fault(FaultKind.RESET_AFTER, path="notify"))
        self.begin_visit()

    def finish_visit(self) -> None:
        """Complete a visit; Kickserv sends no webhook, so that only polling finds it."""
        self._kickserv.finish(_open_visits(self._kickserv)[0])
        self._visit(timedelta(days=1))

    def move_visit(self) -> None:
        """Move the newest visit, which has been read since it was made."""
        start = self._clock.now() + timedelta(days=2, hours=3)
        task_id = _open_visits(self._kickserv)[-1]
        self._kickserv.change(task_id, scheduled_at=start, ends_at=start + timedelta(hours=1))

    def hand_errand_over(self) -> None:
        self._plannr.change(_open_errands(self._plannr)[0], assigned_to=next(self._advisers))

    def tidy(self) -> None:
        """Delete the oldest tasks when there are too many."""
        for task_id in list(self._plannr.tasks)[:-MOST_TASKS]:
            self._plannr.delete(task_id)
        for task_id in list(self._kickserv.tasks)[:-MOST_TASKS]:
            self._kickserv.delete(task_id)

    def _errand(self, due_in: timedelta) -> None:
        due = self._clock.now() + due_in
        self._plannr.make(name=next(self._errands), due=due, assigned_to=next(self._advisers))

    def _visit(self, starts_in: timedelta) -> None:
        start = self._clock.now() + starts_in
        self._kickserv.make(
            name=next(self._visits),
            scheduled_at=start,
            ends_at=start + timedelta(hours=1),
            customer=next(self._customers),
            employees=[next(self._crew)],
        )


def _open_errands(plannr: Plannr) -> list[str]:
    return [key for key, task in plannr.tasks.items() if task["completed_at"] is None]


def _open_visits(kickserv: Kickserv) -> list[str]:
    name = kickserv.quirks.completed_field
    return [key for key, task in kickserv.tasks.items() if task[name] is None]
