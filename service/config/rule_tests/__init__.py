"""Rule tests: the tests under `tests:` in a configuration, run on a virtual clock.

Nothing is sent and no database is needed: a test runs in `service.simulator` with made-up tasks.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from service.domain.operators.silences import Silence

Values: TypeAlias = Mapping[str, Any]
"""Fields of a task, with what `service.domain.model.Task` holds in them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One result that a test expects from the rules.

    Either a message: `verb` is notify, updated, cancelled, skipped, expired, held or failed, `what`
    its address, `contains` the parts of its text. Or a write: `verb` is create_task, update_task,
    complete_task, reopen_task or delete_task, `fields` the written fields. If `subject` or `fields`
    is None, any value matches.
    """

    verb: str
    what: str = ""
    contains: tuple[str, ...] = ()
    subject: str | None = None
    fields: Mapping[str, Any] | None = None

    @property
    def demands(self) -> int:
        """The number of details that it requires, beside a verb and an address."""
        return len(self.contains) + len(self.fields or ()) + (self.subject is not None)

    def __str__(self) -> str:
        parts = [] if self.subject is None else [f'the subject "{self.subject}"']
        parts += [f'"{text}"' for text in self.contains]
        said = f" with {' and '.join(parts)}" if parts else ""
        return f"{self.verb} {self.what or listed(self.fields)}".rstrip() + said


@dataclass(frozen=True, slots=True)
class RuleTestStep:
    """Changes of tasks at a time (in the configuration's zone), and the expected results.

    - `place`: the file and line
    - `changes`, `signals`: changes of tasks and signals about them, by their ids; None for a task
      that is deleted
    - `expected`: all results since the step before; None: not checked
    - `fails`: channels whose deliveries fail since the step before
    """

    place: str
    at: datetime
    changes: Mapping[str, Values | None]
    signals: Mapping[str, str]
    expected: Sequence[Expected] | None
    fails: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test of the rules with these ids, on tasks of one account, unless they name another.

    `given` are the tasks that exist at its `start`, by their ids. `silences` apply as if an
    operator had set them.
    """

    name: str
    place: str
    start: datetime
    account: str
    rules: frozenset[str]
    given: Mapping[str, Values]
    steps: Sequence[RuleTestStep]
    silences: Sequence[Silence] = ()

    @property
    def file(self) -> str:
        """The file that contains it."""
        return self.place.rpartition(":")[0]


def listed(fields: Mapping[str, Any] | None) -> str:
    """Fields and their values, for people; dates are shown in their own zone."""
    return ", ".join(
        f'{name} "{value:%Y-%m-%d %H:%M}"' if isinstance(value, datetime) else f'{name} "{value}"'
        for name, value in (fields or {}).items()
    )
