"""The simulated loop: time passes only when nothing else is to be done."""

import asyncio
import time

import pytest

from tests.simulation.event_loop import SimulatedLoop, Stalled


def test_a_year_passes_at_once() -> None:
    """Whoever sleeps is woken at the right time, in the right order, without any waiting."""
    woken = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, asyncio.get_running_loop().time()))

    async def history() -> None:
        await asyncio.gather(sleep("late", 31_536_000), sleep("early", 60))

    began_at = time.monotonic()
    SimulatedLoop(begins=5).run(history())
    assert woken == [("early", 65), ("late", 31_536_005)]
    assert time.monotonic() - began_at < 60


def test_a_timeout_ends_what_takes_too_long() -> None:
    """The timeouts of asyncio itself are by the simulated time."""

    async def history() -> None:
        async with asyncio.timeout(30):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        SimulatedLoop().run(history())


def test_a_history_in_which_everybody_waits_is_stalled() -> None:
    """It is an error, and does not hang."""

    async def history() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stalled):
        SimulatedLoop().run(history())


def test_what_a_history_leaves_behind_is_ended() -> None:
    """A task that would run for ever is cancelled."""
    ended = []

    async def run_for_ever() -> None:
        try:
            while True:
                await asyncio.sleep(1)
        finally:
            ended.append("ended")

    async def history() -> None:
        ended.append(asyncio.create_task(run_for_ever()).get_name())
        await asyncio.sleep(3)

    SimulatedLoop().run(history())
    assert ended[1:] == ["ended"]
