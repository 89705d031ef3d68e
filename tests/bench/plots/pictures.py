"""The three plots, as SVG: what is drawn where; the templates beside say how it looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from tests.bench.figures import Figure
from tests.bench.plots.axes import Axis, label
from tests.bench.results import Result

PARTS = ("web", "worker", "PostgreSQL", "Valkey")
_ROW = 44  # units from one row of a plot to the next
_TOP = 64
_COST, _GROWTH = (130, 830), (340, 760)
_PANELS = ((80, 430), (550, 880))
_PANEL = (330, 72)  # units from the top: of its lower edge, of its upper one

_templates = Environment(
    loader=PackageLoader("tests.bench.plots", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["label"] = label


@dataclass(frozen=True, slots=True)
class Line:
    """A line through these points; `look` is its CSS class."""

    name: str
    look: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over the events a second that are offered."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]

    @property
    def middle(self) -> float:
        return (self.x.start + self.x.end) / 2


@dataclass(frozen=True, slots=True)
class Row:
    """What a row of a plot is about, its height in the drawing, and its numbers."""

    name: str
    y: int
    numbers: Mapping[str, float]


def pictures(results: Mapping[str, Result]) -> dict[str, str]:
    """Each of `PLOTS` by the name of its file, as far as there are results for it."""
    figures = [one for result in results.values() for one in result.figures if one.numbers]
    found = {
        "load.svg": [one for one in figures if "offered" in _numbers(one)],
        "cost.svg": [one for one in figures if _numbers(one).keys() <= {*PARTS}],
        "growth.svg": _grown(results, figures),
    }
    return {name: PLOTS[name](chosen) for name, chosen in found.items() if chosen}


def _numbers(figure: Figure) -> Mapping[str, float]:
    return figure.numbers or {}


def _grown(results: Mapping[str, Result], figures: Sequence[Figure]) -> list[Figure]:
    """Those with most tasks, if both were measured."""
    less = results["growth"].figures if {"growth", "growth-full"} <= results.keys() else ()
    return [one for one in figures if "grown" in _numbers(one) and one not in less]


def _load(figures: Sequence[Figure]) -> str:
    told = [_numbers(one) for one in figures]
    offered, delivered, p50, p99 = (
        [one[name] for one in told] for name in ("offered", "delivered", "p50", "p99")
    )
    left, right = (Axis.linear(offered, *panel) for panel in _PANELS)
    diagonal = Line("offered", "offered", [(0, 0), (left.high, left.high)])
    arrived = Line("delivered", "first", [*zip(offered, delivered, strict=True)])
    soon = Line("p50", "first", [*zip(offered, p50, strict=True)])
    late = Line("p99", "second", [*zip(offered, p99, strict=True)])
    panels = [
        Panel(
            "Delivered, events a second",
            left,
            Axis.linear([*offered, *delivered], *_PANEL),
            [diagonal, arrived],
        ),
        Panel(
            "Webhook to receiver, ms",
            right,
            Axis.log([*p50, *p99], *_PANEL),
            [soon, late],
        ),
    ]
    return _templates.get_template("load.svg").render(panels=panels)


def _rows(figures: Sequence[Figure]) -> list[Row]:
    return [
        Row(figure.name.strip(), _TOP + _ROW * place, _numbers(figure))
        for place, figure in enumerate(figures)
    ]


def _cost(figures: Sequence[Figure]) -> str:
    rows = [
        Row(part, row.y, {"microseconds": number})
        for row in _rows(figures)
        for part, number in row.numbers.items()
    ]
    x = Axis.linear((row.numbers["microseconds"] for row in rows), *_COST)
    return _templates.get_template("cost.svg").render(rows=rows, x=x, bottom=_bottom(rows))


def _growth(figures: Sequence[Figure]) -> str:
    rows = _rows(figures)
    x = Axis.log((number for row in rows for number in row.numbers.values()), *_GROWTH)
    return _templates.get_template("growth.svg").render(rows=rows, x=x, bottom=_bottom(rows))


def _bottom(rows: Sequence[Row]) -> int:
    return _TOP + _ROW * len(rows)


PLOTS = {"load.svg": _load, "cost.svg": _cost, "growth.svg": _growth}
