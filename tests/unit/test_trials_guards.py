"""What keeps messages back at work keeps them back in a rule test."""

from pathlib import Path

from tests.harness.rule_files import tried

WELCOME = '{ id: welcome, when: task.created, then: [{ notify: "customer:details" }] }'
LATE = "{ id: late, when: task.overdue, enabled: false, then: [{ notify: accounting }] }"
MUTED = """{ id: moved, when: { task.changed: [title] }, enabled: false,
    muted_by: { rule: late, same: task.customer.id },
    then: [{ notify: "slack:#office", text: x }] }"""

SAFE = """{ id: safe, when: task.created, expires: 1h, then: [
    { notify: "slack:#office", text: "{{ task.title }}", on_fail: [
        { notify: "slack:@{{ task.assignee.email }}", text: never },
        { notify: accounting, text: "{{ task.title }}: {{ failure }}" },
        { create_task: { title: "Call about {{ task.title }}" } }] }] }"""


async def test_the_storm_guard_of_the_configuration_is_at_work(tmp_path: Path) -> None:
    """Where two are too many, the second customer message is held."""
    result = await tried(
        tmp_path,
        WELCOME,
        top="storm: { messages: 1, within: 1h }",
        test="""name: It, start: 2026-03-06 09:00, steps: [
            { at: 2026-03-06 10:00, change: { T1: { title: Roof } },
              expect: [{ notify: customer:details }] },
            { at: 2026-03-06 10:01, change: { T2: { title: Gate } },
              expect: [{ held: customer:details }] }]""",
    )
    assert result.failures == []


async def test_a_rule_that_is_off_mutes_another_one(tmp_path: Path) -> None:
    """Tried are both as they will be once they are switched on."""
    result = await tried(
        tmp_path,
        LATE,
        MUTED,
        test="""name: It, rules: [late, moved], start: 2026-03-06 09:00,
          given: [{ id: T1, due: 2026-03-06 10:00, customer: { id: 7 } },
                  { id: T2, customer: { id: 7 } }, { id: T3, customer: { id: 8 } }], steps: [
            { at: 2026-03-06 11:00, change: { T2: { title: a }, T3: { title: b } },
              expect: [{ notify: accounting }, { skipped: slack:#office },
                       { notify: slack:#office }] }]""",
    )
    assert result.failures == []


async def test_a_silence_hides_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """Of one customer, until Saturday; what it hides is skipped, and not made up for."""
    result = await tried(
        tmp_path,
        WELCOME,
        test="""name: It, start: 2026-03-06 09:00,
          silences: [{ from: 2026-03-06 10:00, until: 2026-03-07 08:00, customer: 7 }], steps: [
            { at: 2026-03-06 09:59, change: { T1: { customer: { id: 7 } } },
              expect: [{ notify: customer:details }] },
            { at: 2026-03-06 10:00, change: { T2: { customer: { id: 7 } }, T3: {} },
              expect: [{ skipped: customer:details }, { notify: customer:details }] },
            { at: 2026-03-07 08:00, change: { T4: { customer: { id: 7 } } },
              expect: [{ notify: customer:details }] }]""",
    )
    assert result.failures == []


async def test_a_failure_says_which_silence_it_was(tmp_path: Path) -> None:
    """Its number among those of the test, its end and its reason."""
    result = await tried(
        tmp_path,
        WELCOME,
        test="""name: It, start: 2026-03-06 09:00,
          silences: [{ until: 2026-03-07 08:00, rule: welcome, reason: stocktaking }], steps: [
            { at: 2026-03-06 10:00, change: { T1: {} },
              expect: [{ notify: customer:details }] }]""",
    )
    [failure] = result.failures
    assert [one.why for one in failure.besides] == [
        "silenced until 2026-03-07 13:00 UTC (silence 1): stocktaking"
    ]


async def test_what_goes_out_instead_of_what_fails(tmp_path: Path) -> None:
    """Where a channel fails in a step, and only there; of what fails itself nothing is told."""
    result = await tried(
        tmp_path,
        SAFE,
        test="""name: It, start: 2026-03-06 09:00, steps: [
            { at: 2026-03-06 10:00, change: { T1: { title: Roof } }, fails: slack,
              expect: [{ failed: slack:#office }, { skipped: "slack:@" },
                       { notify: accounting, contains: "Roof: slack fails, as the test says" },
                       { create_task: { title: Call about Roof } }] },
            { at: 2026-03-06 11:00, change: { T2: {} }, fails: ["slack:#office", create_task],
              expect: [{ failed: slack:#office }, { skipped: "slack:@" }, { notify: accounting },
                       { failed: create_task }] },
            { at: 2026-03-06 12:00, change: { T3: {} }, fails: "slack:#dispatch",
              expect: [{ notify: slack:#office }] }]""",
    )
    assert result.failures == []


async def test_what_fails_while_time_goes_by(tmp_path: Path) -> None:
    """It counts for all that goes out since the step before, and not for what comes later."""
    late = """{ id: late, when: task.overdue, then: [
        { notify: accounting, on_fail: [{ notify: "slack:#office", text: "{{ task.title }}" }] },
        { wait: 2h }, { notify: accounting }] }"""
    result = await tried(
        tmp_path,
        late,
        test="""name: It, start: 2026-03-06 09:00,
          given: [{ id: T1, title: Roof, due: 2026-03-06 10:00 }], steps: [
            { at: 2026-03-06 11:00, fails: accounting,
              expect: [{ failed: accounting }, { notify: slack:#office, contains: Roof }] },
            { at: 2026-03-06 13:00, expect: [{ notify: accounting }] }]""",
    )
    assert result.failures == []


async def test_no_rule_reaches_a_customer_who_opted_out(tmp_path: Path) -> None:
    """Whether it asks or not, by which way ever; the office is told all the same."""
    result = await tried(
        tmp_path,
        """{ id: welcome, when: task.created, then: [{ notify: "customer:details" },
             { notify: "email:{{ task.customer.email }}", text: Welcome },
             { notify: "slack:#office", text: New }] }""",
        test="""name: It, start: 2026-03-06 09:00, steps: [{ at: 2026-03-06 10:00,
            change: { T1: { customer: { id: 7, email: ida@c.test, opted_out: true } } },
            expect: [{ skipped: customer:details }, { skipped: "email:ida@c.test" },
                     { notify: slack:#office }] }]""",
    )
    assert result.failures == []


async def test_the_directory_of_people_fills_in_given_tasks(tmp_path: Path) -> None:
    """Who is given by an id or a name has the address of the directory, as at work."""
    result = await tried(
        tmp_path,
        '{ id: done, when: task.completed, then: [{ notify: "slack:@{{ task.assignee.email }}",'
        ' text: "{{ task.author.name }}" }] }',
        top="people: { u1: { name: Bo Reed, email: bo@x.test }, ann lee: { email: ann@x.test } }",
        test="""name: It, start: 2026-03-06 09:00,
          given: [{ id: T1, assignee: { id: u1 }, author: { id: u1 } }], steps: [
            { at: 2026-03-06 10:00, change: { T1: { done: true } },
              expect: [{ notify: "slack:@bo@x.test", contains: Bo Reed }] },
            { at: 2026-03-06 10:01, change: { T2: { done: true, assignee: { name: Ann Lee } } },
              expect: [{ notify: "slack:@ann@x.test" }] }]""",
    )
    assert result.failures == []


async def test_an_employee_who_went_is_not_told(tmp_path: Path) -> None:
    """Nobody is assigned any more when the message is to be sent."""
    result = await tried(
        tmp_path,
        "{ id: later, when: task.created, then: [{ wait: 1h }, { notify: employee }] }",
        test="""name: It, start: 2026-03-06 09:00, steps: [
            { at: 2026-03-06 10:00, change: { T1: { assignee: { id: u1 } },
              T2: { assignee: { id: u1 } } } },
            { at: 2026-03-06 10:30, change: { T2: { assignee: null } } },
            { at: 2026-03-06 11:00, expect: [{ notify: employee }] }]""",
    )
    assert result.failures == []


VISIT = """{ id: r, when: { before: task.start, by: 1 business day, at: "16:00" },
    then: [{ notify: accounting, text: "{{ task.title }}" }] }"""


async def test_the_working_day_before(tmp_path: Path) -> None:
    """On Friday for a Monday's visit, and before the holiday for the day after it."""
    result = await tried(
        tmp_path,
        VISIT,
        test="""name: It, start: 2026-05-20 09:00,
          given: [{ id: T1, title: Roof, start: 2026-05-25 10:00 },
                  { id: T2, title: Gate, start: 2026-05-26 10:00 },
                  { id: T3, title: Wall, start: 2026-05-28 10:00 }], steps: [
            { at: 2026-05-22 15:59, expect: [] },
            { at: 2026-05-22 16:00, expect: [{ notify: accounting, contains: Roof },
                                             { notify: accounting, contains: Gate }] },
            { at: 2026-05-25 23:00, change: { T3: { start: 2026-05-27 10:00 } }, expect: [] },
            { at: 2026-05-26 16:00, expect: [{ notify: accounting, contains: Wall }] }]""",
    )
    assert result.failures == []


async def test_overdue_by_business_days(tmp_path: Path) -> None:
    """Two working days after Thursday are Monday, at the same time."""
    result = await tried(
        tmp_path,
        "{ id: r, when: { task.overdue: 2 business days }, then: [{ notify: accounting }] }",
        test="""name: It, start: 2026-03-04 09:00, given: [{ id: T1, due: 2026-03-05 15:00 }],
          steps: [{ at: 2026-03-09 14:59, expect: [] },
                  { at: 2026-03-09 15:00, expect: [{ notify: accounting }] }]""",
    )
    assert result.failures == []
