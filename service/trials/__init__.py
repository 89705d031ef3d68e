"""Rule tests: what a configuration says under `tests:`, tried on a virtual clock.

Nothing is sent and no database is needed: a trial is a `service.rehearsal` with made-up tasks.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from service.silence import Silence

Values: TypeAlias = Mapping[str, Any]
"""Fields of a task, with what `service.model.Task` holds in them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing that should have happened: `verb` with `what`, and what its text should hold.

    `verb` is notify, updated, cancelled, skipped, expired, held or failed, with the address as
    `what`; or create_task, update_task or complete_task with the `fields` written. None stands for
    anything.
    """

    verb: str
    what: str = ""
    contains: tuple[str, ...] = ()
    subject: str | None = None
    fields: Mapping[str, Any] | None = None

    @property
    def demands(self) -> int:
        """In how many ways it is more than a verb and an address."""
        return len(self.contains) + len(self.fields or ()) + (self.subject is not None)

    def __str__(self) -> str:
        parts = [] if self.subject is None else [f'the subject "{self.subject}"']
        parts += [f'"{text}"' for text in self.contains]
        said = f" with {' and '.join(parts)}" if parts else ""
        return f"{self.verb} {self.what or listed(self.fields)}".rstrip() + said


@dataclass(frozen=True, slots=True)
class TrialStep:
    """At a moment (in the configuration's zone) tasks change; then, what should be so.

    `changes` has by its id what changes of each task, None for one that is deleted; `signals`
    what was pushed about it. `fails` are the ways by which nothing can be sent since the step
    before. `expected` None says nothing about what is sent. `place` is the file and line.
    """

    place: str
    at: datetime
    changes: Mapping[str, Values | None]
    signals: Mapping[str, str]
    expected: Sequence[Expected] | None
    fails: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule test, of the rules with these ids; `account` is whose tasks these are.

    `given` are the tasks that are there at its `start`, by their ids; `silences` are those that
    somebody has set.
    """

    name: str
    place: str
    start: datetime
    account: str
    rules: frozenset[str]
    given: Mapping[str, Values]
    steps: Sequence[TrialStep]
    silences: Sequence[Silence] = ()


def listed(fields: Mapping[str, Any] | None) -> str:
    """Fields and their values, for people; dates on the clock they have."""
    return ", ".join(
        f'{name} "{value:%Y-%m-%d %H:%M}"' if isinstance(value, datetime) else f'{name} "{value}"'
        for name, value in (fields or {}).items()
    )
