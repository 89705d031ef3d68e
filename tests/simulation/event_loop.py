"""An event loop on simulated time: nothing waits, and nothing outside of the history wakes it up.

Whatever is ready runs in the order in which it became ready, as in asyncio itself. When nothing is,
the time is set to the next timer. So a history takes as long as its computations, and its order
depends on the delays only, which the seed has chosen.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Stalled(Exception):
    """Everybody waits for somebody else, and no timer will ever end that."""


class _Hourglass:
    """What the loop takes for a selector: to wait for events sets the time to the next timer."""

    def __init__(self, loop: "SimulatedLoop", begins: float) -> None:
        self.time = begins
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stalled("nothing is ready, and no timer is set")
        if timeout > 0:
            self.time = self._loop._scheduled[0].when()
        return []


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one history, whose time begins at so many seconds."""

    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, begins: float = 0.0) -> None:
        super().__init__()
        self._selector = _Hourglass(self, begins)
        self._clock_resolution = 1e-6  # seconds: of a year a float knows no less
        self.faults: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    def time(self) -> float:
        return self._selector.time

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: see `_Hourglass.select`."""

    def _write_to_self(self) -> None:
        """There is no other thread that could have to wake it up."""

    def run(self, history: Coroutine[Any, Any, None]) -> None:
        """Run a history to its end, and whatever it has left behind."""
        try:
            self.run_until_complete(history)
            self.run_until_complete(_end_all())
            self.run_until_complete(self.shutdown_asyncgens())
        finally:
            self.close()


async def _end_all() -> None:
    """Cancel whatever else runs, and wait until it has ended."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
