"""What counts as a change of the configuration's files, on a real file system."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.diagnostics import Diagnostic, Severity
from service.reload import ConfigSnapshot, handed
from service.reload.file_watcher import first_look, look
from tests.harness.rule_files import ENVIRON, HEAD
from tests.harness.waiting import eventually

TWO_LOOKS = 1.1  # seconds, and a bit
NAMING = """
version: 1
channels: { office: { kind: webhook, url: "https://office.example/hook" } }
rules:
- id: done
  when: task.completed
  then: [{ notify: office, template: text.liquid }]
"""


@asynccontextmanager
async def watched(
    path: Path,
) -> AsyncIterator[tuple[list[ConfigSnapshot], asyncio.Event]]:
    """Every word that is said of these files from now on, and how to ask for one."""
    asked, words = asyncio.Event(), []
    first = first_look(path, {})

    async def listen() -> None:
        async for reading in look(path, asked, {}, first):
            words.append(reading.word)  # noqa: PERF401 (it never ends)

    listening = asyncio.create_task(listen())
    yield words, asked
    listening.cancel()


def told(words: list[ConfigSnapshot]) -> list[str]:
    """The text of each word, or its fault."""
    return [word.texts[0][1] if word.texts else word.faults[0].message for word in words]


async def test_another_text_is_a_change(tmp_path: Path) -> None:
    """A new text, also one that takes the file's place; then none."""
    path, other = tmp_path / "taskbell.yaml", tmp_path / "other"
    path.write_text("one")
    async with watched(path) as (words, _):
        path.write_text("two")
        await eventually(lambda: told(words) == ["two"])
        other.write_text("new")
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)
        await eventually(lambda: told(words) == ["two", "new"])
        path.unlink()
        await eventually(lambda: told(words)[2:] == ["there is no such file"])


async def test_the_same_text_is_none_unless_somebody_asks(tmp_path: Path) -> None:
    """A file that was only touched is no change; whoever asks gets a reading all the same."""
    path = tmp_path / "taskbell.yaml"
    path.write_text("one")
    async with watched(path) as (words, asked):
        await asyncio.sleep(TWO_LOOKS)
        path.touch()
        await asyncio.sleep(TWO_LOOKS)
        assert words == []
        asked.set()
        await eventually(lambda: told(words) == ["one"])


async def test_what_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    """A file that grows from look to look is read when it is whole."""
    path = tmp_path / "taskbell.yaml"
    path.write_text("one")
    async with watched(path) as (words, _):
        with path.open("w") as file:
            for letter in "slowly":
                file.write(letter)
                file.flush()
                await asyncio.sleep(0.3)
        await eventually(lambda: words)
    assert told(words) == ["slowly"]


async def test_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    """One that comes, one that goes; what is no YAML does not count."""
    (tmp_path / "a.yaml").write_text("a")
    async with watched(tmp_path) as (words, _):
        (tmp_path / "b.yaml").write_text("b")
        await eventually(lambda: len(words) == 1)
        (tmp_path / "notes.txt").write_text("c")
        (tmp_path / "a.yaml").unlink()
        await eventually(lambda: len(words) == 2)
    assert [[text for _, text in word.texts] for word in words] == [["a", "b"], ["b"]]


def test_a_word_is_a_line() -> None:
    """What the supervisor says arrives as it was said."""
    fault = Diagnostic("a.yaml", 1, 2, "no", "source", "try", Severity.WARNING)
    texts = (("a.yaml", "one\ntwo: 'ä'\n"),)
    for word in (
        ConfigSnapshot("folder", texts, {"a.liquid": "text"}),
        ConfigSnapshot(faults=(fault,)),
    ):
        line = word.line()
        assert line.count(b"\n") == 1
        assert ConfigSnapshot.from_line(line) == word


async def test_a_text_that_a_rule_names_counts_as_well(tmp_path: Path) -> None:
    """One that is missing is a fault; when it comes, and when it changes, all is read anew."""
    (tmp_path / "taskbell.yaml").write_text(NAMING)
    text = tmp_path / "text.liquid"
    async with watched(tmp_path / "taskbell.yaml") as (words, _):
        text.write_text("one")
        await eventually(lambda: [word.named for word in words] == [{"text.liquid": "one"}])
        text.write_text("two")
        await eventually(lambda: len(words) == 2)
        await asyncio.sleep(TWO_LOOKS)
    assert [word.named["text.liquid"] for word in words] == ["one", "two"]


async def test_other_work_goes_on_while_rules_are_read(tmp_path: Path) -> None:
    """A process that takes over a long configuration does its work meanwhile."""
    rule = "- { id: r$n, when: task.created, then: [{ notify: accounting, text: no $n }] }\n"
    rules = "".join(rule.replace("$n", str(number)) for number in range(200))
    word = ConfigSnapshot(str(tmp_path), (("taskbell.yaml", f"{HEAD}rules:\n{rules}"),))
    turns = 0

    async def said() -> AsyncIterator[bytes]:
        yield word.line()

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    readings = [reading async for reading in handed(said(), ENVIRON)]
    working.cancel()
    assert len(readings[0].demand().rules.ids) == 200
    assert turns > 10
