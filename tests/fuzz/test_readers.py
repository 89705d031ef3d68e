"""What reads foreign values: whatever comes, it says what it can read, or why it cannot."""

from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import orjson
import pytest

from service.clock import SystemClock
from service.config import check
from service.domain.diff import diff
from service.domain.model import Cause, Task
from service.errors import PayloadError
from service.http.client import open_client
from service.http.json_body import TooManyValues, decoded
from service.rules.language.expressions import UTC_ZONE, EvaluationError, condition
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import lasting
from service.rules.language.templates import RenderError, template
from service.sources import Source, payload, systems
from tests.contract.source_rig import connect, documented, sample
from tests.fuzz.mutations import Mutations
from tests.fuzz.samples import CONDITIONS, DOCUMENTS, TEXTS
from tests.harness.receivers import LOOPBACK
from tests.harness.rule_files import ENVIRON
from tests.harness.tasks import task

SECOND = 1.0  # of its own work
NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
FIRST, LAST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def worked() -> float:
    """For how many seconds a processor has worked for this process."""
    return getrusage(RUSAGE_SELF).ru_utime


@pytest.mark.parametrize("system", systems())
async def test_tasks(system: str, seed: int, inputs: int) -> None:
    """A source reads a task, or says that there is none; what it read can be kept and compared."""
    mutations = Mutations(seed)
    names = ["task", *documented(system)]
    good = [sample(system, name) for name in names]
    async with open_client(LOOPBACK, timeout=1) as client:
        source = connect(system, SystemClock(), client, "http://127.0.0.1:9")
        for _ in range(inputs // 10):
            body = mutations.body(mutations.rng.choice(good))
            began = worked()
            sightings = read(source, body)
            assert worked() - began < SECOND, body
            for raw in sightings:
                look(source, raw)


def read(source: Source, body: bytes) -> list[dict[str, Any]]:
    """The whole tasks in a body; none where it says nothing, or too much."""
    try:
        found = payload.read(source, decoded(payload.without_secrets(body)))
    except (orjson.JSONDecodeError, TooManyValues, payload.TooManyTasks, PayloadError):
        return []
    return [one.raw for one in found if isinstance(one, payload.FullTask)]


def look(source: Source, raw: dict[str, Any]) -> None:
    """What is read of a task is kept as it is, and compares with a task that was known."""
    try:
        seen = source.observe(raw, NOW, Cause.WEBHOOK)
    except PayloadError:
        return
    assert seen.task is not None
    assert Task.from_json(seen.task.to_json()) == seen.task, raw
    dates = (seen.task.due, seen.task.start, seen.task.end, seen.task.completed_at, seen.version)
    assert all(FIRST <= at < LAST for at in dates if at is not None), raw
    diff(task(id=seen.task_id), seen.task)


@pytest.mark.parametrize("part", range(2))
def test_configurations(part: int, seed: int, inputs: int, tmp_path: Path) -> None:
    """A file is taken, or every fault of it is told, within a second; no secret is in that."""
    mutations = Mutations(seed + part)
    file = tmp_path / "taskbell.yaml"
    for _ in range(inputs // 40):
        text = mutations.text(mutations.rng.choice(DOCUMENTS))
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        began = worked()
        said = "\n".join(map(str, check(file, ENVIRON)))
        assert worked() - began < SECOND, text
        assert not any(secret in said for secret in ENVIRON.values() if secret not in text), text


def test_conditions(seed: int, inputs: int) -> None:
    """A condition is refused with a reason, stopped with a reason, or it answers."""
    mutations = Mutations(seed)
    for _ in range(inputs // 10):
        text = mutations.line(mutations.rng.choice(CONDITIONS))
        began = worked()
        assert answer(text, odd_task(mutations)), text
        assert worked() - began < SECOND, text


def answer(text: str, about: Task) -> str:
    """What a condition says of a task, or why it says nothing."""
    asked, problems = condition(text, ("if",))
    if asked is None:
        return problems[0].message
    try:
        return str(asked.test(lasting(about, NOW, by_noun([asked.reads])), UTC_ZONE))
    except EvaluationError as error:
        return str(error)


def test_texts(seed: int, inputs: int) -> None:
    """A template is refused with a reason, stopped with a reason, or it is rendered."""
    mutations = Mutations(seed)
    for _ in range(inputs // 10):
        text = mutations.line(mutations.rng.choice(TEXTS))
        began = worked()
        assert rendered(text, odd_task(mutations)) is not None, text
        assert worked() - began < SECOND, text


def rendered(text: str, about: Task) -> str:
    """What a template makes of a task, or why it makes nothing."""
    made, problems = template(text, ("text",))
    if made is None:
        return problems[0].message
    try:
        values = {"task": orjson.loads(about.to_json()), "now": NOW, "zone": UTC_ZONE}
        return made.render(values)
    except RenderError as error:
        return str(error)


def odd_task(mutations: Mutations) -> Task:
    """A task whose texts and fields are odd."""
    odd = mutations.value({"title": "Gutters", "tags": ["roof"], "fields": {"drink": "tea"}})
    odd = odd if isinstance(odd, dict) else {}
    fields, tags = odd.get("fields"), odd.get("tags")
    return task(
        title=str(odd.get("title"))[:40_000],
        tags=tuple(map(str, tags if isinstance(tags, list) else [tags])),
        fields=fields if isinstance(fields, dict) else {"odd": fields},
    )
