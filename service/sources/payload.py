"""Parses webhook bodies, in the same way for every system.

Accepted are the system's own task JSON, alone, in a list or in its list envelope; an envelope with
`event` or `type` and the task under `data`, `task` or `payload`; a hint that has little more than
an id; and a signal, which does not change the state of a task.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from service.domain.model import Kind
from service.errors import PayloadError, TaskbellError
from service.http.json_body import decoded
from service.sources import Source
from service.sources.reader import Raw
from service.sources.values import identifier, text

MOST_TOLD = 1000  # tasks, or signals, that one body may have
CONTENTS = ("data", "task", "payload")
DEEPEST, DEEPEST_KEPT = 4, 100
SECRETS = frozenset({"password_salt", "encrypted_password", "remember_token"})
_SECRETS = [name.encode() for name in SECRETS]
_ANNOUNCED = {kind.value: kind for kind in (Kind.CREATED, Kind.COMPLETED, Kind.DELETED)}
ESCAPE = b"\\u"  # behind which any name can hide
_TOO_DEEP = f"the body nests more than {DEEPEST_KEPT} levels deep"


@dataclass(frozen=True, slots=True)
class FullTask:
    """A complete task. `announced`: the change that the sender announces."""

    raw: Raw
    announced: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True)
class TaskRef:
    """A task to be read by id: the webhook has too few fields, or announces a deletion.

    `announced` is the announced change, `content` the webhook's data about the task.
    """

    task_id: str
    announced: Kind = Kind.CHANGED
    content: Raw = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class SignalSighting:
    """A signal about a task, which does not change it."""

    name: str
    task_id: str


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """A row of a list in which no task can be read."""

    reason: str


Sighting: TypeAlias = FullTask | TaskRef | SignalSighting | UnreadableItem


class TooManyTasks(TaskbellError):
    """One body has more tasks than are accepted; `of_signals` says that it contains signals."""

    def __init__(self, what: str, *, of_signals: bool = False) -> None:
        super().__init__(f"it covers {what}" + ("; send fewer at once" if of_signals else ""))
        self.of_signals = of_signals


def read(source: Source, payload: Any) -> list[Sighting]:
    """The contents of a decoded body, in order; raises PayloadError if it contains no task.

    An event about something else than tasks (`case.updated`) has no contents: []. Raises
    TooManyTasks if there are more than MOST_TOLD.
    """
    return _Reader(source).read(payload, event="", depth=1)


def without_secrets(body: bytes) -> bytes:
    """A JSON body as it may be stored: without the password fields of Kickserv's employees.

    Raises PayloadError if it is nested more deeply than any task.
    """
    if ESCAPE not in body and not _names_secret(body):
        return body
    written = decoded(body)
    if not _names_secret(_plainly(written)):
        return body
    cleaned = _cleaned(written)
    return body if cleaned == written else orjson.dumps(cleaned)


class _Reader:
    """Parses one body of a system; `_rows_left` is the maximum number of list rows left."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows_left = MOST_TOLD
        self._of_signals = False

    def read(self, payload: Any, event: str, depth: int) -> list[Sighting]:
        if depth > DEEPEST:
            raise PayloadError("the body nests tasks deeper than any system's format does")
        payload = _opened(payload)
        if isinstance(payload, dict):
            if "signal" in payload:
                self._of_signals = True
                return [_signal(payload)]
            event = event or text(payload.get("event")) or text(payload.get("type")) or ""
        rows = self._source.items(payload)
        if rows is not None:
            return self._rows(rows, event, depth + 1)
        if not isinstance(payload, dict):
            raise PayloadError("the body is neither a task nor a list of tasks")
        inner = None if self._source.is_task(payload) else _content(payload)
        if inner is None:
            return _one(self._source, payload, event)
        try:
            return self.read(inner, event, depth + 1)
        except PayloadError:
            # Some hints have more than an id; but what announces events has ids for those.
            if event or self._source.identify(payload) is None:
                raise
            return _one(self._source, payload, event)

    def _rows(self, rows: list[Raw], event: str, depth: int) -> list[Sighting]:
        """The contents of a list; an unreadable row does not affect the others."""
        found: list[Sighting] = []
        failures: list[PayloadError] = []
        for row in rows:
            self._count()
            try:
                found += self.read(row, event, depth)
            except PayloadError as error:
                failures.append(error)
        if failures and not found:
            raise failures[0]
        return found + [UnreadableItem(str(error)) for error in failures]

    def _count(self) -> None:
        if not self._rows_left:
            what = "signals" if self._of_signals else "tasks"
            raise TooManyTasks(f"more than {MOST_TOLD} {what}", of_signals=self._of_signals)
        self._rows_left -= 1


def _content(payload: Raw) -> Any:
    """The content of an envelope; None if it is not an envelope."""
    held = (_opened(payload.get(name)) for name in CONTENTS)
    return next((inner for inner in held if isinstance(inner, dict | list)), None)


def _opened(value: Any) -> Any:
    """The value of a text that is itself JSON, as some senders encode it; others unchanged."""
    for _ in range(DEEPEST):
        if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", '"')):
            return value
        try:
            value = decoded(value.encode(errors="replace"))
        except ValueError:
            return value
    return value


def _one(source: Source, raw: Raw, event: str) -> list[Sighting]:
    task_id = source.identify(raw)
    if task_id is None:
        raise PayloadError(
            "the body has no task's id: a text of 1 to 200 printable characters or a whole number"
        )
    noun, _, verb = event.lower().rpartition(".")
    is_about_tasks = not noun or "task" in noun
    announced = _ANNOUNCED.get(verb, Kind.CHANGED)
    if announced is Kind.DELETED and is_about_tasks:
        return [TaskRef(task_id, announced)]
    if source.is_whole(raw):
        return [FullTask(source.trim(raw), frozenset({announced} - {Kind.CHANGED}))]
    return [TaskRef(task_id, announced, raw)] if is_about_tasks else []


def _signal(payload: Raw) -> SignalSighting:
    name, task_id = identifier(payload["signal"]), identifier(payload.get("task"))
    if name is None or task_id is None:
        raise PayloadError('a signal needs a name and a task\'s id: {"signal": NAME, "task": ID}')
    return SignalSighting(name, task_id)


def _names_secret(body: bytes) -> bool:
    return any(map(body.__contains__, _SECRETS))


def _plainly(written: Any) -> bytes:
    """The same JSON without escapes that could hide a name."""
    try:
        return orjson.dumps(written)
    except orjson.JSONEncodeError as error:
        raise PayloadError(_TOO_DEEP) from error


def _cleaned(value: Any, depth: int = 1) -> Any:
    if depth > DEEPEST_KEPT:
        raise PayloadError(_TOO_DEEP)
    if isinstance(value, dict):
        kept = ((name, inner) for name, inner in value.items() if not _tells_secret(name))
        return {name: _cleaned(inner, depth + 1) for name, inner in kept}
    if isinstance(value, list):
        return [_cleaned(inner, depth + 1) for inner in value]
    return "" if isinstance(value, str) and _tells_secret(value) else value


def _tells_secret(text: str) -> bool:
    """Whether it is the name of a secret, even flattened, or JSON that contains one."""
    return any(name in text for name in SECRETS)
