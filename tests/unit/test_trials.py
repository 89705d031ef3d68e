"""Rule tests at work: what passes, what fails, and what is said of it."""

from pathlib import Path

from service.config import sketch
from service.simulator.rule_tests.report import lines, summary
from service.simulator.rule_tests.runner import RuleTestResult, RuleTestStage, run
from tests.harness.rule_files import HEAD

RULES = """\
rules:
- id: overdue-nudge
  when: { task.overdue: 2h }
  hours: office
  once_per: [task.id, task.due]
  then:
    - notify: "email:{{ task.assignee.email }}"
      subject: "Overdue: {{ task.title }}"
      text: "It was due {{ task.due | local }}"
    - wait: 2 business hours
    - notify: slack:#dispatch
      text: "Still open: {{ task.title }}"
  until: task.done || task.due > now
- id: finished
  when: task.completed
  if: task.type == "job"
  then:
    - notify: slack:#office
      text: "{{ task.title }} is done"
      on_undo: update
    - create_task: { title: "Invoice {{ task.title }}", due: 1 business day }
- id: on-the-way
  when: { task.starting_soon: 30m }
  hours: { use: texting, outside: skip }
  expires: 20m
  once_per: [task.id, date(task.start)]
  then: [{ notify: customer:on_the_way }]
- id: gone
  when: task.deleted
  then: [{ notify: accounting }]
- id: back
  when: task.reopened
  then: [{ update_task: { priority: high } }, { complete_task: true }]
- id: late
  when: { after: task.created_at, by: 1h }
  hours: office
  then: [{ wait: 3h }, { notify: slack:#office, text: "{{ task.title }} is there for an hour" }]
- id: calm
  when: { task.changed: [title] }
  settle: 10m
  then: [{ notify: slack:#office, text: "Now called {{ task.title }}" }]
- id: quiet
  when: { after: task.updated_at, by: 3 days }
  enabled: false
  then: [{ notify: slack:#office, text: "Nothing has happened to {{ task.title }}" }]
- id: yours
  when: task.created
  if: has(task.customer) && has(task.customer.email)
  group: { by: task.customer.email, wait: 5m }
  then:
    - wait: 1h
    - notify: "email:{{ group.key }}"
      text: "{{ group.size }}: {{ group.tasks | map: 'title' | join: ', ' }}"
- id: booked
  when: task.created
  then:
    - wait: 1h
    - notify: "email:{{ task.customer.email }}"
      subject: "{{ task.title }}"
      text: "Booked for {{ task.start | local: '%H:%M' }}"
- id: on-trial
  when: { task.rescheduled: [end] }
  enabled: shadow
  then: [{ notify: slack:#dispatch, text: "{{ task.title }} takes longer" }]
tests:
"""
TASK = "id: T1, title: Gutters, type: job, assignee: { name: Bo, email: bo@x.test }"
FAILED = """
✗ It (taskbell.yaml:77)
  Mon 9 Mar 2026, 08:00 (taskbell.yaml:83)
    missing       notify email:bo@x.test with "Smyth"
    unexpected    notify email:bo@x.test "Overdue: Gutters" "It was due Fri 6 Mar 2026, 17:00"
                  by overdue-nudge: T1 overdue, Fri 6 Mar 2026, 19:00
    because       since the previous step, nothing happened that triggers a rule
  Mon 9 Mar 2026, 08:00 (taskbell.yaml:84)
    missing       create_task title "Invoice"
    because       T2 completed, Mon 9 Mar 2026, 08:00
                  finished did not match: task.type == "job" is not true
                    task.type == "job"  false
                      task.type         "call"
  Mon 9 Mar 2026, 09:10 (taskbell.yaml:85)
    unexpected    create_task title "Invoice Gutters", due "2026-03-10 09:10"
                  by finished: T1 completed, Mon 9 Mar 2026, 09:10
    also happened cancelled slack:#dispatch "Still open: Gutters"
                  by overdue-nudge: T1 overdue, Fri 6 Mar 2026, 19:00
                  cancelled: the task was completed
    because       T1 completed, Mon 9 Mar 2026, 09:10
                  finished matched: task.completed, and task.type == "job"
  Mon 9 Mar 2026, 09:10 (taskbell.yaml:86)
    missing       held accounting
    because       T1 changed, Mon 9 Mar 2026, 09:10
                  this triggers no rule
  Mon 9 Mar 2026, 09:10 (taskbell.yaml:87)
    missing       notify accounting with the subject "Hello" and "You"
    because       since the previous step, nothing happened that triggers a rule
"""


async def tried(
    folder: Path, start: str, given: str, *steps: str, rules: str = "", account: str = "field"
) -> RuleTestResult:
    """How one test went, of all rules or of these."""
    file = folder / "taskbell.yaml"
    body = "".join(f"    - {{ {step} }}\n" for step in steps)
    head = f"{HEAD}{RULES}- name: It\n  account: {account}\n"
    named = f"  rules: [{rules}]\n" if rules else ""
    file.write_text(
        f"{head}{named}  start: {start}\n  given: [{given}]\n  steps:\n{body}",
        encoding="utf-8",
    )
    found = sketch(file, {})
    (trial,) = found.trials
    return await run(trial, RuleTestStage.of(found))


def told(result: RuleTestResult) -> list[str]:
    """The lines about it, without the folder that the file is in."""
    folder = result.trial.place.rpartition("taskbell.yaml")[0]
    return [line.replace(folder, "") for line in lines(result)]


async def test_friday_nudge_waits_for_monday(tmp_path: Path) -> None:
    """Held over the weekend and the change to summer time, sent as the office opens, withdrawn."""
    result = await tried(
        tmp_path,
        "2026-03-06 16:30",
        f"{{ {TASK}, due: 2026-03-06 17:00 }}",
        "at: 2026-03-06 18:59, expect: []",
        'at: 2026-03-06 19:00, expect: [{ held: "email:bo@x.test" }]',
        "at: 2026-03-09 07:59, expect: []",
        'at: 2026-03-09 08:00, expect: [{ notify: "email:bo@x.test", '
        'subject: "Overdue: Gutters", contains: ["6 Mar 2026, 17:00", Gutters] }]',
        "at: 2026-03-09 09:10, change: { T1: { due: 2026-03-12 17:00 } }, "
        'expect: [{ cancelled: "slack:#dispatch" }]',
        "at: 2026-03-12 18:59, expect: []",
        'at: 2026-03-13 08:00, expect: [{ notify: "email:bo@x.test" }]',
    )
    assert told(result) == ["✓ It"]


async def test_past_of_given_tasks_is_nobodys_news(tmp_path: Path) -> None:
    """Tasks that are there in the beginning are no events, and their past alarms do not ring."""
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        f"{{ {TASK}, due: 2026-03-06 07:00, created_at: 2026-03-06 08:00 }}, "
        "{ id: T2, type: job, done: true }",
        "at: 2026-03-08 12:00, expect: []",
    )
    assert told(result) == ["✓ It"]


async def test_what_comes_while_the_test_runs(tmp_path: Path) -> None:
    """A task that a step adds was created then, by the system's own word."""
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        "",
        "at: 2026-03-06 10:00, change: { T9: { title: Fence } }, expect: []",
        "at: 2026-03-06 11:00, expect: []",
        "at: 2026-03-06 14:00, expect: [{ notify: slack:#office, contains: Fence }]",
        rules="late",
    )
    assert told(result) == ["✓ It"]


async def test_writing_is_compared_by_its_fields(tmp_path: Path) -> None:
    """What is written can be told in part; a date is meant on the test's own clock."""
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        f"{{ {TASK} }}",
        "at: 2026-03-06 10:30, change: { T1: { done: true } }, expect: [{ notify: slack:#office }, "
        "{ create_task: { title: Invoice Gutters, due: 2026-03-09 10:30 } }]",
        "at: 2026-03-06 11:00, change: { T1: { done: false } }, "
        "expect: [{ updated: slack:#office }, { complete_task: true }, "
        "{ update_task: { priority: high } }]",
    )
    assert told(result) == ["✓ It"]


async def test_what_never_goes_out_can_be_expected(tmp_path: Path) -> None:
    """It is skipped: outside of hours, or where nobody is to be told; what waits goes out."""
    result = await tried(
        tmp_path,
        "2026-03-06 05:00",
        "{ id: T1, start: 2026-03-06 07:00, due: 2026-03-06 07:30 }",
        "at: 2026-03-06 06:30, expect: [{ skipped: customer:on_the_way }]",
        "at: 2026-03-06 09:30, expect: [{ skipped: email }]",
        "at: 2026-03-06 11:30, expect: [{ notify: slack:#dispatch }]",
        rules="on-the-way, overdue-nudge",
    )
    assert told(result) == ["✓ It"]


async def test_two_zones(tmp_path: Path) -> None:
    """A test is told in the configuration's zone; what goes out is in the account's."""
    result = await tried(
        tmp_path,
        "2026-03-06 09:00",
        "{ id: T1, title: Call, due: 2026-03-06 10:00, assignee: { email: gwen@x.test } }",
        "at: 2026-03-06 12:00, expect: []",
        "at: 2026-03-09 04:00, expect: [{ notify: email:gwen@x.test, contains: '15:00' }]",
        rules="overdue-nudge",
        account="london",
    )
    assert told(result) == ["✓ It"]


async def test_a_date_without_a_time_is_a_day(tmp_path: Path) -> None:
    """Due when the account's day is over; begun at no time; expected at any time of it."""
    result = await tried(
        tmp_path,
        "2026-03-06 09:00",
        f"{{ {TASK}, due: 2026-03-06, start: 2026-03-07 }}",
        "at: 2026-03-06 23:00, expect: []",
        'at: 2026-03-09 08:00, expect: [{ notify: "email:bo@x.test", '
        'contains: "It was due Fri 6 Mar 2026" }]',
        "at: 2026-03-09 09:10, change: { T1: { done: true } }, "
        'expect: [{ cancelled: "slack:#dispatch" }, { notify: "slack:#office" }, '
        "{ create_task: { due: 2026-03-10 } }]",
    )
    assert told(result) == ["✓ It"]


async def test_deleted_signalled_and_settled(tmp_path: Path) -> None:
    """A deletion is a change, a signal is heard, and what settles comes when it is quiet."""
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        f"{{ {TASK} }}",
        "at: 2026-03-06 10:00, change: { T1: { title: Roof } }, signal: { T1: leaving }",
        "at: 2026-03-06 10:05, change: { T1: { title: Fence } }, expect: []",
        "at: 2026-03-06 10:14, expect: []",
        "at: 2026-03-06 10:15, expect: [{ notify: slack:#office, contains: Fence }]",
        "at: 2026-03-06 11:00, change: { T1: deleted }, expect: [{ notify: accounting }]",
    )
    assert told(result) == ["✓ It"]


async def test_the_order_of_expectations_is_free(tmp_path: Path) -> None:
    """What is told exactly is found, whatever is told vaguely before it."""
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        "{ id: T1, title: Roof, type: job }, { id: T2, title: Fence, type: job }",
        "at: 2026-03-06 10:30, change: { T1: { done: true }, T2: { done: true } }, expect: "
        "[{ notify: slack:#office }, { create_task: true }, { notify: slack:#office, "
        "contains: Roof }, { create_task: { title: Invoice Roof } }]",
    )
    assert told(result) == ["✓ It"]


async def test_a_step_may_expect_nothing_in_particular(tmp_path: Path) -> None:
    """Without `expect` whatever comes is fine; `expect: []` is that nothing does."""
    steps = "at: 2026-03-06 10:30, change: { T1: { done: true } }"
    fine = await tried(tmp_path, "2026-03-06 10:00", f"{{ {TASK} }}", steps)
    wrong = await tried(tmp_path, "2026-03-06 10:00", f"{{ {TASK} }}", f"{steps}, expect: []")
    assert (len(fine.failures), len(wrong.failures)) == (0, 1)


async def test_a_digest_to_a_customer_is_checked_before_it_goes_out(tmp_path: Path) -> None:
    """As at work: one of two visits is done meanwhile, so the customer is told of the other."""
    ida = "customer: { id: 7, email: ida@x.test }"
    made = f"T1: {{ title: Roof, {ida} }}, T2: {{ title: Fence, {ida} }}"
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        "",
        f"at: 2026-03-06 10:00, change: {{ {made} }}, expect: []",
        "at: 2026-03-06 10:30, change: { T1: { done: true, type: call } }, expect: []",
        "at: 2026-03-06 11:04, expect: []",
        'at: 2026-03-06 11:05, expect: [{ cancelled: "email:ida@x.test" }, '
        '{ notify: "email:ida@x.test", contains: "1: Fence" }]',
        rules="yours",
    )
    assert told(result) == ["✓ It"]


async def test_a_text_to_a_customer_is_brought_up_to_date_before_it_goes_out(
    tmp_path: Path,
) -> None:
    """As at work: the visit is moved and renamed during the wait, and told as it is by then."""
    made = "T1: { title: Roof, start: 2026-03-08 09:00, customer: { id: 7, email: ida@x.test } }"
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        "",
        f"at: 2026-03-06 10:00, change: {{ {made} }}, expect: []",
        "at: 2026-03-06 10:30, change: { T1: { start: 2026-03-08 11:00, title: Fence } }",
        'at: 2026-03-06 11:00, expect: [{ notify: "email:ida@x.test", subject: Fence, '
        'contains: "Booked for 11:00" }]',
        rules="booked",
    )
    assert told(result) == ["✓ It"]


async def test_a_rule_that_is_switched_off_can_be_tested(tmp_path: Path) -> None:
    """It is tried where it is named, so that it is proven before it is switched on."""
    touched = "at: 2026-03-06 10:00, change: { T1: { priority: low } }"
    named = await tried(
        tmp_path,
        "2026-03-06 09:00",
        "{ id: T1, title: Roof }",
        touched,
        "at: 2026-03-09 10:59, expect: []",
        "at: 2026-03-09 11:00, expect: [{ notify: slack:#office, contains: Roof }]",
        rules="quiet",
    )
    unnamed = await tried(
        tmp_path, "2026-03-06 09:00", "{ id: T1 }", touched, "at: 2026-03-09 11:00, expect: []"
    )
    assert (told(named), told(unnamed)) == (["✓ It"], ["✓ It"])


async def test_a_shadow_is_tested_in_earnest(tmp_path: Path) -> None:
    """What it would send is what a test expects of it."""
    result = await tried(
        tmp_path,
        "2026-03-06 10:00",
        f"{{ {TASK} }}",
        "at: 2026-03-06 10:30, change: { T1: { end: 2026-03-06 12:00 } }, "
        "expect: [{ notify: slack:#dispatch, contains: Gutters takes longer }]",
        rules="on-trial",
    )
    assert told(result) == ["✓ It"]


async def test_failure_says_what_was_decided_and_why(tmp_path: Path) -> None:
    """What did not come, what came unexpected, what else became of it, and each rule's reason."""
    result = await tried(
        tmp_path,
        "2026-03-06 16:30",
        f"{{ {TASK}, due: 2026-03-06 17:00 }}, {{ id: T2, type: call }}",
        "at: 2026-03-06 19:00",
        "at: 2026-03-09 08:00, expect: [{ notify: email:bo@x.test, contains: Smyth }]",
        "at: 2026-03-09 08:00, change: { T2: { done: true } }, expect: "
        "[{ create_task: { title: Invoice } }]",
        "at: 2026-03-09 09:10, change: { T1: { done: true } }, expect: [{ notify: slack:#office }]",
        "at: 2026-03-09 09:10, change: { T1: { priority: low } }, expect: [{ held: accounting }]",
        "at: 2026-03-09 09:10, expect: [{ notify: accounting, subject: Hello, contains: You }]",
    )
    assert "\n".join(told(result)) == FAILED.strip()
    assert summary([result, result]) == "0 passed, 2 failed"
