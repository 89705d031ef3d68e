"""The open digests of a simulation, in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from service.domain.digests import Digest, Join, Member
from service.domain.schedules import NONE_TOGETHER
from service.simulator.memory.tasks import MemoryTasks
from service.store.tasks import Key


@dataclass(slots=True)
class OpenDigest:
    """A digest that its first member has opened, until it `closes_at`."""

    first: Join
    closes_at: datetime
    members: dict[Key, Join] = field(default_factory=dict)


class MemoryDigests:
    """`DigestRepository` in memory, with the digests in the order in which they were opened."""

    def __init__(self, tasks: MemoryTasks) -> None:
        self._tasks = tasks
        self._open: list[OpenDigest] = []

    def next_moment(self) -> datetime | None:
        """When the next digest is due."""
        return min((one.closes_at for one in self._open), default=None)

    def resume(self, join: Join, closes_at: datetime) -> None:
        """Load the members of digests from the database."""
        self._join(join, closes_at)

    async def join(self, joins: Sequence[Join], now: datetime) -> None:
        for one in sorted(joins, key=_identity):
            self._join(one, now)

    async def take(
        self,
        accounts: Iterable[str],
        now: datetime,
        limit: int,
        together: Mapping[str, datetime] = NONE_TOGETHER,
    ) -> list[Digest]:
        del limit
        wanted, over, left = set(accounts), list[OpenDigest](), list[OpenDigest]()
        for one in self._open:
            is_wanted = one.first.account in wanted or one.first.rule in together
            is_told = is_wanted and self._is_over(one, together.get(one.first.rule, now))
            (over if is_told else left).append(one)
        self._open = left
        return [_over(one, self._tasks) for one in sorted(over, key=lambda one: one.closes_at)]

    def _is_over(self, one: OpenDigest, now: datetime) -> bool:
        return one.closes_at <= now

    def _join(self, join: Join, now: datetime) -> None:
        digest = self._digest(join, now)
        digest.members[join.key] = join
        if len(digest.members) >= join.joining.most:
            digest.closes_at = min(digest.closes_at, now)

    def _digest(self, join: Join, now: datetime) -> OpenDigest:
        for one in reversed(self._open):
            if _identity(one.first) == _identity(join) and len(one.members) < join.joining.most:
                return one
        return self._open_by(join, now)

    def _open_by(self, join: Join, now: datetime) -> OpenDigest:
        self._open.append(OpenDigest(join, now + join.joining.wait))
        return self._open[-1]


def _identity(join: Join) -> tuple[str, str, str]:
    return join.rule, join.account, join.joining.key


def _over(one: OpenDigest, tasks: MemoryTasks) -> Digest:
    event = one.first.event
    joined = sorted(one.members.values(), key=lambda join: join.event.id)
    return Digest(
        rule=one.first.rule,
        account=one.first.account,
        key=one.first.joining.key,
        event=event.id,
        kind=event.kind,
        cause=event.cause,
        closes_at=one.closes_at,
        members=tuple(
            Member(*join.key, join.joining.anchor, tasks.current(join.key)) for join in joined
        ),
    )
