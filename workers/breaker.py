"""Circuit breaker of one lane: while everything fails there, it is only tried from time to time.

All workers share its state. It opens after some failures in a row, at once if nobody could be
reached. Then one worker at a time tries whether the other side can be reached; if so, it sends one
message. When that arrives, the breaker closes, and what waits to be tried again is sent at once.
"""

from collections.abc import Awaitable, Callable

import structlog

from service.channels import SentRef
from service.clock import Clock
from service.errors import SendError
from service.outbox import destinations
from service.outbox.destinations import LaneOutage
from service.store import Pool
from workers import retry

log = structlog.get_logger()

_FAILURES_IN_A_ROW = 5
_SERVER_ERROR = 500


class Breaker:
    """Says how many messages may be claimed, and learns from their results.

    `probe` finds out whether a message could be sent, without sending any; it raises SendError.
    """

    def __init__(
        self, lane: str, pool: Pool, clock: Clock, probe: Callable[[], Awaitable[object]]
    ) -> None:
        self._lane = lane
        self._pool = pool
        self._clock = clock
        self._probe = probe
        self._failures = 0
        self._error = ""
        self._outage: LaneOutage | None = None
        self._has_worked = False

    def learn(self, outage: LaneOutage | None) -> bool:
        """Take over what all workers know of this lane; returns whether it is to be tried now."""
        if outage is None and self._outage is not None:
            self._failures = 0
        self._outage = outage
        return outage is not None and outage.probe_at <= self._clock.now()

    def note(self, answer: SentRef | SendError) -> bool:
        """Note the result of an attempt; returns whether the breaker is to open or to close."""
        if not isinstance(answer, SendError) or _is_answered(answer):
            self._failures, self._has_worked = 0, self._outage is not None
            return self._has_worked
        self._error = str(answer)
        self._failures += _FAILURES_IN_A_ROW if _is_unreachable(answer) else 1
        return self._outage is None and self._is_failing

    @property
    def is_closed(self) -> bool:
        """Whether messages can be sent as usual."""
        return self._outage is None and not self._is_failing

    async def room(self, room: int) -> int:
        """How many messages may be claimed now, of at most `room`."""
        if self._outage is not None and self._has_worked:
            await self._close()
        if self._outage is None and self._is_failing:
            await self._open()
        if self._outage is None:
            return room
        return 1 if await self._is_to_be_tried(self._outage) else 0

    async def nothing_due(self) -> bool:
        """There is nothing to try it with; returns whether there is now."""
        if self._outage is None:
            return False
        if await destinations.try_one_ahead(self._pool, self._lane, self._clock.now()):
            return True
        if not await destinations.has_failed_before(self._pool, self._lane):
            await self._close()
        return False

    @property
    def _is_failing(self) -> bool:
        return self._failures >= _FAILURES_IN_A_ROW

    async def _is_to_be_tried(self, outage: LaneOutage) -> bool:
        now = self._clock.now()
        next_at = now + retry.LANE.after(outage.probes + 1)
        if not await destinations.take_probe(self._pool, self._lane, now, next_at):
            return False
        await destinations.give_up(self._pool, self._lane, outage, now)
        try:
            await self._probe()
        except SendError as error:
            log.info("lane.still_fails", lane=self._lane, error=str(error))
            return False
        await destinations.put_in_order(self._pool, self._lane, self._clock.now())
        # A message may take longer than the pause between two tries: its result is waited for.
        return not await destinations.is_sending(self._pool, self._lane)

    async def _open(self) -> None:
        now = self._clock.now()
        self._outage = LaneOutage(now, self._error, now + retry.LANE.after(1), 0)
        await destinations.begin_outage(self._pool, self._lane, self._outage)
        log.warning("lane.fails", lane=self._lane, error=self._error)

    async def _close(self) -> None:
        await destinations.end_outage(self._pool, self._lane, self._clock.now())
        self._outage, self._has_worked, self._failures = None, False, 0
        log.info("lane.works_again", lane=self._lane)


def _is_answered(error: SendError) -> bool:
    """Whether the other side is well: it refuses this message, or asks for a pause."""
    has_said_no = error.status is not None and error.status < _SERVER_ERROR
    return error.permanent or error.not_now or has_said_no


def _is_unreachable(error: SendError) -> bool:
    return error.status is None and not error.outcome_unknown
