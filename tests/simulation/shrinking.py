"""Makes a failing history as short as it can be: what the failure does not need is left out.

A history is its plan, so to leave out a step is all there is to do. The delays of what is left
change by that; what fails no more is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.simulation.plan import Step
from tests.simulation.runner import History, Simulation


def shrunk(simulation: Simulation, failing: History) -> History:
    """The shortest history found that breaks the same law."""
    found, law = failing, _law(failing)
    while (shorter := _shorter(simulation, found, law)) is not None:
        found = shorter
    return found


def _shorter(simulation: Simulation, found: History, law: str) -> History | None:
    for steps in _variants(found.steps):
        history = simulation.run(found.seed, steps)
        if _law(history) == law:
            return history
    return None


def _variants(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """The same with a half, a step, a repetition or a pause less."""
    half = len(steps) // 2
    if half > 1:
        yield from (steps[half:], steps[:half])
    for number, step in enumerate(steps):
        yield [*steps[:number], *steps[number + 1 :]]
        for simpler in _simpler(step):
            yield [*steps[:number], simpler, *steps[number + 1 :]]


def _simpler(step: Step) -> Iterator[Step]:
    if len(step.copies) > 1:
        yield replace(step, copies=step.copies[:1])
    if step.pause:
        yield replace(step, pause=0.0)


def _law(history: History) -> str:
    """The first law that is broken; empty if none is."""
    return history.broken[0].partition(":")[0] if history.broken else ""
