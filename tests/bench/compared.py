"""Taskbell beside what people use today: the same job in the same run, as ratios.

They take turns, because the speed of a machine drifts. Only Taskbell has each event on disk, with
fsync, before it is acknowledged.
"""

import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.bench import alertmanager, figures, nodered
from tests.bench.figures import Figure
from tests.harness.programs import NotInstalled

ROUNDS = 3
Measured = Callable[[Path], Awaitable[float]]

_SYSTEMS: Mapping[str, Measured] = {
    "Taskbell": figures.events_per_second,
    "Alertmanager": alertmanager.events_per_second,
    "Node-RED": nodered.events_per_second,
}
# At least so many times as fast as the other one.
_WANTED = {"Alertmanager": 0.5, "Node-RED": 2.5}


async def compared(folder: Path) -> list[Figure]:
    """Events a second, webhook to receiver, of each, and Taskbell's as a ratio to the others'."""
    folder.mkdir()
    rates: defaultdict[str, list[float]] = defaultdict(list)
    lines = []
    for number in range(ROUNDS):
        for name, measure in _SYSTEMS.items():
            try:
                rates[name].append(await measure(folder / f"{name}-{number}"))
            except NotInstalled as error:
                lines += [Figure(f"{name}, the same job", str(error))] if number == 0 else []
    lines += [
        Figure(f"events a second of {name}", f"{statistics.median(found):,.0f}")
        for name, found in rates.items()
    ]
    return lines + [_ratio(name, rates) for name in _WANTED if name in rates]


def _ratio(name: str, rates: Mapping[str, list[float]]) -> Figure:
    """The median over the rounds, in each of which both were measured one after the other."""
    pairs = zip(rates["Taskbell"], rates[name], strict=True)
    ratio, wanted = statistics.median(ours / theirs for ours, theirs in pairs), _WANTED[name]
    return Figure(f"  Taskbell / {name}", f"{ratio:.2f}", f"≥ {wanted}", ratio >= wanted)
