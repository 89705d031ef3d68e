"""What a webhook's body says, for every system."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from service.clock import VirtualClock
from service.domain.model import Cause, Kind
from service.errors import PayloadError
from service.sandbox.kickserv import PLANTED
from service.sources import Source, systems
from service.sources.pagination import single
from service.sources.payload import (
    FullTask,
    Sighting,
    SignalSighting,
    TaskRef,
    read,
    without_secrets,
)
from tests.contract.source_rig import connect, documented, sample

NOW = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
CASES = [
    pytest.param(system, case, id=f"{system}: {case['what']}")
    for system in sorted(systems())
    for case in sample(system, "bodies")
]


def reader(system: str, clock: VirtualClock) -> Source:
    """A source that is only asked what JSON means, and calls nobody."""
    return connect(system, clock, httpx.AsyncClient(), "http://nobody.invalid")


@pytest.fixture(params=sorted(systems()))
def source(request: pytest.FixtureRequest, clock: VirtualClock) -> Source:
    return reader(request.param, clock)


@pytest.fixture
def task(source: Source) -> Any:
    """The system's sample task."""
    return sample(source.account.system, "task")


@pytest.fixture
def task_id(source: Source, task: Any) -> str:
    found = source.identify(task)
    assert found is not None
    return found


def filled(body: Any, task: Any) -> Any:
    """A sample body with the sample task put in where it says $task."""
    return orjson.loads(orjson.dumps(body).replace(b'"$task"', orjson.dumps(task)))


@pytest.mark.parametrize(("system", "case"), CASES)
def test_each_documented_body_is_understood(system: str, case: Any, clock: VirtualClock) -> None:
    """The bodies of tests/payloads/{system}/bodies.json say what stands beside them."""
    source, task = reader(system, clock), sample(system, "task")
    whole = source.trim(task)
    expected: list[Sighting] = []
    for kind, *rest in case["reads"]:
        match kind:
            case "whole":
                expected.append(FullTask(whole, frozenset(map(Kind, rest))))
            case "hint":
                task_id, announced = [*rest, Kind.CHANGED][:2]
                expected.append(TaskRef(task_id, Kind(announced)))
            case "signal":
                expected.append(SignalSighting(*rest))
    assert read(source, filled(case["body"], task)) == expected


@pytest.mark.parametrize("around", ["data", "task", "payload"])
@pytest.mark.parametrize("named", ["event", "type"])
def test_an_envelope_may_call_its_parts_as_it_likes(
    source: Source, task: Any, around: str, named: str
) -> None:
    """Whoever forwards a task wraps it by one of these names."""
    body = {named: "task.created", around: task}
    assert read(source, body) == [FullTask(source.trim(task), announced=frozenset({Kind.CREATED}))]


def test_a_task_needs_no_envelope(source: Source, task: Any) -> None:
    """The system's own JSON, alone or in a list, is a task that nobody announced."""
    whole = FullTask(source.trim(task))
    assert read(source, task) == [whole]
    assert read(source, [task, task]) == [whole, whole]
    assert read(source, []) == []


def test_json_may_be_packed_into_a_text(source: Source, task: Any) -> None:
    """The whole body, or what an envelope holds."""
    text = orjson.dumps(task).decode()
    expected = read(source, task)
    assert read(source, text) == expected
    assert read(source, orjson.dumps(text).decode()) == expected
    assert read(source, {"event": "task.updated", "data": text}) == expected


@pytest.mark.parametrize("name", ["id", "uuid"])
def test_a_hint_is_little_more_than_an_id(source: Source, name: str) -> None:
    """It is fetched; a deletion has yet to be confirmed."""
    assert read(source, {name: "T-1"}) == [TaskRef("T-1")]
    assert read(source, {name: 42, "extra": None}) == [TaskRef("42")]
    assert read(source, {"event": "task.deleted", name: "T-1"}) == [TaskRef("T-1", Kind.DELETED)]
    assert read(source, {"event": "task.completed", name: "T-1"}) == [
        TaskRef("T-1", Kind.COMPLETED)
    ]
    assert read(source, [{name: "a"}, {name: "b"}]) == [TaskRef("a"), TaskRef("b")]


@pytest.mark.parametrize(
    "event", ["task.status.changed", "Task.Updated", "tasks.updated", "contact_task.updated"]
)
def test_the_list_of_events_about_tasks_is_open(source: Source, event: str) -> None:
    """Whatever happened and however it is called: the task is looked at."""
    assert read(source, {"event": event, "data": {"id": "T-1"}}) == [TaskRef("T-1")]
    assert read(source, {"event": "case.updated", "data": {"id": "C-1"}}) == []


def test_a_deletion_that_carries_the_whole_task_is_a_deletion(
    source: Source, task: Any, task_id: str
) -> None:
    """Else the last look at a task would bring it back."""
    assert read(source, {"event": "task.deleted", "data": task}) == [TaskRef(task_id, Kind.DELETED)]


def test_a_signal_names_itself_and_its_task(source: Source) -> None:
    """A signal is no state of a task."""
    assert read(source, {"signal": "leaving", "task": 7}) == [SignalSighting("leaving", "7")]


BAD_IDS: list[Any] = [
    "",
    " ",
    "..",
    "x" * 201,
    "x" * 10_000,
    "a\0b",
    "a\nb",
    "\ud800",
    None,
    True,
    1.5,
    2**64,
    [],
    {},
]


@pytest.mark.parametrize("bad", BAD_IDS, ids=[repr(bad)[:20] for bad in BAD_IDS])
def test_an_id_that_cannot_be_one_is_an_error(source: Source, task: Any, bad: Any) -> None:
    """Empty, endless, unprintable or no scalar: said in a sentence, whatever is around it."""
    own = next(name for name in ("@id", "uuid", "id") if name in task)
    for body in ({"id": bad}, {"data": {"uuid": bad}}, [{"id": bad}], {**task, own: bad}):
        with pytest.raises(PayloadError, match="id"):
            read(source, body)
    with pytest.raises(PayloadError, match="signal"):
        read(source, {"signal": "leaving", "task": bad})


@pytest.mark.parametrize(
    "body",
    [
        None,
        True,
        7,
        "task",
        1e300,
        {},
        {"data": "task"},
        {"data": [1, 2]},
        ["a"],
        [[]],
        [None],
        {"event": "task.updated"},
        {"task": {"task": {"task": {"task": {"task": {"id": 1}}}}}},
        {"signal": "leaving"},
        {"signal": "", "task": 1},
        {"signal": {"a": 1}, "task": 1},
    ],
    ids=repr,
)
def test_anything_else_is_an_error_in_words(source: Source, body: Any) -> None:
    """Never another exception, and never a guess."""
    with pytest.raises(PayloadError) as caught:
        read(source, body)
    assert len(str(caught.value)) > 20


def test_deep_nesting_is_an_error(source: Source) -> None:
    """However deep, no recursion follows it."""
    body: Any = {"id": 1}
    for _ in range(900):
        body = {"data": body}
    with pytest.raises(PayloadError, match="nests"):
        read(source, body)


NONSENSE: list[Any] = [None, [], {}, 7, 1e300, True, "\0", "x" * 5000, [None], {"a": [1]}]


def test_fields_of_the_wrong_kind_do_no_harm(source: Source, task: Any) -> None:
    """Every field in turn becomes nonsense: a task, or an error that is ours, comes of it."""
    for raw in [{**task, name: nonsense} for name in task for nonsense in NONSENSE]:
        with suppress(PayloadError):
            assert b"\\u0000" not in source.parse(raw).to_json()


@pytest.mark.parametrize(
    ("system", "name"), [(one, name) for one in sorted(systems()) for name in documented(one)]
)
def test_what_the_makers_document_is_read(system: str, name: str, clock: VirtualClock) -> None:
    """Each sample answer gives things with an id and a title, as a reply and at the door."""
    source, answer = reader(system, clock), sample(system, name)
    listed = source.items(answer)
    rows = [single(source, answer)] if listed is None else [source.trim(row) for row in listed]
    tasks = [source.observe(row, NOW, Cause.POLL).task for row in rows]
    assert tasks
    assert all(task is not None and task.id and task.title for task in tasks)
    assert len(read(source, answer)) == len(tasks)


def test_every_system_has_a_documented_sample(source: Source) -> None:
    """What the makers' documents show is what a source is first held to."""
    assert documented(source.account.system)


def test_fields_that_nest_deeper_than_json_is_written_do_no_harm(source: Source, task: Any) -> None:
    """Every field in turn is a list in a list in a list: it can be compared all the same."""
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    for raw in [{**task, name: deep} for name in task]:
        with suppress(PayloadError):
            assert source.observe(source.trim(raw), NOW, Cause.POLL).task is not None


def test_what_is_stored_of_a_body_holds_no_credentials() -> None:
    """Wherever they are in it; a body without any stays as it came, byte for byte."""
    body = orjson.dumps([{"task": sample("kickserv", "task")}])
    kept = without_secrets(body)
    assert not any(planted.encode() in kept for planted in PLANTED.values())
    assert orjson.loads(kept)[0]["task"]["employees"][0]["first_name"] == "Bo"
    assert without_secrets(b'{ "id": 1 }') == b'{ "id": 1 }'


def test_what_is_stored_holds_no_credentials_in_other_wrappings() -> None:
    """A script in between has flattened the names, or put the employee in as a text of JSON."""
    employee = '{"id": 4, "password_salt": "hunter2"}'
    task = {"id": 1, "employees__0__password_salt": "hunter2", "by": employee}
    assert orjson.loads(without_secrets(orjson.dumps(task))) == {"id": 1, "by": ""}
