"""Live, rehearsed, replayed and backtested: the same, for any rules, history and restarts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.channels import ways
from service.clock import VirtualClock
from service.config import Config, RulesConfig, past_rules
from service.domain.operators.silences import Silence
from service.outbox import silences
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import batches
from service.simulator.replay import Replay, Replayed
from service.simulator.upcoming import upcoming
from service.store import Connection, Pool
from service.store import history as recorded
from tests.harness.live import ACCOUNT, Live, Step, look_of, signal_of
from tests.harness.records import Record, columns, essence, record_of, sent_after
from tests.harness.rule_files import configured
from tests.harness.rule_strategies import rules, storms, write_templates
from tests.harness.tasks import SMITH, START, tasks
from tests.harness.tasks import task as one_task

EXAMPLES = 3000 if settings.get_current_profile_name() == "soak" else 200
LATER = timedelta(days=3)


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


@dataclass(frozen=True, slots=True)
class AtWork:
    """What Taskbell at work did, and what its record says when it is gone through once more."""

    live: Record
    foretold: list[str]
    quiet_since: datetime
    replayed: Replayed
    backtested: Record


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


_MADE = {"created_by": "Ann", "made_at": START}


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
        orjson.dumps([asdict(one) | _MADE for one in silenced]).decode(),
    )


async def replayed(connection: Connection, config: Config) -> Replayed:
    """What was just recorded, decided on once more by the text of the rules that was kept."""
    until = START + timedelta(days=100)
    sketch = RulesConfig(
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
    return sorted(essence(columns(one)) for one in found)


async def backtested(
    connection: Connection, config: Config, until: datetime, silenced: Sequence[Silence]
) -> Record:
    """What the same rules would have made of what was just recorded."""
    trial = _trial(config, silenced)
    happened = recorded.events(connection, START, until + timedelta(days=1))
    known = recorded.tasks_at(connection, START)
    await backtest(trial, known, batches(happened), until, lambda _: None)
    return record_of(trial)


def _trial(config: Config, silenced: Sequence[Silence], start: datetime = START) -> Simulator:
    zones = {ACCOUNT: config.timezone}
    return Simulator(config.rules, zones, ways(config.kinds), start, silenced)


async def rehearsed(config: Config, history: Sequence[Step], silenced: Sequence[Silence]) -> Record:
    trial = _trial(config, silenced)
    for step in history:
        await trial.go_on(trial.clock.now() + step.pause)
        now = trial.clock.now()
        if step.signal is None:
            await trial.observe([look_of(step, now)])
        else:
            await trial.take_signals([signal_of(step, now)])
    await trial.go_on(trial.clock.now() + LATER)
    return record_of(trial)


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


def _due_together() -> list[Step]:
    """Two visits of which the one that was made first comes second by its id."""
    due = START + timedelta(hours=9)
    visits = [one_task("T2", due=due), one_task("T1", due=due, title="a")]
    return [Step(timedelta(minutes=1), one.id, one, restart=False) for one in visits]


def _moved_while_it_waits() -> list[Step]:
    """A visit is moved before its customer is told of it; another one is moved, and moved back."""
    visits = [one_task(name, due=START, customer=SMITH) for name in ("T1", "T2")]
    later = START + timedelta(days=9)
    looks = [
        *visits,
        *(replace(one, due=later) for one in visits),
        replace(visits[1], due=START),
        replace(visits[0], title="a"),
    ]
    return [Step(timedelta(minutes=5), one.id, one, restart=False) for one in looks]


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
            "id": rule,
            "when": when,
            **more,
            "then": [
                {"wait": "45m"},
                {"notify": "email:{{ task.customer.email }}", "text": text, "subject": "S"},
            ],
        }
        for rule, when, more, text in (
            ("r0", "task.created", {}, "{{ task.title }} {{ task.due }}"),
            (
                "r1",
                "task.rescheduled",
                {"once_per": ["task.id"]},
                "{{ before.due }} {{ task.due }}",
            ),
            ("r2", "task.rescheduled", {"settle": "6m"}, "{{ before.due }} {{ task.due }}"),
        )
    ],
    history=_moved_while_it_waits(),
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
@example(
    written=[
        {
            "id": "r0",
            "when": {"schedule": "30 7 * * *"},
            "for_each": "tasks.filter(t, !t.done)",
            "once_per": ["task.id"],
            "hours": "office",
            "expires": "5h",
            "then": [{"notify": "slack:#office", "text": "open", "approve": "slack:#dispatch"}],
        }
    ],
    history=[
        Step(timedelta(minutes=1), "T1", one_task("T1"), restart=False),
        Step(timedelta(minutes=200), "T2", None, restart=False),
    ],
    silenced=(),
    storm="",
)
@example(
    written=[
        {
            "id": "r0",
            "when": {"task.due_soon": "2h"},
            "then": [{"notify": "slack:#office", "text": "{{ task.title }} is due"}],
        }
    ],
    history=_due_together(),
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
