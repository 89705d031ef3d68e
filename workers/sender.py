"""Sends deliveries per lane: claims them, sends them, and records the results."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from service.channels import Channel, MessageButton, SentRef
from service.channels.pace import Pace
from service.clock import Clock
from service.domain.model import State
from service.domain.operators.buttons import LABELS, Button
from service.domain.system_actions import CREATE, STILL_COMING
from service.errors import CallNotStarted, SendError
from service.outbox import CHECK_ARRIVAL, claiming
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.outbox.claims import Attempt, AttemptResult, Claim
from service.outbox.destinations import LaneOutage
from service.rules.message_basis import MessageBasis
from service.rules.ruleset import Ruleset
from service.rules.verdict import UNSUBSCRIBE
from service.store import Pool
from service.telemetry import tracing
from workers import retry
from workers.breaker import Breaker
from workers.final_check import FinalCheck
from workers.in_flight import InFlight

log = structlog.get_logger()

_NEVER_SENT = frozenset({State.FAILED, State.SKIPPED, State.CANCELLED, State.EXPIRED})
_DECISIONS = (Button.APPROVE, Button.DECLINE)
_GIVEN_BACK = "Taskbell was stopped before the message was sent"
_BROKEN_OFF = SendError("Taskbell was stopped while it waited for an answer", outcome_unknown=True)


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue of deliveries: its channels by their names, and how it sends.

    - `concurrency`: how many messages each worker sends at once
    - `pace`: the messages to one target are sent one after the other, no faster than it
    - `probe`: finds out whether a message could be sent; raises SendError. Without it, each message
      is tried by its own schedule however many others fail.
    """

    name: str
    channels: Mapping[str, Channel]
    concurrency: int
    pace: Pace | None = None
    probe: Callable[[], Awaitable[object]] | None = None


class LaneSender:
    """Sends the due deliveries of one lane.

    `rules` are used to check once more whether a delivery has expired; `zones` are those of the
    accounts. `links` are those for approvers and for others who answer. A message to a customer is
    sent only after the final check with its account's system.
    """

    def __init__(
        self,
        lane: Lane,
        pool: Pool,
        clock: Clock,
        rules: Ruleset,
        zones: Mapping[str, ZoneInfo],
        links: DeliveryLinks,
        final_checks: Mapping[str, FinalCheck],
    ) -> None:
        self._final_checks = final_checks
        self._links = links
        self._rules = rules
        self._zones = zones
        self.name = lane.name
        self._pace = lane.pace
        self._channels = lane.channels
        self._pool = pool
        self._clock = clock
        width, ways = lane.concurrency, lane.channels.values()
        self._width = asyncio.Semaphore(width)
        # What reaches a customer is claimed only when it is sent next: a crash then leaves few
        # with unknown outcome. For the others large claims cost less.
        guarded = any(channel.at_most_once for channel in ways)
        room, worth_claiming = (width, 1) if guarded else (width * 6, width * 2)
        # A lost claim is harmless if no channel looks for messages of earlier attempts.
        self._durable = guarded or any(channel.finds for channel in ways)
        self._ledger = InFlight(lane.name, pool, clock, room, worth_claiming, self._follow)
        self._breaker = lane.probe and Breaker(lane.name, pool, clock, lane.probe)
        self._attempts: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._wake_up: Callable[[], None] = lambda: None

    def set_wake_up(self, wake_up: Callable[[], None]) -> None:
        """Set the function that wakes up this lane when a paused target may be sent to again."""
        self._wake_up = wake_up

    def learn(self, outage: LaneOutage | None) -> bool:
        """Take over what all workers know of this lane; returns whether it is to be tried now."""
        return self._breaker is not None and self._breaker.learn(outage)

    async def batch(self) -> bool:
        """Start to send what is due, as far as there is room; False if nothing was due."""
        room = await self._ledger.room()
        if self._stopping:
            return False
        claims = await self._claim(room)
        self.begin(claims)
        return bool(claims)

    @property
    def direct_room(self) -> int:
        """How many deliveries can be claimed for it as they are placed (see `DirectClaims`).

        None with a pace, whose turns are taken by claims, or if each claim has to be looked at.
        """
        is_closed = self._breaker is None or self._breaker.is_closed
        if self._stopping or self._durable or self._pace is not None or not is_closed:
            return 0
        return self._ledger.free

    def begin(self, claims: Sequence[Claim]) -> None:
        """Start to send these; their claims are committed."""
        self._ledger.enter(claims)
        for claim in claims:
            attempt = asyncio.create_task(self._attempt(claim))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _claim(self, room: int) -> list[Claim]:
        if self._breaker is None:
            return await self._claim_due(room)
        room = await self._breaker.room(room)
        claims = await self._claim_due(room) if room else []
        if room and not claims and await self._breaker.nothing_due():
            claims = await self._claim_due(room)
        return claims

    async def _claim_due(self, room: int) -> list[Claim]:
        return await claiming.claim(
            self._pool,
            self.name,
            self._clock,
            room,
            self._rules,
            self._zones,
            durable=self._durable,
            pace=self._pace,
        )

    async def rest(self) -> None:
        """Wait until the results of all started deliveries are stored."""
        await self._ledger.empty()

    async def finish(self, within: float) -> None:
        """Start no more deliveries, abort those that take more than `within` seconds, and rest."""
        self._stopping = True
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=within)
            for attempt in late:
                attempt.cancel()
        await self.rest()

    async def _attempt(self, claim: Claim) -> None:
        """Send one when its turn comes; `finish` cancels this, and waits for the result."""
        given_back = AttemptResult(claim, State.PLANNED, _GIVEN_BACK, again_at=self._clock.now())
        try:
            async with self._width:
                settlement = given_back if self._stopping else await self._outcome(claim)
        except asyncio.CancelledError:
            settlement = given_back
        self._ledger.answer(settlement)

    def _follow(self, result: AttemptResult) -> None:
        """Continue with deliveries for the same target, once that may be sent to again."""
        again_at = result.pause_until or result.claim.turn
        if again_at is not None:
            rest = max(again_at - self._clock.now(), timedelta(0))
            asyncio.get_running_loop().call_later(rest.total_seconds(), self._wake_up)

    async def _outcome(self, claim: Claim) -> AttemptResult:
        channel = claim.message.channel
        with tracing.span("deliver", claim.trace, delivery=claim.id, channel=channel):
            checked = await self._checked(claim)
            settlement = (
                checked if isinstance(checked, AttemptResult) else await self._attempted(checked)
            )
            tracing.describe(state=settlement.state.value)
        return settlement

    async def _checked(self, claim: Claim) -> AttemptResult | Claim:
        """The message as it is sent, or the result if it must not be sent any more."""
        if claim.original in _NEVER_SENT:
            return AttemptResult(
                claim, State.CANCELLED, "nothing to rewrite: the message was never sent"
            )
        if claim.approves is not None and claim.approves[1] is None:
            return AttemptResult(
                claim, State.CANCELLED, "nothing to ask: someone has already decided"
            )
        return claim if claim.grounds is None else await self._check(claim, claim.grounds)

    async def _attempted(self, claim: Claim) -> AttemptResult:
        began_at = self._clock.now()
        answer = await self._answer(claim)
        if self._breaker is not None and self._breaker.note(answer):
            self._wake_up()
        error = answer if isinstance(answer, SendError) else None
        # The machine's clock may be set back meanwhile.
        took = max(self._clock.now() - began_at, timedelta(0))
        return replace(self._result(claim, answer), attempt=Attempt(began_at, took, error))

    async def _answer(self, claim: Claim) -> SentRef | SendError:
        """Send, and return what came of it."""
        channel = self._channels[claim.message.channel]
        try:
            return await _send(channel, self._linked(claim))
        except SendError as error:
            return error
        except CallNotStarted:
            raise
        except asyncio.CancelledError:
            return _BROKEN_OFF
        except Exception as error:  # a defect in a channel must not take the others' answers along
            log.exception("delivery.crashed", delivery=claim.id, channel=claim.message.channel)
            return SendError(f"internal error: {type(error).__name__}", outcome_unknown=True)

    def _result(self, claim: Claim, answer: SentRef | SendError) -> AttemptResult:
        if isinstance(answer, SendError):
            return self._unsent(claim, answer)
        notes = filter(None, (claim.note, answer.get("note")))
        return AttemptResult(claim, State.SENT, "; ".join(notes) or None, receipt=answer)

    def _unsent(self, claim: Claim, error: SendError) -> AttemptResult:
        """The result for a message that was not accepted; a requested pause is not a failure."""
        now = self._clock.now()
        waited = now - (claim.unsent_since or now)
        if not _asks_for_pause(claim, error) or waited > retry.PATIENCE:
            return self._kept_in_order(_failed(claim, error, now))
        until = now + (error.retry_after or retry.SHORT_PAUSE)
        reason = f"{error}; will be tried again"
        # With a pace the messages to a target keep their order: this one goes first again.
        again_at = claim.created_at if self._pace else until
        return AttemptResult(
            claim, State.PLANNED, reason, again_at=again_at, is_unsent=True, pause_until=until
        )

    def _kept_in_order(self, result: AttemptResult) -> AttemptResult:
        """With a pace the other messages to the target wait for the first retry, a moment later."""
        is_first = self._pace is not None and result.claim.attempts == 1
        if not is_first or result.again_at is None:
            return result
        return replace(result, again_at=result.claim.created_at, pause_until=result.again_at)

    async def _check(self, claim: Claim, grounds: MessageBasis) -> AttemptResult | Claim:
        """A customer message that passes the final check, up to date; else its result."""
        account = grounds.event.account
        final_check = self._final_checks.get(account)
        if final_check is None:
            reason = (
                f"account {account} is no longer in the configuration,"
                " so Taskbell cannot check the task"
            )
            return AttemptResult(claim, State.CANCELLED, reason, is_unsent=True)
        try:
            return await final_check.ask(claim, grounds)
        except Exception as error:  # a defect here must not take the others' answers along
            log.exception("last_look.crashed", delivery=claim.id, account=account)
            return final_check.hold(claim, grounds, f"internal error: {type(error).__name__}")

    def _linked(self, claim: Claim) -> Claim:
        """The message with the links of its receiver: to answer, and to end all messages."""
        message = claim.message
        link = self._links.unsubscribing.to(claim.candidate.receivers, message.target)
        if link is None and UNSUBSCRIBE not in message.text:
            return self._answered(claim)  # most messages: the copy below takes 10 µs
        text = message.text.replace(UNSUBSCRIBE, link or "")
        return self._answered(replace(claim, message=replace(message, text=text, unsubscribe=link)))

    def _answered(self, claim: Claim) -> Claim:
        """A question to an approver, or a message that can be answered, with its buttons."""
        message = claim.message
        match claim.approves:
            case (int(delivery), str(key)):
                buttons = _buttons(_DECISIONS, LinkTo.APPROVE, delivery, key, self._links)
            case _ if claim.buttons and self._links.lead_somewhere:
                number, key = claim.id, message.key
                buttons = _buttons(claim.buttons, LinkTo.ANSWER, number, key, self._links)
            case _:
                return claim
        link = f"Answer here: {buttons[0].url}"
        lines = [message.text, "" if self._channels[message.channel].shows_buttons else link]
        text = "\n".join(filter(None, lines))
        return replace(claim, message=replace(message, text=text, buttons=buttons))


def _buttons(
    wanted: Sequence[Button], page: LinkTo, delivery: int, key: str, links: DeliveryLinks
) -> tuple[MessageButton, ...]:
    """These buttons about a delivery, all of which have one page."""
    url, value = links.to(page, delivery, key), f"{delivery}:{links.sign(page, delivery, key)}"
    return tuple(MessageButton(one, LABELS[one], url, value) for one in wanted)


async def _send(channel: Channel, claim: Claim) -> SentRef:
    """Send, unless an earlier attempt turns out to have arrived."""
    if claim.attempts > 1 and (found := await channel.find(claim.message)) is not None:
        return found
    if claim.updates is None or claim.message.undo not in channel.undoes:
        return await channel.send(claim.message)
    if claim.message.receipt is None:
        raise SendError("the message that this one corrects has not been sent yet")
    return await channel.take_back(claim.message)


def _asks_for_pause(claim: Claim, error: SendError) -> bool:
    """Whether the receiving system wants the message later, and certainly has not taken it now.

    An attempt that has achieved a part counts as one.
    """
    is_open = error.outcome_unknown or error.progress is not None or claim.at_most_once
    is_taken_back = not error.permanent and not is_open
    return error.not_now or (is_taken_back and error.retry_after is not None)


def _failed(claim: Claim, error: SendError, now: datetime) -> AttemptResult:
    """Try again, give up, or leave it to a person: never guess about a customer message."""
    reason = str(error)
    if error.outcome_unknown and claim.at_most_once:
        return AttemptResult(claim, State.UNKNOWN, f"{reason}. {CHECK_ARRIVAL}")
    if error.permanent:
        return AttemptResult(claim, State.FAILED, reason, error.progress)
    pause = retry.DELIVERY.after(claim.attempts)
    if pause is None:
        return AttemptResult(
            claim,
            State.FAILED,
            f"{reason}; given up after {claim.attempts} attempts",
            error.progress,
        )
    pause = max(pause, error.retry_after or pause)
    if error.outcome_unknown and claim.message.channel == CREATE:
        pause = max(pause, STILL_COMING)
    again_at = now + pause
    reason = f"{reason}; will be tried again"
    return AttemptResult(claim, State.PLANNED, reason, error.progress, again_at)
