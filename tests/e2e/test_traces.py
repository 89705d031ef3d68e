"""One trace from the webhook to the message, told to a real collector; and nothing that hurts."""

import asyncio
import gzip
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.running import PATIENCE, Taskbell, taskbell
from tests.harness.waiting import eventually


class Collector(HttpReceiver):
    """An OTLP collector over HTTP that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ExportTraceServiceRequest()

    def answer(self, request: Request) -> Answer:
        packed = request.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(request.body) if packed else request.body
        self.told.MergeFromString(body)
        return Answer(headers={"content-type": "application/x-protobuf"})

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for process in self.told.resource_spans
            for scope in process.scope_spans
            for span in scope.spans
        ]

    def traces(self) -> dict[bytes, list[Span]]:
        found = defaultdict[bytes, list[Span]](list)
        for span in self.spans:
            found[span.trace_id].append(span)
        return found


CONFIGURATION = """
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  field:
    system: kickserv
    base_url: "{sandbox}/kickserv"
    slug: acme
    token: sandbox
    poll: 60s
    webhook: {{ verify: token, secret: "{secret}" }}
channels:
  accounting: {{ kind: webhook, url: "{receiver}/hidden-path?token=hidden-query" }}
rules:
- id: created
  when: task.created
  then: [{{ notify: accounting, text: "{{{{ task.title }}}}" }}]
- id: leaving
  when: {{ signal: leaving }}
  then: [{{ notify: accounting, text: "{{{{ task.title }}}}" }}]
"""
SECRET = "hidden-secret-of-the-webhook"
STRANGER = "00-11111111111111111111111111111111-2222222222222222-01"
# What a span must never say: keys, queries, names and addresses of customers.
HIDDEN = ("hidden", "sandbox", "Ida", "Main Street", "127.0.0.1", "SELECT ", STRANGER[3:35])


@asynccontextmanager
async def traced(
    folder: Path, **environ: str
) -> AsyncIterator[tuple[Taskbell, Sandbox, HttpReceiver]]:
    """A Taskbell that knows its account, with the system and the receiver that it talks to."""
    sandbox = Sandbox(SystemClock())
    async with HttpReceiver() as receiver, serving(sandbox) as url:
        text = CONFIGURATION.format(sandbox=url, receiver=receiver.url, secret=SECRET)
        async with taskbell(folder, text, environ=environ) as running:
            await eventually(lambda: is_read(running), PATIENCE)
            yield running, sandbox, receiver


async def is_read(running: Taskbell) -> bool:
    return bool(await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"))


async def are_settled(running: Taskbell) -> bool:
    return not await running.query("SELECT FROM deliveries WHERE settled_at IS NULL")


async def send(running: Taskbell, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"x-webhook-token": SECRET, "traceparent": STRANGER}
        url = f"{running.url}/hooks/field?key=hidden-key"
        assert (await client.post(url, json=body, headers=headers)).status_code == 202


async def test_a_webhook_is_one_trace_to_the_message(folder: Path) -> None:
    """Receipt, look, event and delivery, over two processes: each below what it comes from.

    What is not sent yet when they end is sent then.
    """
    async with Collector() as collector:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }
        async with traced(folder, **environ) as (running, sandbox, receiver):
            task = sandbox.kickserv.make(name="Mend Ida's fence, Main Street 1")["id"]
            await send(running, {"id": task})
            await eventually(lambda: len(receiver.requests) == 1, PATIENCE)
            await send(running, {"signal": "leaving", "task": task})
            await eventually(lambda: len(receiver.requests) == 2, PATIENCE)
            await eventually(lambda: are_settled(running), PATIENCE)
            await asyncio.to_thread(running.stop)  # the collector listens meanwhile
        hinted, signalled = sorted(deliveries(collector), key=lambda one: one.start_time_unix_nano)
        assert way(collector, hinted) == ["deliver", "event", "observe", "POST /hooks"]
        assert way(collector, signalled) == ["deliver", "event", "POST /hooks"]
        names = {span.name for span in collector.traces()[hinted.trace_id]}
        assert {"keep", "ingest", "lookup", "GET", "POST", "INSERT"} <= names
        assert {one.key: value(one) for one in hinted.attributes} == {
            "taskbell.delivery": 1,
            "taskbell.channel": "accounting",
            "taskbell.state": "sent",
        }
        assert [
            word for word in HIDDEN if word.encode() in collector.told.SerializeToString()
        ] == []
        assert [one for one in receiver.requests if "traceparent" in one.headers] == []


async def test_no_collector_holds_anything_up(folder: Path) -> None:
    """One that is not there, or takes nothing: messages go out, and a stop takes no time."""
    async with HttpReceiver() as deaf:
        deaf.reply(*[Answer(delay=60)] * 20)
        async with traced(folder, OTEL_EXPORTER_OTLP_ENDPOINT=deaf.url) as (
            running,
            sandbox,
            receiver,
        ):
            await send(running, {"id": sandbox.kickserv.make()["id"]})
            await eventually(lambda: len(receiver.requests) == 1, PATIENCE)
            started = monotonic()
            running.stop()
            assert monotonic() - started < 6


def deliveries(collector: Collector) -> list[Span]:
    return [span for span in collector.spans if span.name == "deliver"]


def way(collector: Collector, span: Span) -> list[str]:
    """The names of a span and of those above it, up to the first."""
    by_id = {one.span_id: one for one in collector.traces()[span.trace_id]}
    above = by_id.get(span.parent_span_id)
    return [span.name, *(way(collector, above) if above else [])]


def value(attribute: Any) -> object:
    return getattr(attribute.value, attribute.value.WhichOneof("value"))
