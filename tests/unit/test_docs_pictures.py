"""The pictures of docs/: those that scripts take or draw are shown, and no others."""

import re
import struct
import zlib
from pathlib import Path

import pytest

from tests.bench.plots.pictures import PLOTS
from tests.pictures.png import MOST_COLOURS, size_of, written
from tests.pictures.screens import FOLDER, MOST_OF_ALL, MOST_OF_ONE, SCREENS, WIDTH, Screen

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_PICTURE = re.compile(r"!\[(?P<said>[^\]]*)\]\((?:docs/)?pictures/(?P<file>[^)]+)\)")


def shown() -> list[tuple[str, str]]:
    """What is said of each picture for those who do not see it, and its file."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    return [(found["said"], found["file"]) for text in texts for found in _PICTURE.finditer(text)]


def test_what_is_shown_is_what_the_scripts_make() -> None:
    """Each picture of a page is a screen in the list or a plot, and each of these has a page."""
    files = {*(screen.file.name for screen in SCREENS), *PLOTS}
    assert len(files) == len(SCREENS) + len(PLOTS)
    assert {file for _, file in shown()} == files
    assert {path.name for path in FOLDER.iterdir()} == files


def test_every_picture_is_described() -> None:
    """In more than a word, for those who do not see it."""
    assert [file for said, file in shown() if len(said.split()) < 4] == []


@pytest.mark.parametrize("screen", SCREENS, ids=lambda one: one.name)
def test_a_picture_is_small(screen: Screen) -> None:
    """In bytes; a whole window is as wide as the list says, a part is narrower."""
    file = screen.file.read_bytes()
    assert len(file) < MOST_OF_ONE
    width, height = size_of(file)
    assert (width, height) == (WIDTH, screen.height) if not screen.part else width < WIDTH


def test_all_pictures_together_are_small() -> None:
    assert sum(screen.file.stat().st_size for screen in SCREENS) < MOST_OF_ALL


def test_many_colours_become_few() -> None:
    """The commonest stays as it is, each other one becomes one that is like it."""
    common = b"\xf5\xf4\xef\xff"
    others = b"".join(bytes([number % 256, number // 256 * 50, 7, 255]) for number in range(1000))
    file = written(common * 1000 + others, width=100)
    assert size_of(file) == (100, 20)
    palette = chunk(file, b"PLTE")
    assert len(palette) <= 3 * MOST_COLOURS
    rows = zlib.decompress(chunk(file, b"IDAT"))
    colours = [palette[3 * index : 3 * index + 3] for index in without_filters(rows, 100)]
    assert colours[:1000] == [common[:3]] * 1000
    real = [others[at : at + 3] for at in range(0, len(others), 4)]
    far = [max(map(abs, map(int.__sub__, a, b))) for a, b in zip(colours[1000:], real, strict=True)]
    assert max(far) < 64


def test_few_colours_stay_as_they_are() -> None:
    pixels = b"".join(bytes([number, 0, 255 - number, 255]) for number in range(256))
    file = written(pixels, width=16)
    palette, rows = chunk(file, b"PLTE"), zlib.decompress(chunk(file, b"IDAT"))
    found = [palette[3 * index : 3 * index + 3] for index in without_filters(rows, 16)]
    assert b"".join(colour + b"\xff" for colour in found) == pixels


def without_filters(rows: bytes, width: int) -> bytes:
    """The places in the palette, without the byte before each row."""
    return b"".join(rows[at + 1 : at + 1 + width] for at in range(0, len(rows), width + 1))


def chunk(file: bytes, kind: bytes) -> bytes:
    """The content of the chunk of this kind; its check sum is right."""
    at = file.index(kind)
    (length,) = struct.unpack(">I", file[at - 4 : at])
    content = file[at + 4 : at + 4 + length]
    (check,) = struct.unpack(">I", file[at + 4 + length : at + 8 + length])
    assert check == zlib.crc32(kind + content)
    return content
