"""Traces for OpenTelemetry, from the webhook to the message; off unless a collector is set.

Between processes a trace continues through the database: receipts and events store their place in
it, as a W3C `traceparent`. `exporting` defines what spans contain, and what they never contain.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeAlias

from service.errors import SettingsError
from service.telemetry import Attribute

if TYPE_CHECKING:  # commands that read the database import this module, and serve nothing
    from starlette.types import ASGIApp

Key: TypeAlias = tuple[str, str | None]
"""An account's name and a task's id in it."""

_SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_WITHOUT = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is missing: pip install 'taskbell[otel]'"
)


class Tracing(Protocol):
    """Creates spans; see the functions of this module, which call it."""

    def span(
        self,
        name: str,
        parent: str | None,
        links: Iterable[str],
        attributes: Mapping[str, Attribute],
    ) -> AbstractContextManager[object]: ...

    def describe(self, attributes: Mapping[str, Attribute]) -> None: ...

    def current(self) -> str | None: ...

    def around(self, app: "ASGIApp") -> "ASGIApp": ...

    def stop(self) -> None: ...


_tracing: Tracing | None = None
_origins: ContextVar[Mapping[Key, str]] = ContextVar("origins")


@contextmanager
def telling(process: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Create spans for this process, if `environ` names a collector.

    Raises SettingsError if the libraries for that are missing.
    """
    global _tracing  # noqa: PLW0603 (one a process, as OpenTelemetry's own)
    if not any(environ.get(name) for name in _SWITCHES):
        yield
        return
    try:
        exporting = importlib.import_module("service.telemetry.exporting")
    except ModuleNotFoundError as error:
        raise SettingsError(_WITHOUT) from error
    _tracing = made = exporting.OpenTelemetry(process)
    try:
        yield
    finally:
        _tracing = None
        made.stop()


def span(
    name: str,
    parent: str | None = None,
    links: Iterable[str | None] = (),
    /,
    **attributes: Attribute,
) -> AbstractContextManager[object]:
    """A span around one piece of work; below `parent`, a traceparent, or the first of a new trace.

    `links` are other traces that it works for. An `attribute` is visible in the traces: it is never
    a secret, an address, or a text.
    """
    if _tracing is None:
        return nullcontext()
    return _tracing.span(name, parent, filter(None, links), attributes)


def together(
    name: str, origins: Iterable[str | None], **attributes: Attribute
) -> AbstractContextManager[object]:
    """A span around work for several traces: below the only one, or linked to all of them."""
    if _tracing is None:
        return nullcontext()
    found = [origin for origin in origins if origin is not None]
    return (
        span(name, found[0], **attributes)
        if len(found) == 1
        else span(name, None, found, **attributes)
    )


def describe(**attributes: Attribute) -> None:
    """Add attributes to the current span."""
    if _tracing is not None:
        _tracing.describe(attributes)


def current() -> str | None:
    """The current span, as a traceparent."""
    return None if _tracing is None else _tracing.current()


def mark(name: str, key: Key, **attributes: Attribute) -> str | None:
    """A span for an event of a task; returns it, for the effects of the event."""
    if _tracing is None:
        return None
    with span(name, _origins.get({}).get(key) or current(), **attributes):
        return current()


@contextmanager
def coming_from(origins: Mapping[Key, str | None]) -> Iterator[None]:
    """Around the events of several tasks: the traceparents of their causes."""
    if _tracing is None:
        yield
        return
    known = {key: origin for key, origin in origins.items() if origin is not None}
    before = _origins.set(known)
    try:
        yield
    finally:
        _origins.reset(before)


def around(app: "ASGIApp") -> "ASGIApp":
    """The application, with a span for each request."""
    return app if _tracing is None else _tracing.around(app)
