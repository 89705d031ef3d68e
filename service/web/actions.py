"""Operator actions on deliveries and rejected webhooks, from the API or the page."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.domain.actors import Actor
from service.domain.operators.holds import Hold
from service.domain.operators.overrides import Mode
from service.doorbell import DELIVER, INGEST, Doorbell
from service.outbox import (
    Lanes,
    NoSuchDelivery,
    NotPossible,
    approvals,
    holds,
    operator_actions,
    rule_switches,
    silences,
    storms,
)
from service.outbox.holds import NoHold
from service.outbox.operator_actions import BulkAction
from service.outbox.rule_switches import NoOverride
from service.outbox.silences import NoSuchSilence
from service.outbox.storms import NoStorm
from service.rules.overrides import modes
from service.store import Pool, account_actions, dead_letters
from service.store.account_actions import AccountPaused, NoSuchAccount
from service.store.dead_letters import NotRejected
from service.store.operators.rule_overrides import AS_IN_FILE, Switch
from service.store.views import messages
from service.store.views.message_search import Search
from service.web.auth import Endpoint
from service.web.parameters import LARGEST_ID, is_text, wrong
from service.web.presenters.customer_messages import TO_UNDO, to_customers
from service.web.problems import Problem
from service.web.task_actions import TaskActions

DELIVERY_ACTIONS = ("retry", "send-now", "cancel", "resolve", "approve", "decline")
WEBHOOK_ACTIONS = ("retry", "cancel")
STORM_ACTIONS = ("release", "drop")
ACCOUNT_ACTIONS = ("pause", "resume", "sync")
RULE_ACTIONS = {**{str(mode): str(mode) for mode in Mode}, "follow": AS_IN_FILE}
LONGEST_REASON = 500
_NO_RULE = "The configuration has no rule with this id"


@dataclass(frozen=True, slots=True)
class Matching:
    """The numbers of messages, the newest first, and of those among them that reach a customer."""

    numbers: Sequence[int]
    customers: frozenset[int]


class OperatorActions:
    """Carries out operator actions; each raises a Problem if it is not possible.

    `rewritable` are the channels that can change what they have sent. `tasks` are the actions on
    tasks.
    """

    def __init__(
        self, pool: Pool, clock: Clock, doorbell: Doorbell, rewritable: Collection[str]
    ) -> None:
        self.tasks = TaskActions(pool, clock, doorbell)
        self._rewritable = rewritable
        self._pool = pool
        self._clock = clock
        self._doorbell = doorbell

    async def act(
        self,
        action: str,
        delivery: int,
        said: Mapping[str, Any],
        by: Actor,
        *,
        can_be_undone: bool = False,
    ) -> None:
        """If it `can_be_undone`, a message to a customer goes out `TO_UNDO` later.

        `said` may have `attempts`, as they were shown, for a retry, and `reason` for a cancel, a
        decline or a resolve. For a resolve it must have `arrived`.
        """
        if delivery > LARGEST_ID:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such delivery")
        try:
            pause = await self._pause(delivery) if can_be_undone else timedelta()
            await self._carry_out(action, delivery, said, by, pause)
        except NoSuchDelivery as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
        except NotPossible as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def matching(self, action: BulkAction, search: Search) -> "Matching":
        """The deliveries of a search to which this can be done."""
        try:
            numbers = await operator_actions.matching(self._pool, action, search)
        except NotPossible as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error
        receivers = await messages.receivers(self._pool, numbers)
        customers = to_customers(receivers, await messages.tasks_of(self._pool, numbers))
        return Matching(numbers, customers)

    async def act_on_all(self, action: BulkAction, search: Search, count: int, by: Actor) -> None:
        """Do it to all of them, if they are still as many as were shown."""
        try:
            lanes = await operator_actions.act_on_all(
                self._pool, self._clock, action, search, count, by=by
            )
        except NotPossible as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error
        for lane in lanes:
            self._doorbell.ring(DELIVER, lane)

    async def act_on_webhook(self, action: str, receipt: int, by: Actor) -> None:
        """Process a rejected webhook again, or acknowledge it."""
        if receipt > LARGEST_ID:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such webhook")
        now = self._clock.now()
        try:
            if action == "retry":
                account = await dead_letters.read_again(self._pool, receipt, by=by, now=now)
                self._doorbell.ring(INGEST, account)
            else:
                await dead_letters.leave(self._pool, receipt, by=by, now=now)
        except NotRejected as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def act_on_account(
        self, action: str, account: str, said: Mapping[str, Any], by: Actor
    ) -> None:
        """Pause or resume an account, or have all its tasks read now.

        If `said` has a true `believe`, missing tasks then count as deleted.
        """
        now = self._clock.now()
        try:
            if action == "pause":
                await account_actions.pause(self._pool, account, now, by=by)
            elif action == "resume":
                await account_actions.resume(self._pool, account, now, by=by)
            else:
                believe = _believe(said)
                await account_actions.sync(self._pool, account, now, by=by, believe=believe)
        except NoSuchAccount as error:
            raise Problem(HTTPStatus.NOT_FOUND, f"There is no account {account}") from error
        except AccountPaused as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def switch_rule(self, rule: str, text: str, said: Mapping[str, Any], by: Actor) -> None:
        """Switch a rule of the configuration with this `text`, or have it follow that again.

        `said` must have a `mode` of RULE_ACTIONS, and may have `reason`. A rule that is no longer
        in the configuration can only be left to it.
        """
        mode, reason = _mode(said), _reason(said)
        known = modes(text, {})
        if rule not in known and mode is not None:
            raise Problem(HTTPStatus.NOT_FOUND, _NO_RULE)
        written = known[rule].written if rule in known else None
        done = Switch(mode, by, self._clock.now(), reason or None)
        try:
            await rule_switches.switch(self._pool, rule, written, done)
        except NoOverride as error:
            if rule not in known:
                raise Problem(HTTPStatus.NOT_FOUND, _NO_RULE) from error
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def end_storm(self, action: str, storm: int, by: Actor) -> None:
        """Release or drop the messages that the storm guard holds."""
        if storm > LARGEST_ID:
            raise Problem(HTTPStatus.NOT_FOUND, "There are no such messages on hold")
        end = storms.release if action == "release" else storms.drop
        try:
            lanes, _ = await end(self._pool, self._clock, storm, by=by)
        except NoStorm as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error
        for lane in lanes:
            self._doorbell.ring(DELIVER, lane)

    async def end_silence(self, number: int, by: Actor) -> None:
        """End a silence now."""
        if number > LARGEST_ID:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such silence")
        try:
            await silences.expire(self._pool, number, self._clock.now(), by=by)
        except NoSuchSilence as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def hold(self, until: datetime, reason: str, by: Actor) -> int:
        """Hold all customer messages until then (UTC); returns the hold's number."""
        return await holds.begin(
            self._pool, Hold(0, self._clock.now(), until, reason, by.name), by=by
        )

    async def release_hold(self, number: int, by: Actor) -> None:
        """Release the customer messages of a hold now."""
        if number > LARGEST_ID:
            raise Problem(HTTPStatus.NOT_FOUND, "There are no such messages on hold")
        try:
            lanes = await holds.release(self._pool, number, by=by, now=self._clock.now())
        except NoHold as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error
        for lane in lanes:
            self._doorbell.ring(DELIVER, lane)

    async def _pause(self, delivery: int) -> timedelta:
        receivers = await messages.receivers(self._pool, [delivery])
        tasks = await messages.tasks_of(self._pool, [delivery])
        return TO_UNDO if to_customers(receivers, tasks) else timedelta()

    async def _carry_out(
        self, action: str, delivery: int, said: Mapping[str, Any], by: Actor, pause: timedelta
    ) -> None:
        for lane in await self._done(action, delivery, said, by, pause):
            self._doorbell.ring(DELIVER, lane)

    async def _done(
        self, action: str, number: int, said: Mapping[str, Any], by: Actor, pause: timedelta
    ) -> Lanes:
        """Carry out an action; returns the lanes to wake up."""
        pool, clock, reason, shown = self._pool, self._clock, _reason(said), self._rewritable
        if action == "retry":
            tries = _attempts(said)
            again = operator_actions.retry(pool, clock, number, tries, by=by, pause=pause)
            return frozenset({await again})
        if action == "send-now":
            hurry = operator_actions.send_now(pool, clock, number, by=by, pause=pause)
            return frozenset({await hurry})
        if action == "approve":
            return await approvals.approve(
                pool, clock, number, by=by, rewritable=shown, pause=pause
            )
        if action == "decline":
            return await approvals.decline(
                pool, clock, number, by=by, rewritable=shown, reason=reason
            )
        if action == "cancel":
            await operator_actions.cancel(pool, clock, number, by=by, reason=reason)
        else:
            arrived = _arrived(said)
            await operator_actions.resolve(
                pool, clock, number, by=by, arrived=arrived, reason=reason
            )
        return frozenset()


def action_routes(
    protects: Callable[[Endpoint], Endpoint],
    path: str,
    endpoint: Callable[[str, Request], Awaitable[Response]],
    actions: Iterable[str],
) -> list[Route]:
    """A route for each action on the object at `path`; the endpoint gets the action's name.

    `protects` admits only authorised requests.
    """
    return [
        Route(
            f"{path}/{{id:number}}/{action}",
            protects(partial(endpoint, action)),
            methods=["POST"],
        )
        for action in actions
    ]


def _mode(said: Mapping[str, Any]) -> Mode | None:
    mode = said.get("mode")
    if not isinstance(mode, str) or mode not in RULE_ACTIONS.values():
        raise wrong("mode", f"one of {', '.join(RULE_ACTIONS.values())}")
    return None if mode == AS_IN_FILE else Mode(mode)


def _reason(said: Mapping[str, Any]) -> str | None:
    reason = said.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str) or not is_text(reason, LONGEST_REASON):
        raise wrong("reason", f"up to {LONGEST_REASON} characters on one line")
    return reason


def _attempts(said: Mapping[str, Any]) -> int | None:
    attempts = said.get("attempts")
    if attempts is None:
        return None
    if isinstance(attempts, float) and attempts.is_integer():  # 1.0 is an integer in JSON Schema
        attempts = int(attempts)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0:
        raise wrong("attempts", "how many attempts were shown")
    return attempts


def _believe(said: Mapping[str, Any]) -> bool:
    believe = said.get("believe", False)
    if not isinstance(believe, bool):
        raise wrong("believe", "true or false")
    return believe


def _arrived(said: Mapping[str, Any]) -> bool:
    arrived = said.get("arrived")
    if not isinstance(arrived, bool):
        raise wrong("arrived", "true or false")
    return arrived
