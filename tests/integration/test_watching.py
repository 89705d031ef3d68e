"""What counts as a change of the configuration's files, on a real file system."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.faults import Fault, Severity
from service.reloading import Word
from service.reloading.watching import watch
from tests.waiting import eventually

TWO_LOOKS = 1.1  # seconds, and a bit


@asynccontextmanager
async def watched(
    path: Path, known: Word | None = None
) -> AsyncIterator[tuple[list[Word], asyncio.Event]]:
    """Every word that is said of these files, and how to ask for one."""
    asked, words = asyncio.Event(), []

    async def listen() -> None:
        async for word in watch(path, asked, known):
            words.append(word)  # noqa: PERF401 (it never ends)

    listening = asyncio.create_task(listen())
    yield words, asked
    listening.cancel()


def told(words: list[Word]) -> list[str]:
    """The text of each word, or its fault."""
    return [word.texts[0][1] if word.texts else word.faults[0].message for word in words]


async def test_another_text_is_a_change(tmp_path: Path) -> None:
    """First what is there; then a new text, also one that takes the file's place; then none."""
    path, other = tmp_path / "taskbell.yaml", tmp_path / "other"
    path.write_text("one")
    async with watched(path) as (words, _):
        await eventually(lambda: told(words) == ["one"])
        path.write_text("two")
        await eventually(lambda: told(words) == ["one", "two"])
        other.write_text("new")
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)
        await eventually(lambda: told(words) == ["one", "two", "new"])
        path.unlink()
        await eventually(lambda: told(words)[3:] == ["there is no such file"])


async def test_the_same_text_is_none_unless_somebody_asks(tmp_path: Path) -> None:
    """A file that was touched, or known before, says nothing new."""
    path = tmp_path / "taskbell.yaml"
    path.write_text("one")
    async with watched(path, Word([(str(path), "one")])) as (words, asked):
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
        await eventually(lambda: words)
        with path.open("w") as file:
            for letter in "slowly":
                file.write(letter)
                file.flush()
                await asyncio.sleep(0.3)
        await eventually(lambda: len(words) > 1)
    assert told(words) == ["one", "slowly"]


async def test_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    """One that comes, one that goes; what is no YAML does not count."""
    (tmp_path / "a.yaml").write_text("a")
    async with watched(tmp_path) as (words, _):
        await eventually(lambda: len(words) == 1)
        (tmp_path / "b.yaml").write_text("b")
        await eventually(lambda: len(words) == 2)
        (tmp_path / "notes.txt").write_text("c")
        (tmp_path / "a.yaml").unlink()
        await eventually(lambda: len(words) == 3)
    assert [[text for _, text in word.texts] for word in words] == [["a"], ["a", "b"], ["b"]]


def test_a_word_is_a_line() -> None:
    """What the supervisor says arrives as it was said."""
    fault = Fault("a.yaml", 1, 2, "no", "source", "try", Severity.WARNING)
    for word in (Word((("a.yaml", "one\ntwo: 'ä'\n"),)), Word(faults=(fault,))):
        line = word.line()
        assert line.count(b"\n") == 1
        assert Word.from_line(line) == word
