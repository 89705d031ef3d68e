"""What rules cost that listen to an event, and what thousands cost that do not."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from service import store
from service.channels import ways
from service.config import Config, load
from service.domain.model import Cause, Customer, Event, Kind, Person, Task
from service.engine.decider import Decider
from service.engine.postgres import PostgresTransaction
from service.processes.embedded import EmbeddedPostgres
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome, Verdict
from service.store import Pool
from tests.bench.figures import Figure
from tests.harness.rule_files import ENVIRON, HEAD

COUNT, LISTENING, FILES = 10_000, 10, 5
ROUNDS, LIVE_ROUNDS, FRESH = 3_000, 500, 20
MOST_RATIO, MOST_MICROSECONDS = 1.5, 15.0
ACCOUNT, ZONE = "field", ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)

_TASK = Task(
    "T1",
    ACCOUNT,
    "kickserv",
    "Smith gutters, back of the house",
    description="Take the long ladder. " * 10,
    type="job",
    status="open",
    priority="high",
    due=NOW + timedelta(hours=3),
    start=NOW,
    created_at=NOW,
    updated_at=NOW,
    assignee=Person("7", "Bo", "bo@x.test"),
    customer=Customer("c1", "Smith", "smith@x.test", "+1 555 0100"),
    tags=("urgent", "roof"),
    fields={"roof": "tile", "floors": 3},
)
_BEFORE = replace(_TASK, due=NOW - timedelta(days=2), priority="low")
_OTHER = replace(
    _TASK, type="call", priority="low", tags=(), fields={}, due=NOW + timedelta(days=2)
)
_EVENT = Event(1, ACCOUNT, "T1", Kind.CHANGED, NOW, Cause.WEBHOOK, _BEFORE, _TASK, ("priority",))

# What ten rules listen to at a time, and an event of that sort.
_SORTS = {
    "a kind": ("when: task.created", replace(_EVENT, kind=Kind.CREATED)),
    "a changed field": ("when: { task.changed: [priority] }", _EVENT),
    "a signal": (
        "when: { signal: leaving }",
        replace(_EVENT, kind=Kind.SIGNAL, changed=(), signal="leaving"),
    ),
    "one account": (
        f"when: task.completed\n  accounts: [{ACCOUNT}]",
        replace(_EVENT, kind=Kind.COMPLETED, changed=("done",)),
    ),
}
# What all others listen to; $n is the number of the rule, $h one of a hundred.
_OTHERS = (
    "when: task.reassigned",
    "when: { task.changed: [title, tags] }",
    "when: { task.changed: [priority, type] }\n  accounts: [london]",
    "when: { signal: s$n }",
    "when: task.created\n  accounts: [london]",
    "when: task.completed\n  accounts: [london]\n  settle: 5m",
    "when: { task.overdue: $hh }\n  until: task.done",
    "when: task.rescheduled\n  for: 5m",
)
_SPECIAL = {0: "\n  until: task.done", 1: "\n  for: 5m"}
# Each is true of `_TASK`, and not of `_OTHER`.
_CONDITIONS = (
    'task.type == "job"',
    'task.priority == "high" && task.assignee.email.endsWith("@x.test")',
    'task.customer.name == "Smith" && "urgent" in task.tags',
    'has(before.due) && has(task.due) && task.due - before.due < duration("72h")',
    "has(task.due) && date(task.due) == date(now)",
    '"roof" in task.fields && task.fields.roof == "tile"',
)
_RULE = """\
- id: $id
  $when
  if: $if
  then: [{ notify: accounting, text: "{{ task.title }} is for {{ task.assignee.name }}" }]
"""


async def rules(folder: Path) -> list[Figure]:
    """Ten rules alone and among ten thousand; what one rule takes for one event."""
    folder.mkdir()
    _write(folder)
    began = time.perf_counter()
    config = load(folder, ENVIRON)
    took = time.perf_counter() - began
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        async with await store.connect(postgres.url) as pool:
            await store.migrate(pool)
            ratios = [one for sort in _SORTS for one in await _ratios(pool, config, sort)]
    finally:
        postgres.stop()
    plain = config.rules.only(_listeners("a changed field")[len(_SPECIAL) :])
    return [
        *ratios,
        _first(config.rules),
        *_evaluations(plain),
        _per_rule("a rule that alone listens, its if not true", _alone(plain)),
        Figure(f"reading {COUNT:,} rules from {FILES + 1} files", f"{took:.1f} s"),
    ]


def _listeners(sort: str) -> list[str]:
    name = sort.replace(" ", "-")
    return [f"{name}-{n}" for n in range(LISTENING)]


def _write(folder: Path) -> None:
    """Ten rules for each sort of event behind thousands for others, in files small enough.

    Of the ten one has `until` and one `for`: what these cost is not the thousands' fault.
    """
    listening = [
        _written(name, f"{when}{_SPECIAL.get(number, '')}", number)
        for sort, (when, _) in _SORTS.items()
        for number, name in enumerate(_listeners(sort))
    ]
    others = [
        _written(f"other-{number}", _OTHERS[number % len(_OTHERS)], number)
        for number in range(COUNT - len(listening))
    ]
    written = [*others, *listening]
    (folder / "head.yaml").write_text(HEAD, encoding="utf-8")
    for part in range(FILES):
        text = "".join(written[part * COUNT // FILES : (part + 1) * COUNT // FILES])
        (folder / f"rules-{part}.yaml").write_text(f"rules:\n{text}", encoding="utf-8")


def _written(name: str, when: str, number: int) -> str:
    values = {
        "$id": name,
        "$when": when,
        "$if": f"'{_CONDITIONS[number % len(_CONDITIONS)]}'",
        "$h": str(number % 100),
        "$n": str(number),
    }
    text = _RULE
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


async def _ratios(pool: Pool, config: Config, sort: str) -> list[Figure]:
    """What ten rules take for an event that they listen to, among all others and alone."""
    event = replace(_SORTS[sort][1], after=_OTHER)
    few = config.rules.only(_listeners(sort))
    _demand(config.rules.decide(event, NOW, ZONE), [Outcome.NOT_MATCHED] * LISTENING)
    asked = [partial(each.decide, event, NOW, ZONE) for each in (few, config.rules)]
    deciders = [Decider(each, config.zones, ways(config.kinds)) for each in (few, config.rules)]
    name = f"{LISTENING} of {COUNT:,} rules listen to {sort}, to {LISTENING} rules alone"
    return [
        _ratio(name, _medians(asked)),
        _ratio("  decided on by a worker, in PostgreSQL", await _live(pool, deciders, event)),
    ]


def _medians(calls: Sequence[Callable[[], object]]) -> list[float]:
    """The median seconds of each, called in turn."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, times in zip(calls, took, strict=True):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


async def _live(pool: Pool, deciders: Sequence[Decider], event: Event) -> list[float]:
    """The median seconds that each takes in turn, commits aside."""
    took: list[list[float]] = [[] for _ in deciders]
    async with pool.acquire() as connection, connection.transaction():
        tx = PostgresTransaction(connection)
        for _ in range(LIVE_ROUNDS):
            for decider, times in zip(deciders, took, strict=True):
                began = time.perf_counter()
                await decider.decide(tx, [[event]], NOW)
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


def _ratio(name: str, medians: Sequence[float]) -> Figure:
    alone, among = medians
    ratio = among / alone
    return Figure(name, f"{ratio:.2f}", f"≤ {MOST_RATIO}", ratio <= MOST_RATIO)


def _first(ruleset: Ruleset) -> Figure:
    """What it takes to find, once for all events of a sort, who listens to them."""
    took = []
    for _ in range(FRESH):
        fresh = ruleset.only(ruleset.ids)
        began = time.perf_counter()
        fresh.decide(replace(_EVENT, after=_OTHER), NOW, ZONE)
        took.append(time.perf_counter() - began)
    name = f"the first event of a sort, among {COUNT:,} rules"
    return Figure(name, f"{statistics.median(took) * 1000:.1f} ms")


def _alone(ruleset: Ruleset) -> float:
    """The median seconds of each rule by itself, the task converted for it alone."""
    refused = replace(_EVENT, after=_OTHER)
    each = [ruleset.only({rule.id}) for rule in ruleset]
    return statistics.median(_medians([partial(one.decide, refused, NOW, ZONE) for one in each]))


def _evaluations(ruleset: Ruleset) -> list[Figure]:
    """What each rule of several takes, converting the task once for all of them included."""
    listening = list(ruleset)
    reads = by_noun(rule.reads for rule in listening)
    refused = replace(_EVENT, after=_OTHER)

    def ask() -> list[Verdict | None]:
        scope = Scope(_EVENT, NOW, ZONE, reads)
        return [rule.refusal(scope) for rule in listening]

    refuse = partial(ruleset.decide, refused, NOW, ZONE)
    decide = partial(ruleset.decide, _EVENT, NOW, ZONE)
    _demand(refuse(), [Outcome.NOT_MATCHED] * len(listening))
    _demand(decide(), [Outcome.MATCHED] * len(listening))
    names = (
        f"a rule of {len(listening)} that listen, its if not true",
        f"a rule of {len(listening)} that listen, its if true",
    )
    *asked, planned = (each / len(listening) for each in _medians([refuse, ask, decide]))
    return [
        *(_per_rule(name, each) for name, each in zip(names, asked, strict=True)),
        Figure("  with its message planned and written", f"{planned * 1e6:.1f} µs"),
    ]


def _demand(verdicts: Sequence[Verdict], outcomes: Sequence[Outcome]) -> None:
    if [verdict.outcome for verdict in verdicts] != outcomes:
        raise RuntimeError(f"wanted {outcomes}, got {verdicts}")


def _per_rule(name: str, seconds: float) -> Figure:
    value = seconds * 1e6
    wanted = f"≤ {MOST_MICROSECONDS:.0f} µs"
    return Figure(name, f"{value:.1f} µs", wanted, value <= MOST_MICROSECONDS)
