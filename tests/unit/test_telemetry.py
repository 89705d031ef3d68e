"""Spans: what they never say, whoever made them, and that they cost nothing while nobody asks."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from service.errors import SettingsError
from service.telemetry import tracing
from service.telemetry.exporting import RedactingSpanExporter

ROOT = Path(__file__).parents[2]


class Kept(SpanExporter):
    """What would have been sent."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def provider(kept: Kept) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(kept)))
    yield provider
    provider.shutdown()


def test_only_what_nobody_minds_is_told(kept: Kept, provider: TracerProvider) -> None:
    """Of all that a library or an error can put into a span, a hidden word is in none of it."""
    tracer = provider.get_tracer("a library")
    other = tracer.start_span("other").get_span_context()
    with (
        tracer.start_as_current_span("POST /hooks"),
        tracer.start_as_current_span(
            "GET https://u:hidden@x.test/hidden?hidden",
            kind=SpanKind.CLIENT,
            links=[Link(other, {"note": "hidden"})],
        ) as span,
    ):
        for name in ("http.url", "url.full", "url.query", "http.target", "db.statement", "db.user"):
            span.set_attribute(name, "hidden")
        for name in ("client.address", "net.peer.ip", "server.address", "http.user_agent"):
            span.set_attribute(name, "hidden")
        span.set_attribute("http.status_code", 200)
        span.set_attribute("taskbell.account", "field")
        span.add_event("seen", {"what": "hidden"})
        span.record_exception(ValueError("hidden"))
        span.set_status(Status(StatusCode.ERROR, "hidden"))
    [call, request] = kept.spans
    assert "hidden" not in call.to_json() + request.to_json()
    assert (call.name, call.status.status_code) == ("unnamed", StatusCode.ERROR)
    assert call.attributes == {"http.status_code": 200, "taskbell.account": "field"}
    assert call.parent == request.context
    assert [link.context for link in call.links] == [other]


def test_a_statement_by_itself_is_left_out(kept: Kept, provider: TracerProvider) -> None:
    """Each second's look for work would bury everything else."""
    tracer = provider.get_tracer("a library")
    tracer.start_span("SELECT", kind=SpanKind.CLIENT).end()
    assert kept.spans == []


def test_without_a_collector_there_is_nothing() -> None:
    """No span, no parent, and the application as it is."""
    with tracing.telling("web", {}), tracing.span("deliver", "00-1-2-01", account="field"):
        tracing.describe(state="sent")
        assert tracing.current() is None
        assert tracing.mark("event", ("field", "T1")) is None


async def test_the_application_stays_itself() -> None:
    """Nothing stands around it while nobody asks."""

    async def app(scope: object, receive: object, send: object) -> None:
        del scope, receive, send

    assert tracing.around(app) is app


def test_without_a_collector_nothing_is_imported() -> None:
    """Neither OpenTelemetry nor what it stands on is loaded, by web or worker."""
    program = (
        "import sys, service.web.server, workers.wiring\n"
        "from service.telemetry import tracing\n"
        "with tracing.telling('web', {}): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_a_collector_without_the_libraries_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings them, before anything is started."""
    monkeypatch.delitem(sys.modules, "service.telemetry.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    with (
        pytest.raises(SettingsError, match=r"pip install 'taskbell\[otel\]'"),
        tracing.telling("web", environ),
    ):
        pytest.fail("it began")
