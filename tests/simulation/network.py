"""The network between Taskbell and everybody else: what happens to calls, and when."""

import asyncio
from asyncio import Future
from collections import defaultdict, deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Protocol, TypeVar

from service.errors import SourceError

Answer = TypeVar("Answer")

PATIENCE = 15.0  # seconds after which a caller gives up
LATE = 12.0  # seconds
_AT_ONCE = 0.55


class Fate(StrEnum):
    """What becomes of one call."""

    REFUSED = "is refused: nothing is listening there"
    SWALLOWED = "gets lost on the way, and the caller waits in vain"
    UNANSWERED = "is carried out, but its answer gets lost"
    FAILED = "is answered by an error, and nothing is done"
    BUSY = "is answered by a request for a pause"
    LATE = "arrives twelve seconds late, which is more than a lease"
    SLOW = "is answered twelve seconds late"


class NotReached(Exception):
    """Nothing has left this machine."""


class NoAnswer(Exception):
    """The call was sent; whether it was carried out is not known."""


class Failed(Exception):
    """The other side answers with an error."""


class Busy(Exception):
    """The other side asks for a pause of `seconds`."""

    seconds = 4.0


@dataclass(frozen=True, slots=True)
class Delays:
    """How long things take, in seconds, as the seed has chosen it."""

    random: Random

    def of_statement(self) -> float:
        """One way to the database: often none, so that nobody else gets a turn meanwhile."""
        chosen = self.random.random()
        return 0.0 if chosen < _AT_ONCE else 0.004 * (chosen - _AT_ONCE) ** 2

    def of_call(self) -> float:
        """One way to another system."""
        return 0.01 + 0.4 * self.random.random() ** 3


class Caller(Protocol):
    """The process that makes a call."""

    async def wait(self, seconds: float) -> None:
        """Sleep; raises if the process is killed meanwhile."""

    async def wait_for_answer(self, seconds: float) -> None:
        """The same, after something was sent that is perhaps carried out."""


running_in: ContextVar[Caller | None] = ContextVar("running_in", default=None)


class Network:
    """All calls to systems and receivers."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._fates: dict[str, deque[Fate]] = defaultdict(deque)

    def spoil(self, host: str, fate: Fate, calls: int) -> None:
        """The next calls to this host have this fate, after those that were spoilt before."""
        self._fates[host].extend([fate] * calls)

    def heal(self) -> None:
        """From now on every call arrives, and is answered."""
        self._fates.clear()

    async def call(self, host: str, carry_out: Callable[[], Answer]) -> Answer:
        """Call a host, which then carries something out; raises what came in between.

        What is under way arrives, even if the process that has sent it dies meanwhile.
        """
        fate = self._fates[host].popleft() if self._fates[host] else None
        if fate is Fate.REFUSED:
            raise NotReached
        await _wait(0)
        arrival = self._arrival(fate, carry_out)
        await _wait_for_answer(self._delays.of_call() + (LATE if fate is Fate.SLOW else 0))
        if fate in {Fate.SWALLOWED, Fate.UNANSWERED}:
            await _wait(PATIENCE)
            raise NoAnswer
        answer = await asyncio.shield(arrival)
        await _wait(0)
        return answer

    def _arrival(self, fate: Fate | None, carry_out: Callable[[], Answer]) -> Future[Answer]:
        """The answer of the host, once the call has arrived there."""
        loop = asyncio.get_running_loop()
        answer: Future[Answer] = loop.create_future()
        answer.add_done_callback(Future.exception)  # nobody may be left to take it

        def arrive() -> None:
            try:
                _refuse(fate)
                answer.set_result(carry_out())
            except (Failed, Busy, SourceError) as error:
                answer.set_exception(error)

        if fate is not Fate.SWALLOWED:
            delay = self._delays.of_call() + (LATE if fate is Fate.LATE else 0)
            loop.call_later(delay, arrive, context=Context())
        return answer


async def _wait(seconds: float) -> None:
    process = running_in.get()
    await (asyncio.sleep(seconds) if process is None else process.wait(seconds))


async def _wait_for_answer(seconds: float) -> None:
    process = running_in.get()
    await (asyncio.sleep(seconds) if process is None else process.wait_for_answer(seconds))


def _refuse(fate: Fate | None) -> None:
    if fate is Fate.FAILED:
        raise Failed
    if fate is Fate.BUSY:
        raise Busy
