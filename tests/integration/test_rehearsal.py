"""Live, rehearsed, replayed and backtested: the same, for any rules, history and restarts."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.books.database import DatabaseBooks
from service.channels import ways
from service.clock import VirtualClock
from service.config import Config, Sketch, past_rules
from service.deciding import Decider
from service.engine import Engine
from service.history import batches
from service.history.backtest import backtest
from service.history.replay import Replay, Replayed
from service.history.upcoming import upcoming
from service.model import Cause, Observation, Signal, State, Task
from service.outbox import Settlement, account_lane, claiming, sending, silences
from service.outbox.planning import row_of
from service.rehearsal import Rehearsal
from service.silence import Silence
from service.store import Connection, Pool, schedules
from service.store import history as recorded
from tests.rule_files import configured
from tests.rule_strategies import rules, storms, write_templates
from tests.tasks import SMITH, START, tasks
from tests.tasks import task as one_task

ACCOUNT = "field"
EXAMPLES = 3000 if settings.get_current_profile_name() == "soak" else 200
LATER = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Step:
    """Time goes by; then the process may be a new one, and a task looks different or is gone.

    Or something is pushed about it, and it looks as it did.
    """

    pause: timedelta
    task_id: str
    task: Task | None
    restart: bool
    signal: str | None = None


looks = tasks.map(lambda one: replace(one, description=None, tags=(), fields={}))
steps = st.builds(
    Step,
    st.sampled_from([0.1, 1, 10, 25, 60, 200, 1500]).map(lambda some: timedelta(minutes=some)),
    st.sampled_from(["T1", "T2"]),
    st.none() | st.builds(replace, looks, title=st.sampled_from(["", "a", "end"])),
    st.booleans(),
    st.sampled_from([None, None, None, "leaving"]),
)


@st.composite
def _silences(draw: st.DrawFn) -> tuple[Silence, ...]:
    """Overlapping or not, some of them begun before the history and over before its end."""
    found = []
    for number in range(1, draw(st.integers(0, 2)) + 1):
        begins = START + timedelta(minutes=draw(st.sampled_from([0, 30, 90, 240])))
        ends = begins + timedelta(minutes=draw(st.sampled_from([1, 60, 600])))
        scope = draw(st.sampled_from([{"rule": "r0"}, {"customer": "Smith"}, {"account": ACCOUNT}]))
        found.append(Silence(number, begins, ends, "stocktaking", **scope))
    return tuple(found)


class Live:
    """Taskbell at work in PostgreSQL, inside one transaction that is rolled back."""

    def __init__(self, config: Config, connection: Connection, clock: VirtualClock) -> None:
        self._config = config
        self._connection = connection
        self._clock = clock
        self._books = DatabaseBooks(connection)
        self._begin()

    async def restart(self) -> None:
        """End the process, and begin another one with the same rules."""
        self._begin()
        wanted = self._engine.schedules
        await schedules.put_in_force(self._connection, [ACCOUNT], wanted, self._clock.now())

    def _begin(self) -> None:
        zones = {ACCOUNT: self._config.timezone}
        decider = Decider(self._config.rules, zones, ways(self._config.kinds))
        self._engine = Engine(decider, zones, self._clock)

    async def take(self, step: Step) -> None:
        now = self._clock.now()
        if step.signal is None:
            await self._engine.observe(self._books, [_look(step, now)])
        else:
            await self._engine.hear(self._books, [_signal(step, now)])
        await self._send()

    async def go_on(self, until: datetime) -> None:
        """Come to every moment at which something is to be done, as the loops would."""
        last = None
        while (moment := await self._next_moment()) is not None and moment <= until:
            assert moment != last, f"at {moment} something is to be done that nobody does"
            last = moment
            self._clock.set(max(moment, self._clock.now()))
            while (await self._engine.ring(self._books, 100))[0]:
                pass
            while (await self._engine.settle(self._books, 100))[0]:
                pass
            while (await self._engine.close(self._books, 100))[0]:
                pass
            while (await self._engine.fire(self._books))[0]:
                pass
            await self._send()
        self._clock.set(until)

    async def _next_moment(self) -> datetime | None:
        moment: datetime | None = await self._connection.fetchval(
            """
            SELECT least((SELECT min(next_alarm) FROM tasks), (SELECT min(ends_at) FROM settling),
                         (SELECT min(closes_at) FROM digests), (SELECT min(next_at) FROM schedules),
                         (SELECT min(next_attempt_at) FROM deliveries))
            """
        )
        return moment

    async def _send(self) -> None:
        pool = cast("Pool", self)
        for lane in (*self._config.channels, account_lane(ACCOUNT)):
            while claims := await claiming.claim(
                pool, lane, self._clock, 100, self._config.rules, self._config.zones
            ):
                sent = [Settlement(claim, State.SENT) for claim in claims]
                await sending.settle(pool, sent, self._clock.now())

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """The one connection there is: this stands in for the pool that `sending` asks."""
        yield self._connection

    async def record(self) -> "Record":
        decided = await self._connection.fetch(
            "SELECT event, rule, rules_version, outcome, reason, at FROM decisions"
        )
        sent = await self._connection.fetch(
            """
            SELECT event, rule, step, once_key, channel, target, text, subject, fields, state,
                   reason, created_at, settled_at, expires_at, shadow, on_fail,
                   updates IS NOT NULL AS rewrites
            FROM deliveries
            """
        )
        first = await self._connection.fetchval("SELECT min(id) - 1 FROM events") or 0
        return _record(first, decided, sent)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that was decided and planned, and what has become of it."""

    decisions: list[str]
    deliveries: list[str]


@dataclass(frozen=True, slots=True)
class AtWork:
    """What Taskbell at work did, and what its record says when it is gone through once more."""

    live: Record
    foretold: list[str]
    quiet_since: datetime
    replayed: Replayed
    backtested: Record


def _record(first: int, decided: Sequence[Any], sent: Sequence[Any]) -> Record:
    """Events counted from 1, whatever numbers the database has given them."""
    decisions = [{**row, "event": row["event"] - first} for row in map(dict, decided)]
    deliveries = [_numbered(dict(row), first) for row in sent]
    return Record(
        sorted(_text(row) for row in decisions),
        sorted(_text(row) for row in deliveries),
    )


def _text(row: dict[str, Any]) -> str:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode()


def _numbered(row: dict[str, Any], first: int) -> dict[str, Any]:
    key = re.sub(
        r"^(event:|field:\[\")(\d+)(?=$|/|\",)",
        lambda found: f"{found[1]}{int(found[2]) - first}",
        str(row["once_key"]),
    )
    key = re.sub(r"/undone:\d+$", "", key)  # what was taken back stands in nobody's way
    fields = orjson.loads(row["fields"]) if isinstance(row["fields"], str) else row["fields"]
    instead = row["on_fail"]
    if isinstance(instead, str):
        instead = orjson.loads(instead)
    instead = [{**one, "once_key": key} for one in instead or ()]
    if key.startswith(("undo:", "approve:")):  # the number of another delivery
        key = key.partition(":")[0]
    return {
        **row,
        "event": row["event"] - first,
        "once_key": key,
        "fields": fields,
        "on_fail": instead,
    }


async def at_work(
    pool: Pool, config: Config, history: Sequence[Step], silenced: Sequence[Silence]
) -> AtWork:
    clock = VirtualClock(START)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await _begin(connection, silenced)
            live = Live(config, connection, clock)
            await live.restart()
            for step in history:
                await live.go_on(clock.now() + step.pause)
                if step.restart:
                    await live.restart()
                await live.take(step)
            await live.go_on(clock.now())  # what is due at this moment is no more to come
            quiet_since = clock.now()
            foreseen = await foretold(connection, config, quiet_since, silenced)
            await live.go_on(clock.now() + LATER)
            return AtWork(
                await live.record(),
                foreseen,
                quiet_since,
                await replayed(connection, config),
                await backtested(connection, config, clock.now(), silenced),
            )
        finally:
            await transaction.rollback()


async def _begin(connection: Connection, silenced: Sequence[Silence]) -> None:
    await connection.execute(
        "INSERT INTO accounts (name, system, added_at, baseline_at, next_poll_at)"
        " VALUES ($1, 'kickserv', $2, $2, $2)",
        ACCOUNT,
        START,
    )
    await connection.execute(
        "INSERT INTO silences OVERRIDING SYSTEM VALUE"
        " SELECT * FROM json_populate_recordset(NULL::silences, $1)",
        orjson.dumps([{**asdict(one), "created_by": "Ann"} for one in silenced]).decode(),
    )


async def replayed(connection: Connection, config: Config) -> Replayed:
    """What was just recorded, decided on once more by the text of the rules that was kept."""
    until = START + timedelta(days=100)
    sketch = Sketch(
        config.rules, config.timezone, {}, {ACCOUNT: "kickserv"}, config.kinds, trials=()
    )
    replay = Replay(
        {config.rules.version: past_rules(config.rules.text, sketch)},
        {ACCOUNT: config.timezone},
        ways(config.kinds),
        await recorded.decisions(connection, START, until),
        await recorded.placed_before(connection, START),
        await silences.still_on(connection, START),
    )
    known = recorded.tasks_at(connection, START)
    happened = batches(recorded.events(connection, START, until))
    return await replay.run(known, happened, lambda _: None)


async def foretold(
    connection: Connection, config: Config, now: datetime, silenced: Sequence[Silence]
) -> list[str]:
    """What is said to come if nothing changes."""
    trial = _trial(config, silenced, now)
    found = await upcoming(trial, connection, now + LATER)
    return sorted(_essence(_row(one)) for one in found)


def _essence(row: Mapping[str, Any]) -> str:
    return _text({name: row[name] for name in ("settled_at", "rule", "step", "target", "text")})


def sent_after(record: Record, moment: datetime) -> list[str]:
    """What went out after that, other than what rewrites a message."""
    rows = [orjson.loads(text) for text in record.deliveries]
    sent = [row for row in rows if row["state"] == "sent" and not row["rewrites"]]
    return sorted(_essence(row) for row in sent if row["settled_at"] > moment.isoformat())


async def backtested(
    connection: Connection, config: Config, until: datetime, silenced: Sequence[Silence]
) -> Record:
    """What the same rules would have made of what was just recorded."""
    trial = _trial(config, silenced)
    happened = recorded.events(connection, START, until + timedelta(days=1))
    known = recorded.tasks_at(connection, START)
    await backtest(trial, known, batches(happened), until, lambda _: None)
    return _of(trial)


def _trial(config: Config, silenced: Sequence[Silence], start: datetime = START) -> Rehearsal:
    zones = {ACCOUNT: config.timezone}
    return Rehearsal(config.rules, zones, ways(config.kinds), start, silenced)


async def rehearsed(config: Config, history: Sequence[Step], silenced: Sequence[Silence]) -> Record:
    trial = _trial(config, silenced)
    for step in history:
        await trial.go_on(trial.clock.now() + step.pause)
        now = trial.clock.now()
        if step.signal is None:
            await trial.observe([_look(step, now)])
        else:
            await trial.hear([_signal(step, now)])
    await trial.go_on(trial.clock.now() + LATER)
    return _of(trial)


def _of(trial: Rehearsal) -> Record:
    decided = [asdict(one) for one in trial.books.decisions]
    sent = [_row(one) for one in trial.books.outbox.deliveries]
    return _record(0, decided, sent)


def _row(one: Any) -> dict[str, Any]:
    order, plan = one.order, one.order.plan
    return {
        "event": one.event,
        "rule": order.rule,
        "step": plan.step,
        "once_key": plan.once_key if one.updates is None else "undo:",
        "channel": plan.channel,
        "target": plan.target,
        "text": one.text,
        "subject": plan.subject,
        "fields": plan.fields if one.updates is None else None,
        "state": one.state,
        "reason": one.reason,
        "created_at": one.created_at,
        "settled_at": one.settled_at,
        "expires_at": plan.expires_at if one.updates is None else None,
        "shadow": order.shadow,
        "on_fail": row_of(order, one.created_at)["on_fail"] if one.updates is None else None,
        "rewrites": one.updates is not None,
    }


def _look(step: Step, now: datetime) -> Observation:
    task = step.task and replace(step.task, id=step.task_id, account=ACCOUNT, updated_at=None)
    return Observation(ACCOUNT, step.task_id, task, now, Cause.POLL)


def _signal(step: Step, now: datetime) -> Signal:
    return Signal(ACCOUNT, step.task_id, step.signal or "", now)


def _bookings(count: int) -> list[Step]:
    """Visits that are made one a minute, all of them to be told to a customer."""
    minute = timedelta(minutes=1)
    return [
        Step(minute, f"T{number}", one_task(f"T{number}"), restart=False) for number in range(count)
    ]


def _late_visits() -> list[Step]:
    """One of two for the same customer is overdue for a while; the other changes meanwhile."""
    late = one_task("T1", due=START, customer=SMITH)
    other = one_task("T2", customer=SMITH)
    looks = [
        replace(late, due=START + timedelta(minutes=1)),
        other,
        replace(other, title="a"),
        replace(late, due=START + timedelta(days=9)),
        replace(other, title="b"),
    ]
    return [Step(timedelta(minutes=10), one.id, one, restart=False) for one in looks]


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    written=[
        {"id": "r0", "when": "task.created", "then": [{"notify": "customer:details"}]},
        {
            "id": "r1",
            "when": "task.created",
            "expires": "5h",
            "then": [{"notify": "customer:details", "approve": "slack:#dispatch"}],
        },
    ],
    history=_bookings(4),
    silenced=(),
    storm="storm: { messages: 2, within: 1h }",
)
@example(
    written=[
        {"id": rule, "when": "task.created", "then": [{"notify": "customer:details"}]}
        for rule in ("r0", "r1")
    ],
    history=_bookings(1),
    silenced=(),
    storm="storm: { messages: 2 }",
)
@example(
    written=[
        {
            "id": "r0",
            "when": "task.overdue",
            "then": [{"notify": "slack:#office", "text": "{{ task.title }} is late"}],
        },
        {
            "id": "r1",
            "when": "task.changed",
            "muted_by": {"rule": "r0", "same": "task.customer.id"},
            "then": [{"notify": "accounting"}, {"wait": "45m"}, {"notify": "accounting"}],
        },
    ],
    history=_late_visits(),
    silenced=(),
    storm="",
)
@example(
    written=[
        {
            "id": "r0",
            "when": "task.created",
            "limit": "1/d",
            "then": [{"notify": "slack:#office", "text": "new", "approve": "slack:#dispatch"}],
        }
    ],
    history=_bookings(3),
    silenced=(),
    storm="",
)
@example(
    written=[
        {
            "id": "r0",
            "when": "task.created",
            "expires": "5h",
            "then": [{"wait": "45m"}, {"notify": "customer:details"}],
        }
    ],
    history=_bookings(4),
    silenced=(Silence(1, START, START + timedelta(minutes=2), "stocktaking", account=ACCOUNT),),
    storm="storm: { messages: 1 }",
)
@example(
    written=[
        {
            "id": "r0",
            "when": "task.overdue",
            "then": [{"notify": "slack:#office", "text": "{{ task.title }} is late"}],
        }
    ],
    history=[Step(timedelta(minutes=1), "T1", one_task("T1", due=START), restart=False)],
    silenced=(),
    storm="",
)
@example(
    written=[
        {
            "id": "r0",
            "when": {"schedule": "30 7 * * *"},
            "for_each": "tasks.filter(t, !t.done)",
            "once_per": ["task.id"],
            "then": [{"notify": "slack:#office", "text": "open", "approve": "slack:#dispatch"}],
        }
    ],
    history=_bookings(1),  # the question is open until the moment at which the next day's comes
    silenced=(),
    storm="",
)
@given(
    written=rules,
    history=st.lists(steps, min_size=1, max_size=8),
    silenced=_silences(),
    storm=storms,
)
async def test_live_rehearsal_replay_and_backtest_agree(
    pool: Pool,
    tmp_path: Path,
    written: list[dict[str, Any]],
    history: list[Step],
    silenced: tuple[Silence, ...],
    storm: str,
) -> None:
    """Every decision with its reason, every delivery with its text, times and fate: the same."""
    write_templates(tmp_path)
    config = configured(tmp_path, f" {orjson.dumps(written).decode()}\n{storm}")
    real = await at_work(pool, config, history, silenced)
    live, trial = real.live, await rehearsed(config, history, silenced)
    assert trial.decisions == live.decisions
    assert trial.deliveries == live.deliveries
    again = real.replayed
    assert (again.missing, again.new, again.unproven) == ([], [], [])
    assert again.decisions == len(live.decisions)
    assert real.backtested == live
    assert real.foretold == sent_after(live, real.quiet_since)
