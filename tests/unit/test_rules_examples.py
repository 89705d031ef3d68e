"""The first five examples of the rule language, as written there."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.domain.model import Cause, Event, Kind, Person, Project, State, Task
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome, Verdict
from tests.harness.rule_files import configured
from tests.harness.tasks import ANN, BO, SMITH, task

NEW_YORK = ZoneInfo("America/New_York")

EXAMPLES = """\
- id: job-done
  when: task.completed
  if: task.type == "job"
  settle: 2m                            # wait until it has been quiet this long
  then:
    - notify: slack:#office
      text: "✅ {{ task.title }} finished by {{ task.assignee.name }}"
      on_undo: update                   # reopened: rewrite this message
    - create_task: { title: "Send invoice: {{ task.project.name }}", due: 1 business day }

- id: overdue-nudge
  when: { task.overdue: 2h }            # two hours after it became due, still open
  hours: office                         # outside: hold (default) | skip | ignore
  once_per: [task.id, task.due]
  then:
    - notify: "email:{{ task.assignee.email }}"
      subject: "Overdue: {{ task.title }}"
      text: "It was due {{ task.due | local }}"
    - wait: 2 business hours
    - notify: slack:#dispatch
      text: "Still open: {{ task.title }}"
  until: task.done || task.due > now    # ends waits, withdraws what is still pending

- id: on-the-way
  when: { task.starting_soon: 30m }
  if:
    - has(task.assignee)
    - '!task.customer.opted_out'
  hours: { use: texting, outside: skip }
  expires: 20m                          # later than this it must not go out any more
  once_per: [task.id, date(task.start)]
  then:
    - notify: customer:on_the_way       # the system's own notify call

- id: visit-tomorrow
  when: { before: task.start, by: 1 day, at: "16:00" }
  then: [{ notify: customer:details }]

- id: handed-over
  when: task.reassigned
  settle: 1m
  then: [{ notify: "slack:@{{ task.assignee.email }}", text: "You now have {{ task.title }}" }]
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Ruleset:
    return configured(tmp_path_factory.mktemp("examples"), EXAMPLES).rules


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def visit(**fields: Any) -> Task:
    return task(
        account="field",
        system="kickserv",
        assignee=BO,
        customer=SMITH,
        start=local("2026-03-07 10:00"),
        due=local("2026-03-06 17:00"),
        **fields,
    )


def event(kind: Kind, after: Task, at: datetime, **fields: Any) -> Event:
    values: dict[str, Any] = {"cause": Cause.POLL, "before": after, **fields}
    return Event(id=7, account="field", task_id=after.id, kind=kind, at=at, after=after, **values)


def ring(rules: Ruleset, kind: Kind, after: Task, at: datetime, now: datetime) -> list[Verdict]:
    alarm = next(str(one) for one in rules.alarms if one.kind is kind)
    rung = event(kind, after, at, cause=Cause.CLOCK, alarm=alarm)
    return rules.decide(rung, now, NEW_YORK)


def test_clock_watches_what_the_rules_need(rules: Ruleset) -> None:
    """The three clock rules become three alarms."""
    assert {str(alarm) for alarm in rules.alarms} == {
        "overdue:due+7200s",
        "starting_soon:start-1800s",
        "reminder:start-86400s@16:00",
    }
    assert rules.writes
    assert rules.with_until == {"overdue-nudge"}


def test_job_done(rules: Ruleset) -> None:
    """A finished job settles for two minutes, is then posted, and an invoice task is planned."""
    now = local("2026-03-06 16:30")
    job = visit(type="job", done=True, project=Project("p", "Gutters"))
    done = event(Kind.COMPLETED, job, now, changed=("done",))
    (waiting,) = rules.decide(done, now, NEW_YORK)
    assert (waiting.outcome, waiting.settle) == (Outcome.SETTLING, timedelta(minutes=2))
    assert waiting.plans == ()

    verdict = rules.decide_after_wait("job-done", done, now, NEW_YORK)
    assert verdict is not None
    post, invoice = verdict.plans
    assert (post.channel, post.target, post.on_undo) == ("slack", "#office", "update")
    assert post.text == "✅ Smith gutters finished by Bo"
    assert (post.state, post.send_at, post.once_key) == (State.PLANNED, now, "event:7")
    assert invoice.channel == "create_task"
    assert invoice.fields == {"title": "Send invoice: Gutters", "due": "2026-03-09T20:30:00Z"}


def test_job_done_is_for_jobs(rules: Ruleset) -> None:
    """Another kind of task does not match, and the reason is the condition."""
    now = local("2026-03-06 16:30")
    done = event(Kind.COMPLETED, visit(type="call", done=True), now, changed=("done",))
    verdict = rules.decide_after_wait("job-done", done, now, NEW_YORK)
    assert verdict is not None
    assert (verdict.outcome, verdict.reason) == (
        Outcome.NOT_MATCHED,
        'task.type == "job" is not true',
    )


def test_overdue_nudge_waits_for_monday(rules: Ruleset) -> None:
    """Friday evening's nudge is held to Monday 8:00, over the change to summer time."""
    now = local("2026-03-06 19:00")
    (verdict,) = ring(rules, Kind.OVERDUE, visit(), now, now)
    mail, post = verdict.plans
    assert (mail.channel, mail.target) == ("email", "bo@x.test")
    assert (mail.subject, mail.text) == (
        "Overdue: Smith gutters",
        "It was due Fri 6 Mar 2026, 17:00",
    )
    assert (mail.state, mail.send_at) == (State.HELD, datetime(2026, 3, 9, 12, 0, tzinfo=UTC))
    assert mail.reason == "outside office hours: waiting until Mon 9 Mar 2026, 08:00"
    assert (post.step, post.send_at) == (3, datetime(2026, 3, 9, 14, 0, tzinfo=UTC))
    assert post.reason == "waiting for 2 business hours"
    assert mail.once_key == post.once_key == 'field:["T1","2026-03-06T22:00:00Z"]'
    assert mail.withdraw_on == {"completed", "deleted", "rescheduled:due", "changed:archived"}


def test_overdue_nudge_ends_when_done_or_moved(rules: Ruleset) -> None:
    """`until` is true of a task that is done or has a later date, and false before."""
    now = local("2026-03-09 09:00")
    assert not rules.until("overdue-nudge", visit(), now)
    assert rules.until("overdue-nudge", visit(done=True), now)
    assert rules.until("overdue-nudge", task(due=now + timedelta(days=1)), now)


def test_on_the_way(rules: Ruleset) -> None:
    """Half an hour before a visit the customer hears of it, once a day, for twenty minutes."""
    now = local("2026-03-07 09:30")
    (verdict,) = ring(rules, Kind.STARTING_SOON, visit(), now, now)
    (plan,) = verdict.plans
    assert (plan.channel, plan.target, plan.state) == ("customer", "on_the_way", State.PLANNED)
    assert plan.once_key == 'field:["T1","2026-03-07"]'
    assert plan.expires_at == now + timedelta(minutes=20)


def test_on_the_way_too_late(rules: Ruleset) -> None:
    """After an outage of twenty minutes it is not sent any more, and says why."""
    at = local("2026-03-07 09:30")
    (verdict,) = ring(rules, Kind.STARTING_SOON, visit(), at, at + timedelta(minutes=20))
    assert [(plan.state, plan.reason) for plan in verdict.plans] == [
        (State.SKIPPED, "too late: the rule's `expires` time had already passed")
    ]


def test_on_the_way_outside_hours(rules: Ruleset) -> None:
    """With `outside: skip` a visit at dawn is not announced."""
    early = task(account="field", assignee=BO, customer=SMITH, start=local("2026-03-07 06:00"))
    now = local("2026-03-07 05:30")
    (verdict,) = ring(rules, Kind.STARTING_SOON, early, now, now)
    assert [(plan.state, plan.reason) for plan in verdict.plans] == [
        (State.SKIPPED, "outside texting hours")
    ]


def test_on_the_way_not_to_everybody(rules: Ruleset) -> None:
    """A visit without an employee does not match."""
    now = local("2026-03-07 09:30")
    alone = task(account="field", customer=SMITH, start=local("2026-03-07 10:00"))
    (verdict,) = ring(rules, Kind.STARTING_SOON, alone, now, now)
    assert (verdict.outcome, verdict.reason) == (
        Outcome.NOT_MATCHED,
        "has(task.assignee) is not true",
    )


def test_visit_tomorrow_is_skipped_where_the_system_cannot(rules: Ruleset) -> None:
    """A system that sends nothing to customers gives the reason instead of a failure."""
    now = local("2026-03-06 16:00")
    alarm = "reminder:start-86400s@16:00"
    after = task(account="london", start=local("2026-03-07 10:00"))
    rung = Event(9, "london", "T1", Kind.REMINDER, now, Cause.CLOCK, after, after, alarm=alarm)
    (verdict,) = rules.decide(rung, now, NEW_YORK)
    assert [(plan.state, plan.reason) for plan in verdict.plans] == [
        (State.SKIPPED, "london (plannr) cannot send details")
    ]


@pytest.mark.parametrize(
    ("person", "state", "target"),
    [
        (ANN, State.PLANNED, "@ann@x.test"),
        (Person(name="Temp"), State.SKIPPED, "@"),
        (None, State.SKIPPED, "@"),
    ],
)
def test_handed_over(rules: Ruleset, person: Person | None, state: State, target: str) -> None:
    """Whoever got the task is told; without an address nobody is, and the reason says so."""
    now = local("2026-03-06 16:00")
    moved = event(
        Kind.REASSIGNED, task(account="field", assignee=person), now, changed=("assignee",)
    )
    verdict = rules.decide_after_wait("handed-over", moved, now, NEW_YORK)
    assert verdict is not None
    (plan,) = verdict.plans
    assert (plan.state, plan.target) == (state, target)
    if state is State.SKIPPED:
        assert plan.reason == (
            "nobody to send to: `task.assignee.email` is empty for this task. Enter it in the"
            " system, or ask your developer to add the person under `people`"
        )
