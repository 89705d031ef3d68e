"""OpenTelemetry spans, sent to a collector over HTTP; needs `taskbell[otel]`.

The libraries' own instrumentation creates those of requests, calls, statements and Redis. Only the
attributes listed here are exported: an address may contain a key, a statement or an error may
contain customer data.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.telemetry import Attribute

_OWN = "taskbell."
# https://opentelemetry.io/docs/specs/semconv/: what says nothing of anybody. Both spellings, of
# which the libraries still use the older.
_TOLD = frozenset(
    {
        *("http.method", "http.request.method", "http.status_code", "http.response.status_code"),
        *("http.flavor", "network.protocol.version", "error.type"),
        *("db.system", "db.system.name", "db.name", "db.namespace"),
    }
)
_NAME = re.compile(r"[\w./ ]{1,60}", re.ASCII)
_TIME_TO_SEND = 3.0  # seconds, of what is left when a process ends


class RedactingSpanExporter(SpanExporter):
    """Exports only harmless attributes of each span, and no spans that only a library created.

    A statement by itself, as of the ticks of each second, belongs to no trace and is left out.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        told = [_bare(one) for one in spans if one.kind is not SpanKind.CLIENT or one.parent]
        return self._exporter.export(told) if told else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class NoPropagator(TextMapPropagator):
    """Ignores trace headers of other parties, and sends none to systems and channels."""

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        del carrier, getter
        return context or Context()

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Leave the headers as they are."""

    @property
    def fields(self) -> set[str]:
        return set()


class OpenTelemetry:
    """The spans of one process; `process` is its role."""

    def __init__(self, process: str) -> None:
        release = version("taskbell")
        named = {"service.name": "taskbell", "service.version": release}
        resource = Resource.create({"taskbell.process": process}, None)
        resource = Resource(named).merge(resource)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(RedactingSpanExporter(OTLPSpanExporter()))
        )
        self._tracer = self._provider.get_tracer("taskbell", release)
        self._propagator = TraceContextTextMapPropagator()
        propagate.set_global_textmap(NoPropagator())
        for library in (AioHttpClientInstrumentor, AsyncPGInstrumentor, RedisInstrumentor):
            library().instrument(tracer_provider=self._provider)

    @contextmanager
    def span(
        self,
        name: str,
        parent: str | None,
        links: Iterable[str],
        attributes: Mapping[str, Attribute],
    ) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name,
            context=self._context(parent),
            kind=SpanKind.INTERNAL,
            links=[Link(_place(self._context(one))) for one in links],
            attributes=_owned(attributes),
            record_exception=False,
            set_status_on_exception=True,
        ):
            yield

    def describe(self, attributes: Mapping[str, Attribute]) -> None:
        trace.get_current_span().set_attributes(_owned(attributes))

    def current(self) -> str | None:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent")

    def around(self, app: ASGIApp) -> ASGIApp:
        traced = OpenTelemetryMiddleware(
            app,
            default_span_details=_request,
            tracer_provider=self._provider,
            exclude_spans=["receive", "send"],
        )

        async def to_the_end(scope: Scope, receive: Receive, send: Send) -> None:
            # The server ends the process by the signal that it got, before anything else is done.
            async def send_after_the_rest(message: Message) -> None:
                if message["type"] == "lifespan.shutdown.complete":
                    await asyncio.to_thread(_in_time, self._provider.force_flush)
                await send(message)

            await traced(scope, receive, send_after_the_rest)

        return to_the_end

    def stop(self) -> None:
        """Send the remaining spans; an unavailable collector delays this only briefly."""
        for library in (AioHttpClientInstrumentor, AsyncPGInstrumentor, RedisInstrumentor):
            library().uninstrument()
        _in_time(self._provider.shutdown)

    def _context(self, parent: str | None) -> Context:
        return self._propagator.extract({"traceparent": parent} if parent else {}, Context())


def _in_time(sending: Callable[[], object]) -> None:
    thread = Thread(target=sending, daemon=True)
    thread.start()
    thread.join(_TIME_TO_SEND)


def _request(scope: Scope) -> tuple[str, dict[str, Any]]:
    """The name of a request: the first part of its path, as later parts may be a key."""
    method, part = scope.get("method", ""), scope["path"].split("/")[1]
    return f"{method} /{part}" if part in _PARTS else method, {}


_PARTS = frozenset({"", "hooks", "healthz", "readyz", "metrics", "api"})


def _bare(span: ReadableSpan) -> ReadableSpan:
    """The span without possible secrets, addresses or texts."""
    given = span.attributes or {}
    return ReadableSpan(
        name=span.name if _NAME.fullmatch(span.name) else "unnamed",
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: given[name] for name in given if name in _TOLD or name.startswith(_OWN)},
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _place(context: Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()


def _owned(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {f"{_OWN}{name}": value for name, value in attributes.items()}
