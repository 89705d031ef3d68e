"""The part of docs/performance.md that is made of results: each figure, below its command."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.bench.measurements import MEASUREMENTS
from tests.bench.results import Result

BEGIN = "<!-- made by `python -m tests.bench.plots`, not by hand: begin -->"
END = "<!-- end -->"


def read(folder: Path) -> dict[str, Result]:
    """The results in this folder, in the order of the measurements."""
    files = {name: folder / f"{name}.json" for name in MEASUREMENTS}
    return {name: Result.read(file) for name, file in files.items() if file.exists()}


def filled(page: str, results: Mapping[str, Result]) -> str:
    """The page with these results between its two marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "\n".join([f"{head}{BEGIN}", *_lines(results.values()), f"{END}{tail}"])


def _lines(results: Iterable[Result]) -> Iterator[str]:
    """A table for each; the machine stands above the first that was measured on it."""
    machine = None
    for result in results:
        if result.machine != machine:
            machine = result.machine
            yield f"\nMachine: {machine}."
        yield from _table(result)
    yield ""


def _table(result: Result) -> Iterator[str]:
    one = MEASUREMENTS[result.name]
    yield f"\n`python -m tests.bench {result.name}` (about {one.takes}): {one.says}.\n"
    has_goals = any(figure.wanted for figure in result.figures)
    yield _row("", "measured", *["goal"] * has_goals)
    yield _row("---", "---", *["---"] * has_goals)
    for figure in result.figures:
        # What belongs to the line above it is indented in a terminal.
        name = figure.name.replace("  ", "… ")
        yield _row(name, figure.value, *[figure.wanted] * has_goals)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
