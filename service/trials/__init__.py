"""Rule tests: what a configuration says under `tests:`, tried on a virtual clock.

Nothing is sent and no database is needed: a trial is a `service.rehearsal` with made-up tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing that should have happened: `verb` with `what`, and what its text should hold.

    `verb` is notify, updated, cancelled, skipped, expired or held, with the address as `what`; or
    create_task, update_task or complete_task with the `fields` written. None stands for anything.
    """

    verb: str
    what: str = ""
    contains: tuple[str, ...] = ()
    subject: str | None = None
    fields: Fields | None = None

    def __str__(self) -> str:
        said = "".join(f' with "{text}"' for text in self.contains)
        written = f" {dict(self.fields)}" if self.fields else ""
        return f"{self.verb} {self.what}{written}".rstrip() + said


@dataclass(frozen=True, slots=True)
class Step:
    """At a moment (local time of the configuration) tasks change; then, what should be so.

    `changes` has by its id what changes of each task, None for one that is deleted; `signals`
    what was pushed about it. `expected` None says nothing about what is sent.
    """

    at: datetime
    changes: Mapping[str, Fields | None]
    signals: Mapping[str, str]
    expected: Sequence[Expected] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule test. `rules` None: all of them; `account` is whose tasks these are."""

    name: str
    place: str
    start: datetime
    account: str
    rules: frozenset[str] | None
    given: Sequence[Fields]
    steps: Sequence[Step]
