"""The final check before a message reaches a customer: the current task is read from the system.

The result is processed like any other observation, with all its effects. The message is sent only
if it is valid after that. If the task cannot be read, nothing is sent.

If the task has changed, the text is rendered again in the same transaction, and stored: the message
describes the current task. A message that a person approved with the old text is cancelled, and
planned again for approval.

A digest depends on several tasks. If one has changed, the message is cancelled and replaced by one
without that task, or with its new state, in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import structlog

from service.clock import Clock
from service.domain.alarms import date_of
from service.domain.model import Cause, Event, Kind, Observation, State, Task
from service.domain.recurrence import still_completed
from service.engine import Engine
from service.engine.postgres import PostgresTransaction
from service.errors import PayloadError, SourceError
from service.outbox import (
    DeliveryRequest,
    attempts,
    gate_facts,
    gates,
    silences,
    storms,
    suppression,
    visits,
)
from service.outbox.claims import AttemptResult, Claim
from service.outbox.gates import Stop
from service.rules.message_basis import MessageBasis
from service.rules.planning import OVER_ACCOUNTS
from service.rules.revision import Rejection, RevisedMessage, rests_on, revision, superseded
from service.rules.rewriting import NewText, rewriting
from service.rules.ruleset import Ruleset
from service.sources import Source
from service.store import DATABASE_ERRORS, Connection, Pool, absences, accounts, events, outages
from service.store.operators import rule_overrides
from service.store.tasks import PostgresTasks
from workers import retry
from workers.canaries import Canaries

log = structlog.get_logger()

# How long a system may need to show a task that it has just announced.
_STILL_COMING = timedelta(minutes=2)
_AHEAD = frozenset({Kind.STARTING_SOON, Kind.DUE_SOON})
# How long a message waits to be checked if nothing else says until when it is wanted.
LONGEST_WAIT = timedelta(hours=12)
_IN_ITS_HOURS = timedelta(hours=1)
# So many tasks of one message are read by id; for more all of the account is read, so lately.
MOST_READ = 20
_LATELY = timedelta(minutes=5)


class FinalCheck:
    """Reads from one account's system the tasks that customer messages are about."""

    def __init__(
        self,
        pool: Pool,
        engine: Engine,
        source: Source,
        clock: Clock,
        rules: Ruleset,
        zone: ZoneInfo,
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._clock = clock
        self._rules = rules
        self._zone = zone
        self._canaries = Canaries(pool, source)

    async def ask(self, claim: Claim, grounds: MessageBasis) -> AttemptResult | Claim:
        """The message, up to date, if it may be sent now; else the result that replaces sending."""
        if grounds.is_over_accounts:
            return AttemptResult(claim, State.SKIPPED, OVER_ACCOUNTS, is_unsent=True)
        return await self._asked(claim, grounds)

    async def _asked(self, claim: Claim, grounds: MessageBasis) -> AttemptResult | Claim:
        try:
            if await self._is_to_be_read(grounds.event.account):
                return self.hold(
                    claim, grounds, "the account is paused, or has not been read again yet"
                )
            if (why := await self._is_behind(grounds)) is not None:
                return self.hold(claim, grounds, why)
            is_read_whole = len(grounds.each) > MOST_READ
            looks = [] if is_read_whole else [await self._read(one) for one in grounds.each]
            if (why := await self._doubt(grounds, looks)) is not None:
                return self.hold(claim, grounds, why)
            return await self._take(claim, grounds, looks)
        except (SourceError, PayloadError) as error:
            pause = getattr(error, "retry_after", None)
            return self.hold(claim, grounds, f"the task could not be read: {error}", pause)
        except DATABASE_ERRORS as error:
            log.warning("last_look.unfinished", delivery=claim.id, error=str(error))
            return self.hold(claim, grounds, "the database was not available")

    def hold(
        self, claim: Claim, grounds: MessageBasis, why: str, pause: timedelta | None = None
    ) -> AttemptResult:
        """Postpone a message that could not be checked, until it can be, or has expired."""
        now = self._clock.now()
        waited = now - (grounds.unread_since or now)
        again_at = now + max(retry.STANDING.after(waited), pause or timedelta(0))
        expires_at = grounds.expires_at or self._limit(grounds, now)
        return AttemptResult(
            claim,
            State.HELD,
            f"waiting: Taskbell must check the task before it sends this and could not yet ({why})",
            again_at=min(again_at, max(expires_at, now)),
            is_unsent=True,
            expires_at=expires_at,
        )

    def _limit(self, grounds: MessageBasis, now: datetime) -> datetime:
        """Until when a message waits if its rule sets no limit.

        If its opening hours are over by then, it may still be sent when they begin.
        """
        last = now + LONGEST_WAIT
        opening = self._rules.timing(grounds.rule).until_open(grounds.event.after, last, self._zone)
        last = last if opening == last else opening + _IN_ITS_HOURS
        return max(_announced(one) or last for one in grounds.each)

    async def _is_to_be_read(self, account: str) -> bool:
        failing_before = self._clock.now() - outages.LONGEST_WAIT
        return await outages.is_unread(self._pool, account, failing_before)

    async def _read(self, grounds: MessageBasis) -> Observation:
        """The task as it is now; raises if its system cannot be asked, or is not trusted."""
        event, asked_at = grounds.event, self._clock.now()
        raw = await self._source.fetch(event.task_id)
        if raw is not None:
            return self._source.observe(raw, asked_at, Cause.FETCH)
        if (doubt := await self._canaries.doubt([event.task_id])) is not None:
            raise doubt
        return Observation(event.account, event.task_id, None, asked_at, Cause.FETCH)

    def _may_still_come(self, grounds: MessageBasis) -> bool:
        if not grounds.is_news or grounds.event.kind is Kind.DELETED:
            return False
        return self._clock.now() - grounds.event.at < _STILL_COMING

    async def _is_behind(self, grounds: MessageBasis) -> str | None:
        """Why a message about many tasks has to wait: its account needs a full scan first.

        The scan is requested once: a failing account is polled at its own pace.
        """
        if (count := len(grounds.each)) <= MOST_READ:
            return None
        now, account = self._clock.now(), grounds.event.account
        lately = min(now - _LATELY, grounds.unread_since or now)
        if await outages.was_read_since(self._pool, account, lately):
            return None
        if grounds.unread_since is None:
            await accounts.poll_now(self._pool, account, now)
        return f"it covers {count} tasks, so Taskbell reads the whole account first"

    async def _doubt(self, grounds: MessageBasis, looks: Sequence[Observation]) -> str | None:
        """Why the deletion of some of the tasks is not accepted yet."""
        for one, look in zip(grounds.each, looks, strict=False):
            if look.task is None and self._may_still_come(one):
                return "the system does not show the task yet"
            if look.task is None and await self._is_held(look):
                return "the task disappeared from the system together with many others"
        return None

    async def _is_held(self, look: Observation) -> bool:
        async with self._pool.acquire() as connection:
            key = (look.account, look.task_id)
            return await absences.held_since(connection, key) is not None

    async def _take(
        self, claim: Claim, grounds: MessageBasis, looks: Sequence[Observation]
    ) -> AttemptResult | Claim:
        """Process the system's answer, and mark the message as being sent if it is still valid."""
        async with self._pool.acquire() as connection, connection.transaction():
            tx = PostgresTransaction(connection)
            seen = await self._engine.observe(tx, looks)
            present = await self._present(connection, grounds)
            unread = self._unread(grounds, looks)
            revised = await self._revision(connection, grounds, present)
            found = revised or (None if unread else self._rewriting(grounds, present))
            revised, news = (None, found) if isinstance(found, NewText) else (found, None)
            ended = None if revised is None else await self._end(tx, claim, grounds, revised)
            stands = revised is None and unread is None
            is_ours = stands and await self._begin(connection, claim, news)
            stopped = await self._stopped(connection, claim) if is_ours else None
        self._engine.after_commit(seen)
        if ended is not None:
            return AttemptResult(claim, ended.state, ended.reason, is_unsent=True)
        if unread is not None and revised is None:
            return self.hold(claim, grounds, unread)
        if stopped is not None:
            return AttemptResult(
                claim, stopped.state, stopped.reason, again_at=stopped.again_at, is_unsent=True
            )
        # Another process has it by now: what is said here changes nothing.
        again = AttemptResult(claim, State.PLANNED, again_at=self._clock.now())
        return _updated(claim, present.get(claim.message.task_id), news) if is_ours else again

    async def _begin(self, connection: Connection, claim: Claim, news: NewText | None) -> bool:
        """Mark the message as being sent, as it is told now; False if another process has it."""
        await self._update_visit(connection, claim)
        is_ours = await attempts.begin(connection, claim)
        if is_ours and news is not None:
            await attempts.rewrite(connection, claim.id, news)
        return is_ours

    async def _update_visit(self, connection: Connection, claim: Claim) -> None:
        """Set what the message announces: the system words it, by the visit as it is now."""
        one = claim.candidate
        if one.visit is None:
            return
        task = (await PostgresTasks(connection).present([one.key])).get(one.key)
        if task is None:
            return
        visit = one.visit.as_of(one.target, task, self._clock.now(), self._zone)
        if visit != one.visit:
            one.visit = visit
            await visits.note(connection, claim.id, visit)

    async def _stopped(self, connection: Connection, claim: Claim) -> Stop | None:
        """The stop by a gate since the claim, for instance by a new silence or an override."""
        one, now = claim.candidate, self._clock.now()
        zones = {one.key[0]: self._zone}
        silenced = await silences.still_on(connection, now)
        switched = await rule_overrides.read(connection)
        facts = await gate_facts.read(
            connection, [one], self._rules, zones, silenced, switched, now
        )
        stopped = gates.stops([one], facts)
        await suppression.stop(connection, stopped, now)
        await storms.hold(connection, stopped, now)
        return stopped.get(claim.id)

    def _unread(self, grounds: MessageBasis, looks: Sequence[Observation]) -> str | None:
        """Why the message has to wait: a field that it depends on cannot be read."""
        forms = self._source.forms
        for one, look in zip(grounds.each, looks, strict=False):
            wanted = rests_on(one, self._rules)
            for name, value in look.unread.items():
                if not wanted.isdisjoint(forms[name].fills):
                    return f"the task's {name} could not be read (value: {value})"
        return None

    async def _present(self, connection: Connection, grounds: MessageBasis) -> dict[str, Task]:
        """Those of the message's tasks that exist, as they are now."""
        account, events_of = grounds.event.account, [one.event for one in grounds.each]
        there = await PostgresTasks(connection).present((account, one.task_id) for one in events_of)
        present = {task_id: task for (_, task_id), task in there.items()}
        for one in events_of:
            if one.kind is Kind.COMPLETED and (task := present.get(one.task_id)) is not None:
                present[one.task_id] = await self._completed(connection, one, task)
        return present

    async def _revision(
        self, connection: Connection, grounds: MessageBasis, present: Mapping[str, Task]
    ) -> RevisedMessage | None:
        found = revision(grounds, present, self._rules, self._clock.now(), self._zone)
        if found is not None:
            return found
        found = superseded(grounds, present.get(grounds.event.task_id))
        return found if found and await attempts.is_followed(connection, grounds) else None

    def _rewriting(
        self, grounds: MessageBasis, present: Mapping[str, Task]
    ) -> NewText | RevisedMessage | None:
        task, now = present.get(grounds.event.task_id), self._clock.now()
        return rewriting(grounds, task, self._rules, now, self._zone)

    async def _end(
        self, tx: PostgresTransaction, claim: Claim, grounds: MessageBasis, revised: RevisedMessage
    ) -> Rejection | None:
        """Cancel a message that is not valid, and plan its replacement, if there is one.

        None if this process no longer has the lease: then nothing is planned either.
        """
        request: DeliveryRequest | str | None = None
        ended = revised.objection
        if revised.anew is not None:
            request = self._engine.replacement(grounds.event, grounds.rule, revised.anew)
        if revised.left is not None:
            request = self._engine.rebuild_digest(grounds.rebuild_digest(revised.left))
            ended = revised.told(request if isinstance(request, str) else None)
        now = self._clock.now()
        if not await attempts.withdraw(tx.connection, claim, ended.state, ended.reason, now):
            return None
        if isinstance(request, DeliveryRequest):
            await tx.outbox.place([request], now)
        return ended

    async def _completed(self, connection: Connection, event: Event, now: Task) -> Task:
        """The task as completed, if it recurs and was opened again after the completion."""
        completed = still_completed(event.task, now)
        if completed is None or await events.was_reopened(connection, event):
            return now
        return completed


def _updated(claim: Claim, task: Task | None, news: NewText | None) -> Claim:
    """The message as it is to be sent: with the task as it is now, and with its new text."""
    message, note = claim.message, None
    if task is not None:
        message = replace(message, task=orjson.Fragment(task.to_json()))
    if news is not None:
        message = replace(message, text=news.text, markup=news.markup, subject=news.subject)
        note = news.reason
    return replace(claim, message=message, note=note)


def _announced(grounds: MessageBasis) -> datetime | None:
    """The date that a message announces, after which it does not wait."""
    date = date_of(grounds.event.alarm) if grounds.event.kind in _AHEAD else None
    return getattr(grounds.event.task, date) if date and not grounds.is_asked_for else None
