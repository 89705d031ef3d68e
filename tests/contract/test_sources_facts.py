"""What each source declares that its system fills and needs, held to what it reads and writes."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.clock import VirtualClock
from service.domain.model import DAYS, Cause, Person, Task
from service.errors import SourceRejected
from service.rules.language.vocabulary import names
from service.sources import Source, systems
from tests.contract.source_rig import connect, documented, rigged, sample

SYSTEMS = sorted(systems())
OWN = {"id", "account", "system"}
DOCS = Path(__file__).parents[2] / "docs" / "rules.md"
COMPLETE = [name for name in SYSTEMS if systems()[name].facts.needs]


def read_tasks(source: Source) -> Iterator[Task]:
    """Every sample task of a system, and others.json, which says what others have instead."""
    system = source.account.system
    task = sample(system, "task")
    raws = [task, *({**task, **other} for other in sample(system, "others"))]
    for name in documented(system):
        answer = sample(system, name)
        single = [answer.get("data", answer)] if isinstance(answer, dict) else []
        rows = source.items(answer)
        raws += single if rows is None else rows
    for raw in raws:
        if source.identify(raw):
            seen = source.observe(source.trim(raw), source.upstream.clock.now(), Cause.POLL)
            assert seen.task is not None
            yield seen.task


def filled(task: Task) -> Iterator[str]:
    """The fields that a task has, as `Facts` names them."""
    for name in names(Task):
        value = getattr(task, name)
        if value or (name == "done" and value is not None):
            yield name
        if value and name in DAYS:
            yield DAYS[name]
        if is_dataclass(value):
            inner = (one.name for one in fields(value) if getattr(value, one.name))
            yield from (f"{name}.{one}" for one in inner)


@pytest.fixture(params=SYSTEMS)
async def source(request: pytest.FixtureRequest, clock: VirtualClock) -> Any:
    async with httpx.AsyncClient() as client:
        yield connect(request.param, clock, client, "https://nobody.test")


def test_what_is_declared_is_read(source: Source) -> None:
    """What samples fill is declared, and for all that is declared there is a sample."""
    covers = type(source).facts_for(sample(source.account.system, "account"))
    found = {name for task in read_tasks(source) for name in filled(task)}
    assert found - OWN == covers.fills


def test_what_every_done_task_has(source: Source) -> None:
    """What is said to be there when a task is done is what makes it done."""
    for name in type(source).facts.when_done:
        assert all(getattr(task, name) is not None for task in read_tasks(source) if task.done)
        assert any(task.done for task in read_tasks(source))


def test_the_words_of_a_field(source: Source) -> None:
    """A sample has no other word in a field than those that are declared."""
    covers = type(source).facts_for(sample(source.account.system, "account"))
    for name, words in covers.words.items():
        told = {value for task in read_tasks(source) if (value := getattr(task, name))}
        assert told
        assert all(words.has(value) for value in told)


def test_no_field_is_forgotten() -> None:
    """Every field of a task is declared by a system."""
    told = frozenset[str]().union(*(source.facts.fills for source in systems().values()))
    plain = {name for name in names(Task) if names(Task)[name] is not bool} - {"acknowledged_by"}
    assert plain <= told | OWN
    people = {f"{name}.{inner}" for name in ("assignee",) for inner in names(Person)}
    # No system has the phone numbers of a company's own people; the directory may.
    assert people - {"assignee.phone"} <= told


@pytest.mark.parametrize("system", COMPLETE)
async def test_what_a_new_task_needs(system: str, clock: VirtualClock) -> None:
    """With what is declared a task is made, and without any of it the system refuses."""
    async with rigged(system, clock) as rig:
        due = (clock.now() + timedelta(days=1)).replace(microsecond=0)
        known = {"title": "Call", "due": due.isoformat(), "project": "42", "type": "77"}
        needed = {word: known[word] for word in type(rig.source).facts.needs}
        assert rig.source.identify(await rig.source.create_task(needed))
        for word in needed:
            less = {name: value for name, value in needed.items() if name != word}
            with pytest.raises(SourceRejected):
                await rig.source.create_task(less)


@pytest.mark.parametrize("system", COMPLETE)
def test_what_the_account_gives_need_not_be_told(system: str) -> None:
    """What stands under `create:` of the account is asked for no more."""
    needs = systems()[system].facts.needs
    for word, own in needs.items():
        left = systems()[system].facts_for({"create": {own: "1"}}).needs
        assert left.keys() == needs.keys() - {word}


def test_the_table_in_the_documents() -> None:
    """Each field and system of the table of docs/rules.md is as it is declared."""
    head, rows = table()
    told = {name: source.facts for name, source in systems().items()}
    assert [one.lower() for one in head[1:]] == ["plannr", "kickserv", "letsligo", "rolodex"]
    seen = set()
    for field, *cells in rows:
        for name in re.findall(r"`([\w.]+)`", field):
            seen.add(name)
            for system, cell in zip(head[1:], cells, strict=True):
                assert ("✓" in cell) is (name in told[system.lower()].fills), (name, system)
    every = frozenset[str]().union(*(one.fills for one in told.values())) - set(DAYS.values())
    assert every - seen == set()


def table() -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of the table under "Fields that each system provides"."""
    text = DOCS.read_text("utf-8").partition("### Fields that each system provides")[2]
    lines = [line for line in text.partition("\n###")[0].splitlines() if line.startswith("|")]
    cells = [[one.strip() for one in line.strip("|").split("|")] for line in lines]
    return cells[0], cells[2:]
