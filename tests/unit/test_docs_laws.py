"""docs/laws.md names every test of a law, and no test that there is not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def written() -> set[str]:
    """The names of all tests."""
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in _TEST.findall(file.read_text(encoding="utf-8"))}


def named() -> dict[int, list[str]]:
    """The tests that the page names, by the number of their law."""
    parts = re.split(r"^## (\d+)\. ", PAGE, flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {int(number): re.findall(r"^- `(\w+)`$", text, re.MULTILINE) for number, text in pairs}


def test_each_law_has_tests_that_exist() -> None:
    """Fifteen laws, in order; a test that is renamed has to be renamed on the page."""
    laws = named()
    assert list(laws) == list(range(1, 16))
    assert [number for number, tests in laws.items() if not tests] == []
    assert {one for tests in laws.values() for one in tests} - written() == set()


def test_a_test_named_after_a_law_is_on_the_page() -> None:
    """Under the law whose number it has in its name."""
    laws = named()
    numbered = {name: int(number) for name in written() for number in _number(name)}
    assert len(numbered) > 40
    assert {name for name, number in numbered.items() if name not in laws[number]} == set()


def _number(name: str) -> list[str]:
    return re.findall(r"^test_law_(\d+)_", name)
