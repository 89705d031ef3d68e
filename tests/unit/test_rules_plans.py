"""From a match to deliveries: times, reasons, keys, and what is never given to a rule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.model import Cause, Event, Kind, State, Task
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome, Plan
from tests.harness.rule_files import configured
from tests.harness.tasks import BO, task, tasks
from tests.unit.test_rules_examples import EXAMPLES

NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2026, 3, 6, 17, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 7, 3, 0, tzinfo=UTC)
MONDAY = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
POST = '{ notify: "slack:#o", text: "{{ task.title }}" }'


def rules(folder: Path, *lines: str, when: str = "task.created") -> Ruleset:
    """One rule r with these lines."""
    text = "".join(f"  {line}\n" for line in lines)
    return configured(folder, f"- id: r\n  when: {when}\n{text}").rules


def event(kind: Kind = Kind.CREATED, after: Task | None = None, **fields: Any) -> Event:
    after = after or task(account="field", assignee=BO)
    values = {"at": NOON, "cause": Cause.POLL, "before": after, "changed": (), **fields}
    return Event(5, after.account, after.id, kind, after=after, **values)


def plans(found: Ruleset, at: datetime = NOON, given: Event | None = None) -> list[Plan]:
    (verdict,) = found.decide(given or event(at=at), at, NEW_YORK)
    assert verdict.outcome is Outcome.MATCHED, verdict.reason
    return list(verdict.plans)


def test_waits_add_up(tmp_path: Path) -> None:
    """Each wait pushes all later steps, and the reason names them."""
    found = rules(tmp_path, f"then: [{POST}, {{ wait: 2h }}, {POST}, {{ wait: 1 day }}, {POST}]")
    assert [(one.step, one.send_at, one.reason) for one in plans(found)] == [
        (1, NOON, None),
        (3, NOON + timedelta(hours=2), "waiting for 2h"),
        (5, NOON + timedelta(hours=26), "waiting for 2h and 1 day"),
    ]


def test_wait_counts_from_when_the_step_before_goes_out(tmp_path: Path) -> None:
    """A message held over the weekend starts its wait on Monday: both do not come at once."""
    found = rules(tmp_path, "hours: office", f"then: [{POST}, {{ wait: 1h }}, {POST}]")
    assert [one.send_at for one in plans(found, NIGHT)] == [MONDAY, MONDAY + timedelta(hours=1)]


@pytest.mark.parametrize(
    ("outside", "state", "send_at"),
    [
        ("hold", State.HELD, MONDAY),
        ("skip", State.SKIPPED, NIGHT),
        ("ignore", State.PLANNED, NIGHT),
    ],
)
def test_outside_hours(outside: str, state: State, send_at: datetime, tmp_path: Path) -> None:
    """At night a message is held, skipped, or sent all the same, as the rule says."""
    found = rules(tmp_path, f"hours: {{ use: office, outside: {outside} }}", f"then: [{POST}]")
    (plan,) = plans(found, NIGHT)
    assert (plan.state, plan.send_at) == (state, send_at)


def test_held_past_its_expiry(tmp_path: Path) -> None:
    """What would expire before the office opens is skipped at once, with the reason."""
    found = rules(tmp_path, "hours: office", "expires: 2h", f"then: [{POST}]")
    (plan,) = plans(found, NIGHT)
    assert (plan.state, plan.reason) == (
        State.SKIPPED,
        "outside office hours until Mon 9 Mar 2026, 08:00, and it expires before that",
    )


@pytest.mark.parametrize(
    ("kind", "withdraw_on"),
    [
        (Kind.CREATED, {Kind.COMPLETED, Kind.DELETED}),
        (Kind.COMPLETED, {Kind.REOPENED, Kind.DELETED}),
        (Kind.DELETED, {Kind.RESTORED}),
        (Kind.RESTORED, {Kind.COMPLETED, Kind.DELETED}),
    ],
)
def test_what_withdraws_a_held_message(kind: Kind, withdraw_on: set[Kind], tmp_path: Path) -> None:
    """A held message is cancelled by what reverses its event; one sent at once never is."""
    found = rules(tmp_path, "hours: office", f"then: [{POST}]", when=f"task.{kind}")
    (held,) = plans(found, NIGHT, event(kind, at=NIGHT))
    (planned,) = plans(found, NOON, event(kind))
    assert set(held.withdraw_on) == withdraw_on
    assert not planned.withdraw_on


def test_own_writes_are_not_heard(tmp_path: Path) -> None:
    """A change that Taskbell made itself is given only to a rule that asks for it."""
    written = event(cause=Cause.WRITE)
    assert rules(tmp_path, f"then: [{POST}]").decide(written, NOON, NEW_YORK) == []
    asking = rules(tmp_path, "own_writes: true", f"then: [{POST}]")
    assert len(asking.decide(written, NOON, NEW_YORK)) == 1


@pytest.mark.parametrize(
    ("when", "kind", "changed", "heard"),
    [
        ("task.changed", Kind.CHANGED, ("title",), True),
        ("task.changed", Kind.RESCHEDULED, ("due",), True),
        ("task.changed", Kind.COMPLETED, ("done",), True),
        ("task.changed", Kind.CREATED, (), False),
        ("{ task.changed: [start, due] }", Kind.RESCHEDULED, ("due",), True),
        ("{ task.changed: [start, due] }", Kind.CHANGED, ("title",), False),
        ("{ task.rescheduled: [start] }", Kind.RESCHEDULED, ("due",), False),
        ("task.completed", Kind.REOPENED, ("done",), False),
    ],
)
def test_which_changes_are_heard(
    when: str, kind: Kind, changed: tuple[str, ...], *, heard: bool, tmp_path: Path
) -> None:
    """A rule hears the kinds it names, and of them those that cover a field it names."""
    found = rules(tmp_path, f"then: [{POST}]", when=when)
    assert bool(found.decide(event(kind, changed=changed), NOON, NEW_YORK)) is heard


def test_only_its_own_alarm(tmp_path: Path) -> None:
    """Of two rules about overdue tasks each hears the alarm at its own distance."""
    text = "".join(
        f"- {{ id: {name}, when: {{ task.overdue: {name} }}, then: [{POST}] }}\n"
        for name in ("1h", "2h")
    )
    found = configured(tmp_path, text).rules
    announced_until = event(Kind.OVERDUE, cause=Cause.CLOCK, alarm="overdue:due+7200s")
    assert [verdict.rule for verdict in found.decide(announced_until, NOON, NEW_YORK)] == ["2h"]


def test_rule_for_some_accounts(tmp_path: Path) -> None:
    """A rule with `accounts` hears of no other."""
    found = rules(tmp_path, "accounts: [london]", f"then: [{POST}]")
    assert found.decide(event(), NOON, NEW_YORK) == []
    assert len(found.decide(event(after=task(account="london")), NOON, NEW_YORK)) == 1


def test_rule_that_is_off(tmp_path: Path) -> None:
    """`enabled: false` is as if the rule were not there, but it is checked."""
    assert (
        rules(tmp_path, "enabled: false", f"then: [{POST}]").decide(event(), NOON, NEW_YORK) == []
    )


def test_once_keys(tmp_path: Path) -> None:
    """Values stay apart however they are written, and a very long one becomes a digest."""
    found = rules(tmp_path, "once_per: [task.title, task.type]", f"then: [{POST}]")

    def key(title: str, kind: str) -> str:
        return plans(found, given=event(after=task(account="field", title=title, type=kind)))[
            0
        ].once_key

    assert key("a", "b") == 'field:["a","b"]'
    assert key('a","', "b") != key("a", '","b')
    assert len(key("x" * 10_000, "b")) < 60


def test_update_and_complete(tmp_path: Path) -> None:
    """Writes carry the fields in the words of rules; those that come out empty are left out."""
    found = rules(
        tmp_path,
        "then:",
        '- update_task: { priority: high, description: "{{ task.description }}", due: 2h }',
        "- complete_task: true",
    )
    update, complete = plans(found)
    assert (update.channel, update.fields) == (
        "update_task",
        {"priority": "high", "due": "2026-03-06T19:00:00Z"},
    )
    assert (complete.channel, complete.target, complete.fields) == ("complete_task", "", None)
    assert found.writes


def test_text_that_fails_is_told(tmp_path: Path) -> None:
    """A text that does not fit the task fails the decision with its reason, and plans nothing."""
    text = "{% if task.title > 3 %}x{% endif %}"
    found = rules(tmp_path, f'then: [{{ notify: "slack:#o", text: "{text}" }}]')
    (verdict,) = found.decide(event(), NOON, NEW_YORK)
    assert (verdict.outcome, verdict.plans) == (Outcome.FAILED, ())
    assert verdict.reason.startswith("{% if task.title > 3 %}")


def test_target_cannot_smuggle_lines(tmp_path: Path) -> None:
    """A task's data cannot put a second line into an address."""
    found = rules(tmp_path, 'then: [{ notify: "slack:#{{ task.title }}", text: x }]')
    (plan,) = plans(found, given=event(after=task(account="field", title="a\r\nBcc: b")))
    assert plan.target == "#a Bcc: b"


def test_rules_that_are_gone(tmp_path: Path) -> None:
    """A rule that is no longer configured decides nothing and ends nothing."""
    found = rules(tmp_path, f"then: [{POST}]")
    assert found.decide_after_wait("gone", event(), NOON, NEW_YORK) is None
    assert not found.until("gone", task(), NOON)
    assert Ruleset.empty().decide(event(), NOON, NEW_YORK) == []


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Ruleset:
    return configured(tmp_path_factory.mktemp("pure"), EXAMPLES).rules


@given(
    before=st.none() | tasks,
    after=tasks,
    kind=st.sampled_from(Kind),
    minutes=st.integers(-5_000, 5_000),
)
def test_decisions_are_pure(
    examples: Ruleset, before: Task | None, after: Task, kind: Kind, minutes: int
) -> None:
    """Deciding twice on the same event gives equal verdicts, for any task whatever."""
    now = NOON + timedelta(minutes=minutes)
    for alarm in [None, *map(str, examples.alarms)]:
        one = Event(3, "field", after.id, kind, NOON, Cause.POLL, before, after, ("due",), alarm)
        assert examples.decide(one, now, NEW_YORK) == examples.decide(one, now, NEW_YORK)
        first = examples.decide_after_wait("job-done", one, now, NEW_YORK)
        assert first == examples.decide_after_wait("job-done", one, now, NEW_YORK)
