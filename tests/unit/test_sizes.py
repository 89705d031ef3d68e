"""The code stays in small pieces, so that a reader finds the way by names."""

import ast
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_ENTRIES, MOST_MODULES, MOST_LINES = 30, 25, 350
MEDIAN, NINE_IN_TEN, MOST_OF_A_FUNCTION = 7, 18, 45  # lines


def modules() -> Iterator[Path]:
    for package in ("service", "workers"):
        yield from (ROOT / package).rglob("*.py")


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of each function of a module, and its name."""
    for one in ast.walk(ast.parse(path.read_text())):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (one.end_lineno or one.lineno) - one.lineno + 1
            yield lines, f"{path.relative_to(ROOT)}: {one.name}"


def test_no_package_and_no_module_is_too_large() -> None:
    """`service/` has few entries, a package few modules, and a module few lines."""
    entries = [one for one in (ROOT / "service").iterdir() if one.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES
    beside = Counter(path.parent for path in modules() if path.name != "__init__.py")
    assert {str(one): count for one, count in beside.items() if count > MOST_MODULES} == {}
    lines = {str(path): len(path.read_text().splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_functions_are_short() -> None:
    """Half of them are tiny, nine in ten fit into one look, and none is long."""
    found = sorted(one for path in modules() for one in functions(path))
    lengths = [lines for lines, _ in found]
    assert [name for lines, name in found if lines > MOST_OF_A_FUNCTION] == []
    assert statistics.median(lengths) <= MEDIAN
    assert lengths[int(len(lengths) * 0.9)] <= NINE_IN_TEN
