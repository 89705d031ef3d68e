"""`defaults`: what every rule has that does not say otherwise."""

import json
from pathlib import Path

import orjson

from service.config import load, sketch
from service.config.json_schema import schema
from tests.harness.rule_files import ENVIRON, HEAD, configured, tried

USUAL = '{ id: usual, when: task.completed, then: [{ notify: "slack:#office", text: done }] }'
ALWAYS = """{ id: always, when: task.completed, hours: none,
    then: [{ notify: "slack:#alarm", text: done, on_fail: none }] }"""
OWN = """{ id: own, when: task.completed, hours: { use: texting, outside: skip }, expires: none,
    then: [{ notify: "slack:#own", text: done, on_fail: [{ notify: accounting }] }] }"""


async def test_hours_for_all_rules(tmp_path: Path) -> None:
    """At night one rule waits for the office; one has no hours; one has its own and skips."""
    result = await tried(
        tmp_path,
        *(USUAL, ALWAYS, OWN),
        top="defaults: { hours: office }",
        test="""name: It, start: 2026-03-06 21:00, given: [{ id: T1 }], steps: [
            { at: 2026-03-06 21:30, change: { T1: { done: true } },
              expect: [{ held: "slack:#office" }, { notify: "slack:#alarm" },
                       { skipped: "slack:#own" }] },
            { at: 2026-03-09 08:00, expect: [{ notify: "slack:#office" }] }]""",
    )
    assert result.failures == []


async def test_on_fail_for_all_messages(tmp_path: Path) -> None:
    """A message that fails is replaced, unless its step has its own `on_fail`, or none."""
    result = await tried(
        tmp_path,
        *(USUAL, ALWAYS, OWN),
        top='defaults: { on_fail: [{ notify: "email:b@x.test", text: "{{ failure }}" }] }',
        test="""name: It, start: 2026-03-06 09:00, given: [{ id: T1 }], steps: [
            { at: 2026-03-06 09:30, change: { T1: { done: true } }, fails: slack,
              expect: [{ notify: "email:b@x.test", contains: "slack fails" },
                       { notify: accounting }] }]""",
    )
    assert result.failures == []


async def test_on_fail_for_the_messages_of_an_escalation(tmp_path: Path) -> None:
    """Nobody can be told: the message that replaces it goes out, unless the step has none."""
    urgent = """{ id: urgent, when: task.created, then: [{ notify: accounting }], escalate: [
        { notify: "slack:#office", after: 15m, text: one },
        { notify: "slack:#alarm", after: 15m, text: two, on_fail: none }] }"""
    result = await tried(
        tmp_path,
        urgent,
        top='defaults: { on_fail: [{ notify: "email:b@x.test", text: "{{ failure }}" }] }',
        test="""name: It, start: 2026-03-06 09:00, steps: [
            { at: 2026-03-06 09:30, change: { T1: { title: Leak } },
              expect: [{ notify: accounting }] },
            { at: 2026-03-06 10:30, fails: slack,
              expect: [{ notify: "email:b@x.test", contains: "slack fails" }] }]""",
    )
    assert result.failures == []


async def test_expires_for_all_rules(tmp_path: Path) -> None:
    """Over the weekend a message expires; that of a rule with its own hours and none does not."""
    own = OWN.replace("outside: skip", "outside: hold")
    result = await tried(
        tmp_path,
        *(USUAL, own),
        top="defaults: { hours: office, expires: 2h }",
        test="""name: It, start: 2026-03-06 21:00, given: [{ id: T1 }], steps: [
            { at: 2026-03-06 21:30, change: { T1: { done: true } },
              expect: [{ skipped: "slack:#office" }, { held: "slack:#own" }] },
            { at: 2026-03-07 08:00, expect: [{ notify: "slack:#own" }] }]""",
    )
    assert result.failures == []


def test_defaults_are_part_of_each_rule_as_it_is_stored(tmp_path: Path) -> None:
    """`plan`, `explain` and the page show a rule with its defaults, and without the word none."""
    file = tmp_path / "taskbell.yaml"
    file.write_text(
        f"{HEAD}defaults: {{ hours: office, expires: 1h }}\nrules:\n- {USUAL}\n- {ALWAYS}\n",
        encoding="utf-8",
    )
    usual, always = orjson.loads(load(file, ENVIRON).text)["rules"]
    assert (usual["hours"], usual["expires"]) == ("office", "1h")
    assert always.keys() == {"id", "when", "then", "expires"}
    assert "on_fail" not in always["then"][0]
    assert sketch(file, {}).rules.version == load(file, ENVIRON).rules.version


def test_a_rule_may_say_none_without_defaults(tmp_path: Path) -> None:
    """Then it says what is so anyway, and its version is that of a rule that says nothing."""
    plain = configured(tmp_path, f"- {USUAL}\n")
    said = configured(tmp_path, f"- {USUAL[:-2]}, hours: none, expires: none }}\n")
    assert said.rules.version == plain.rules.version


def test_editors_offer_defaults() -> None:
    """The JSON Schema has the keys of `defaults`, and `none` for them in a rule."""
    found = schema()
    shape = found["properties"]["defaults"]["$ref"].rpartition("/")[2]
    assert found["$defs"][shape]["properties"].keys() == {"hours", "expires", "on_fail"}
    rule, step = found["$defs"]["RuleShape"], found["$defs"]["NotifyShape"]
    for part in (rule["properties"]["expires"], step["properties"]["on_fail"]):
        assert {"const": "none"} in part["anyOf"], json.dumps(part)


CHOSEN = """{ id: chosen, when: task.completed,
    hours: [{ if: '"vip" in task.tags', use: texting }, { if: task.title == "x", use: office,
    outside: ignore }, office], then: [{ notify: "slack:#o", text: "{{ task.id }}" }] }"""


async def test_hours_are_chosen_by_the_task(tmp_path: Path) -> None:
    """On Saturday the first hours with a true condition count; otherwise those without one."""
    result = await tried(
        tmp_path,
        CHOSEN,
        test="""name: It, start: 2026-03-07 07:00,
            given: [{ id: A, tags: [vip] }, { id: B, title: x }, { id: C, tags: [other] }],
            steps: [
            { at: 2026-03-07 07:30,
              change: { A: { done: true }, B: { done: true }, C: { done: true } },
              expect: [{ notify: "slack:#o", contains: B }, { held: "slack:#o" },
                       { held: "slack:#o" }] },
            { at: 2026-03-07 08:00, expect: [{ notify: "slack:#o", contains: A }] },
            { at: 2026-03-09 08:00, expect: [{ notify: "slack:#o", contains: C }] }]""",
    )
    assert result.failures == []


async def test_hours_with_only_a_condition(tmp_path: Path) -> None:
    """A task for which it is not true has no hours at all."""
    result = await tried(
        tmp_path,
        CHOSEN[: CHOSEN.index("[{ if")]
        + '{ if: has(task.due), use: office }, then: [{ notify: "slack:#o", text: x }] }',
        test="""name: It, start: 2026-03-07 07:00,
            given: [{ id: A, due: 2026-03-09 }, { id: B }], steps: [
            { at: 2026-03-07 07:30, change: { A: { done: true }, B: { done: true } },
              expect: [{ held: "slack:#o" }, { notify: "slack:#o" }] }]""",
    )
    assert result.failures == []
