"""Each account's rate limit of calls and its circuit breaker, shared by all processes.

A limit per process would be multiplied by the number of processes, and a pause that a system asked
for would be forgotten with every restart.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog

from service.clock import Clock
from service.http.throttle import Admission, Budget
from service.store import DATABASE_GONE, Connection, Pool

log = structlog.get_logger()

LONGEST_PAUSE = timedelta(minutes=5)
# A clock that was set back must not make calls wait for as long as it was wrong, nor a breaker.
_LONGEST_WAIT = timedelta(minutes=1)
_LONGEST_ASKED = timedelta(days=1, minutes=1)
BURST = 20  # calls that may come at once
_KEPT_BURST = 4  # calls: a message is two


async def lift(connection: Connection | Pool, account: str, now: datetime) -> None:
    """Allow the account's next call, because a person asks for it; its messages go on as well."""
    await connection.execute(
        "UPDATE rate_limits SET refused_until = $2 WHERE account = $1 AND refused_until > $2",
        account,
        now,
    )
    await connection.execute(
        """
        UPDATE target_turns SET turn = $2
        WHERE lane IN ('account:' || $1, 'writes:' || $1) AND turn > $2
        """,
        account,
        now,
    )


def calls_left(per_minute: int, next_call_at: datetime, now: datetime) -> int:
    """How many calls an account may make at once, by its limit and its bucket; BURST at most."""
    interval = timedelta(minutes=1) / Budget.of(per_minute).others
    return max(0, min(BURST, (now - next_call_at) // interval))


class AccountThrottle:
    """At most `per_minute` calls a minute, of which up to `burst` may come at once; and a breaker.

    The limit is a token bucket, stored as the time of the next token. The breaker opens after
    `threshold` failures in a row, or at once when the system asks for a pause; each further failure
    doubles the pause, up to five minutes. After the pause one call is allowed (half-open), and the
    others wait one more pause for its result.

    If the database is down, all calls are allowed: the limit only protects the system, and a result
    that is on its way must not be lost over it.
    """

    def __init__(
        self,
        pool: Pool,
        account: str,
        clock: Clock,
        per_minute: float,
        *,
        burst: int = BURST,
        threshold: int = 5,
        pause: timedelta = timedelta(seconds=5),
    ) -> None:
        self._pool = pool
        self._account = account
        self._clock = clock
        self._interval = timedelta(minutes=1) / per_minute
        self._slack = self._interval * burst
        self._threshold = threshold
        self._pause = pause

    async def admit(self) -> Admission:
        """Take one call; if the breaker is open, none is taken."""
        now = self._clock.now()
        try:
            return await self._take(now) or await self._refused(now)
        except DATABASE_GONE as error:
            log.warning("throttle.unknown", account=self._account, error=str(error))
            return Admission()

    async def _take(self, now: datetime) -> Admission | None:
        row = await self._pool.fetchrow(
            """
            INSERT INTO rate_limits AS old (account, next_call_at)
            VALUES ($1, $2::timestamptz - $3::interval + $4::interval)
            ON CONFLICT (account) DO UPDATE SET
                next_call_at = $4 + least(greatest(old.next_call_at, $2 - $3), $2 + $5::interval),
                refused_until = CASE WHEN old.refused_until IS NOT NULL THEN $2 + $6::interval END
            WHERE old.refused_until IS NULL OR old.refused_until <= $2
                OR old.refused_until > $2 + $7::interval
            RETURNING next_call_at, failures > 0 OR refused_until IS NOT NULL
            """,
            self._account,
            now,
            self._slack,
            self._interval,
            _LONGEST_WAIT,
            self._pause,
            _LONGEST_ASKED,
        )
        if row is None:
            return None
        next_call_at, after_failures = row
        return Admission(max(timedelta(0), next_call_at - now), None, after_failures)

    async def _refused(self, now: datetime) -> Admission:
        until = await self._pool.fetchval(
            "SELECT refused_until FROM rate_limits WHERE account = $1", self._account
        )
        return Admission(refused_for=max(timedelta(0), until - now) if until else self._pause)

    async def succeeded(self, admission: Admission) -> None:
        """Close the breaker, if earlier calls had failed."""
        if admission.after_failures:
            await self._note(
                "UPDATE rate_limits SET failures = 0, refused_until = NULL WHERE account = $1"
            )

    async def spent(self, lasts: timedelta) -> None:
        """Delay the next call until the system allows some again, up to a minute."""
        await self._note(
            """
            UPDATE rate_limits SET next_call_at = greatest(next_call_at, $2::timestamptz),
                first_call_at = greatest(first_call_at, $2)
            WHERE account = $1
            """,
            self._clock.now() + min(lasts, _LONGEST_WAIT),
        )

    async def failed(self, asked: timedelta | None) -> None:
        """Count a failure."""
        await self._note(
            """
            UPDATE rate_limits SET failures = failures + 1, refused_until = CASE
                WHEN $2::interval IS NOT NULL
                    THEN greatest(refused_until, $3::timestamptz + $2)
                WHEN failures + 1 >= $4
                    THEN greatest(refused_until, $3 + least(
                        $5::interval * 2 ^ least(failures + 1 - $4, 10), $6::interval))
                ELSE refused_until END
            WHERE account = $1
            """,
            asked,
            self._clock.now(),
            self._threshold,
            self._pause,
            LONGEST_PAUSE,
        )

    async def _note(self, statement: str, *arguments: object) -> None:
        try:
            await self._pool.execute(statement, self._account, *arguments)
        except DATABASE_GONE as error:
            log.warning("throttle.not_noted", account=self._account, error=str(error))


class PriorityThrottle(AccountThrottle):
    """The same limit and breaker, for customer messages: other calls do not delay them.

    They have `kept` calls a minute reserved, of which a few may come at once. If those are used up,
    they also use a call of the shared limit, if that is available sooner.
    """

    def __init__(
        self, pool: Pool, account: str, clock: Clock, budget: Budget, **limits: Any
    ) -> None:
        super().__init__(pool, account, clock, budget.others, **limits)
        self._kept_interval = timedelta(minutes=1) / budget.kept
        self._kept_slack = self._kept_interval * _KEPT_BURST

    async def _take(self, now: datetime) -> Admission | None:
        await self._pool.execute(
            """
            INSERT INTO rate_limits (account, next_call_at)
            VALUES ($1, $2::timestamptz - $3::interval) ON CONFLICT DO NOTHING
            """,
            self._account,
            now,
            self._slack,
        )
        row = await self._pool.fetchrow(
            """
            WITH old AS (
                SELECT account, next_call_at, first_call_at,
                    $6::interval + least($2::timestamptz + $7::interval,
                        greatest(first_call_at, $2 - $5::interval)) AS kept,
                    $4::interval + least($2 + $7::interval,
                        greatest(next_call_at, $2 - $3::interval)) AS other,
                    failures > 0 OR refused_until IS NOT NULL AS after_failures
                FROM rate_limits WHERE account = $1 FOR UPDATE),
            chosen AS (SELECT *, kept <= greatest(other, $2) AS is_kept FROM old)
            UPDATE rate_limits SET
                first_call_at = CASE WHEN is_kept THEN kept ELSE chosen.first_call_at END,
                next_call_at = CASE WHEN is_kept THEN chosen.next_call_at ELSE other END,
                refused_until = CASE WHEN refused_until IS NOT NULL THEN $2 + $8::interval END
            FROM chosen WHERE rate_limits.account = chosen.account
              AND (refused_until IS NULL OR refused_until <= $2
                   OR refused_until > $2 + $9::interval)
            RETURNING CASE WHEN is_kept THEN kept ELSE other END, after_failures
            """,
            self._account,
            now,
            self._slack,
            self._interval,
            self._kept_slack,
            self._kept_interval,
            _LONGEST_WAIT,
            self._pause,
            _LONGEST_ASKED,
        )
        if row is None:
            return None
        call_at, after_failures = row
        return Admission(max(timedelta(0), call_at - now), None, after_failures)
