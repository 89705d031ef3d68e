"""docs/performance.md shows what was measured: its tables and plots are made of the results."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench.figures import Figure, grown
from tests.bench.measurements import MEASUREMENTS
from tests.bench.plots.axes import Axis
from tests.bench.plots.page import filled, read
from tests.bench.plots.pictures import PLOTS, pictures
from tests.bench.results import Result

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "performance.md").read_text(encoding="utf-8")
RESULTS = read(DOCS / "measured")
SVG = "{http://www.w3.org/2000/svg}"


def test_the_tables_are_those_of_the_results() -> None:
    """After new results, or a change by hand, `python -m tests.bench.plots` is due."""
    assert filled(PAGE, RESULTS) == PAGE
    files = {file.stem for file in (DOCS / "measured").iterdir()}
    assert files == RESULTS.keys()


def test_the_plots_are_those_of_the_results() -> None:
    drawn = pictures(RESULTS)
    assert drawn.keys() == PLOTS.keys()
    for name, picture in drawn.items():
        assert (DOCS / "pictures" / name).read_text(encoding="utf-8") == picture


def test_every_measurement_that_is_named_exists() -> None:
    """A command of the page, also one of several measurements."""
    named = re.findall(r"python -m tests\.bench ([\w -]+?) *(?:#|`|$)", PAGE, re.MULTILINE)
    names = {word for words in named for word in words.split() if not word.startswith("--")}
    assert names
    assert names - MEASUREMENTS.keys() == set()


def test_a_table_stands_below_its_command() -> None:
    """And the machine above the first that was measured on it; goals only where there are any."""
    soon, late = Figure("p50", "7 ms", "≤ 20 ms", holds=True), Figure("  p99", "9 ms")
    results = {
        "latency": Result("latency", "2 cores", [soon, late]),
        "idle": Result("idle", "2 cores", [Figure("all", "3 %")]),
        "hosts": Result("hosts", "8 cores", []),
    }
    lines = filled(PAGE, results).partition("## All figures")[2].splitlines()
    told = [line for line in lines if line.startswith(("Machine", "`python", "| "))]
    assert [line.partition(" (about")[0] for line in told] == [
        "Machine: 2 cores.",
        "`python -m tests.bench latency`",
        "|  | measured | goal |",
        "| --- | --- | --- |",
        "| p50 | 7 ms | ≤ 20 ms |",
        "| … p99 | 9 ms |  |",
        "`python -m tests.bench idle`",
        "|  | measured |",
        "| --- | --- |",
        "| all | 3 % |",
        "Machine: 8 cores.",
        "`python -m tests.bench hosts`",
        "|  | measured |",
        "| --- | --- |",
    ]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_told_to_those_who_do_not_see_it(name: str) -> None:
    """It has a title and a description, and names the unit of each axis."""
    root = ET.parse(DOCS / "pictures" / name).getroot()  # noqa: S314 (our own file)
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    said = " ".join(one.text or "" for one in root.iter(f"{SVG}text"))
    assert re.search(r"\bms\b|µs|events a second", said)


def test_the_larger_database_is_drawn() -> None:
    """If `growth` and `growth-full` were measured, the plot has each row once."""
    results = {
        "clock": Result("clock", "", [grown("a tick", 1, 1.5)]),
        "growth": Result("growth", "", [grown("a claim", 1, 2)]),
        "growth-full": Result("growth-full", "", [grown("a claim", 1, 30)]),
    }
    drawn = pictures(results)["growth.svg"]
    assert "1.0 → 1.5 ms" in drawn
    assert "1.0 → 30.0 ms" in drawn
    assert "1.0 → 2.0 ms" not in drawn


def test_an_axis_begins_and_ends_at_ticks_around_all_values() -> None:
    axis = Axis.linear([50, 2500], 0, 100)
    assert [*axis.ticks] == [0, 500, 1000, 1500, 2000, 2500]
    assert [axis.at(value) for value in (0, 1250, 2500)] == [0, 50, 100]
    narrow, wide = Axis.log([1.2, 14], 0, 100), Axis.log([3, 8000], 100, 0)
    assert [*narrow.ticks] == [1, 2, 5, 10, 20]
    assert [*wide.ticks] == [1, 10, 100, 1000, 10000]
    assert [wide.at(value) for value in (1, 100, 10000)] == [100, 50, 0]
    assert [*Axis.log([5, 5], 0, 100).ticks] == [5, 10]
