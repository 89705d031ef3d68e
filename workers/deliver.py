"""Deliveries leave: claim, send, settle, lane by lane."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from service import metrics
from service.channels import Channel, Receipt
from service.clock import Clock
from service.errors import SendError
from service.model import State
from service.outbox import LEASE, Claim, Settlement, sending
from service.store import DATABASE_GONE, Pool

log = structlog.get_logger()

# When the attempts after the first are made: the schedule of Standard Webhooks 1.0.
RETRY_AFTER = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)
_JITTER = 0.2
_NEVER_SENT = frozenset({State.FAILED, State.SKIPPED, State.CANCELLED, State.EXPIRED})
_PAUSE_WITHOUT_DATABASE = 1.0  # seconds


class Lane:
    """Sends what is due on one lane; `channels` are its ways out by the delivery's channel."""

    def __init__(
        self, name: str, channels: Mapping[str, Channel], pool: Pool, clock: Clock
    ) -> None:
        self.name = name
        self._channels = channels
        self._pool = pool
        self._clock = clock
        width = max(channel.concurrency for channel in channels.values())
        self._width = asyncio.Semaphore(width)
        # What reaches a customer is claimed only when it is sent next: a crash then leaves few
        # whose outcome nobody knows. For the others large claims cost less.
        guarded = any(channel.at_most_once for channel in channels.values())
        self._batch = width if guarded else width * 4

    async def batch(self) -> bool:
        """Send what is due, up to the lane's width; False when nothing was."""
        claims = await sending.claim(self._pool, self.name, self._clock, self._batch)
        if claims:
            renewing = asyncio.create_task(self._renew(claims))
            try:
                await self._settle(await asyncio.gather(*(self._attempt(one) for one in claims)))
            finally:
                renewing.cancel()
        return bool(claims)

    async def _renew(self, claims: Sequence[Claim]) -> None:
        """Keep the leases for as long as it takes; ends by being cancelled."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                await sending.renew(self._pool, claims, self._clock)
            except DATABASE_GONE as error:
                log.warning("delivery.lease_not_renewed", lane=self.name, error=str(error))

    async def _attempt(self, claim: Claim) -> Settlement:
        channel = self._channels[claim.message.channel]
        if claim.original in _NEVER_SENT:
            return Settlement(claim, State.CANCELLED, "nothing to rewrite: that was never sent")
        try:
            async with self._width:
                receipt = await _send(channel, claim)
        except SendError as error:
            return _failed(claim, error, self._clock.now())
        except Exception as error:  # a defect in a channel must not take the others' answers along
            log.exception("delivery.crashed", delivery=claim.id, channel=claim.message.channel)
            crash = SendError(f"internal error: {type(error).__name__}", outcome_unknown=True)
            return _failed(claim, crash, self._clock.now())
        return Settlement(claim, State.SENT, receipt=receipt)

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        """Write the answers down, however long the database is away: they exist nowhere else."""
        while True:
            try:
                await sending.settle(self._pool, settlements, self._clock.now())
            except DATABASE_GONE as error:
                log.warning("delivery.unsettled", lane=self.name, error=str(error))
                await asyncio.sleep(_PAUSE_WITHOUT_DATABASE)
            else:
                break
        _count(settlements)
        for one in settlements:
            log.info(
                "delivery.attempted",
                delivery=one.claim.id,
                channel=one.claim.message.channel,
                state=one.state,
                attempt=one.claim.attempts,
                reason=one.reason,
            )


def _count(settlements: Sequence[Settlement]) -> None:
    ended = Counter((one.claim.message.channel, one.state) for one in settlements)
    for (channel, state), count in ended.items():
        metrics.deliveries.labels(channel, state).inc(count)


async def _send(channel: Channel, claim: Claim) -> Receipt:
    """Send, unless an earlier attempt turns out to have arrived."""
    if claim.updates is not None:
        return await _rewrite(channel, claim)
    if claim.attempts > 1 and (found := await channel.find(claim.message)) is not None:
        return found
    return await channel.send(claim.message)


async def _rewrite(channel: Channel, claim: Claim) -> Receipt:
    if not channel.can_update:
        return await channel.send(claim.message)
    if claim.message.receipt is None:
        raise SendError("the message that this one rewrites has not been sent yet")
    return await channel.update(claim.message)


def _failed(claim: Claim, error: SendError, now: datetime) -> Settlement:
    """Try again, give up, or leave it to a person: never a guess about a customer's message."""
    reason = str(error)
    if error.outcome_unknown and claim.at_most_once:
        return Settlement(claim, State.UNKNOWN, f"{reason}; look whether it arrived, then resolve")
    if error.permanent:
        return Settlement(claim, State.FAILED, reason)
    if claim.attempts > len(RETRY_AFTER):
        return Settlement(
            claim, State.FAILED, f"{reason}; given up after {claim.attempts} attempts"
        )
    again_at = now + _pause(claim.attempts, error)
    return Settlement(claim, State.PLANNED, f"{reason}; will be tried again", again_at=again_at)


def _pause(
    attempts: int, error: SendError, chance: Callable[[float, float], float] = random.uniform
) -> timedelta:
    scheduled = RETRY_AFTER[attempts - 1] * chance(1 - _JITTER, 1 + _JITTER)
    return max(scheduled, error.retry_after or scheduled)
