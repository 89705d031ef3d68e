"""`taskbell test`: what a person sees of their rule tests, and what a build server gets."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.harness.commands import taskbell

CONFIG = """\
version: 1
timezone: America/New_York
accounts:
  field: { system: kickserv, base_url: "https://k.test", slug: a, token: "${API_TOKEN}" }
channels:
  slack: { kind: slack, token: "${SLACK_TOKEN}" }
rules:
- id: done
  when: task.completed
  then: [{ notify: "slack:#office", text: "{{ task.title }} is done" }]
"""
TESTS = """\
tests:
- name: The office hears of it
  start: 2026-03-06 10:00
  given: [{ id: T1, title: Gutters }]
  steps:
  - at: 2026-03-06 11:00
    change: { T1: { done: true } }
    expect: [{ notify: "slack:#office", contains: Gutters is done }]
- name: "Nobody is told in the night \\u0007"
  start: 2026-03-06 22:00
  given: [{ id: T1, title: <Roof> }]
  steps:
  - at: 2026-03-06 23:00
    change: { T1: { done: true } }
    expect: []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "taskbell.yaml"
    path.write_text(CONFIG + TESTS, encoding="utf-8")
    return path


async def test_every_test_is_run_and_told(file: Path) -> None:
    """Without any secret: a line for each, and all about the one that failed; exit code 1."""
    result = await taskbell(file.parent, "test", COLUMNS="40")
    assert (result.code, result.err) == (1, "")
    assert result.out == (
        "✓ The office hears of it\n"
        "✗ Nobody is told in the night \\u0007 (taskbell.yaml:19)\n"
        "  Fri 6 Mar 2026, 23:00 (taskbell.yaml:23)\n"
        '    unexpected    notify slack:#office "<Roof> is done"\n'
        "                  by done: T1 completed, Fri 6 Mar 2026, 23:00\n"
        "    because       T1 completed, Fri 6 Mar 2026, 23:00\n"
        "                  done matched: task.completed\n"
        "1 passed, 1 failed\n"
    )


async def test_only_some_are_run(file: Path) -> None:
    """Those with a text in their name; none at all is no success."""
    some = await taskbell(file.parent, "test", "--only", "office")
    none = await taskbell(file.parent, "test", "--only", "dispatch")
    assert (some.code, some.out) == (0, "✓ The office hears of it\n1 passed\n")
    assert (none.code, none.out) == (1, 'no test in taskbell.yaml has "dispatch" in its name\n')


async def test_a_build_server_gets_junit(file: Path) -> None:
    """XML that a parser reads, whatever stands in names and texts."""
    results = file.with_name("results.xml")
    result = await taskbell(file.parent, "test", "--junit", str(results))
    suite = ET.parse(results).getroot()  # noqa: S314 (it is our own)
    assert result.code == 1
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
    passed, failed = suite.iter("testcase")
    assert (passed.get("name"), passed.get("classname")) == (
        "The office hears of it",
        "taskbell.yaml",
    )
    assert list(passed) == []
    assert '"<Roof> is done"' in (failed.findtext("failure") or "")


async def test_a_script_gets_json(file: Path) -> None:
    """The same, value by value."""
    result = await taskbell(file.parent, "test", "--json", str(file))
    passed, failed = result.json
    (failure,) = failed["failures"]
    assert (result.code, passed["passed"], failed["passed"]) == (1, True, False)
    assert failed["place"] == f"{file}:19"
    assert failure["at"] == "2026-03-06T23:00:00-05:00"
    assert failure["unexpected"] == [
        {
            "what": 'notify slack:#office "<Roof> is done"',
            "rule": "done",
            "event": "T1 completed, Fri 6 Mar 2026, 23:00",
            "reason": None,
        }
    ]


async def test_a_faulty_configuration_is_not_tested(file: Path) -> None:
    """Every fault of rules and tests is shown with its place; exit code 1."""
    text = (CONFIG + TESTS).replace("task.completed", "task.complete").replace("start:", "begin:")
    file.write_text(text, encoding="utf-8")
    result = await taskbell(file.parent, "test")
    assert (result.code, result.out) == (1, "")
    assert "taskbell.yaml:9:9: there is no event task.complete\n" in result.err
    assert "taskbell.yaml:13:3: unknown key: begin\n" in result.err
    assert "API_TOKEN" not in result.err


async def test_no_tests_are_no_success(file: Path) -> None:
    """A configuration without tests says so; exit code 1."""
    file.write_text(CONFIG, encoding="utf-8")
    result = await taskbell(file.parent, "test")
    said = "there are no tests in taskbell.yaml; how to write them: docs/rules.md\n"
    assert (result.code, result.out) == (1, said)


async def test_wrong_use(file: Path) -> None:
    """A file that is not there is wrong use; one that cannot be written is told plainly."""
    nowhere = await taskbell(file.parent, "test", "nowhere.yaml")
    unwritten = await taskbell(file.parent, "test", "--junit", "nowhere/results.xml")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert unwritten.code == 1
    assert unwritten.err == "nowhere/results.xml cannot be written: No such file or directory\n"


async def test_a_time_zone_from_the_environment(file: Path) -> None:
    """Which hour it is depends on it: it is taken if it is set, and asked for if it is not."""
    text = f"""{CONFIG}
- id: morning
  when: {{ schedule: "0 8 * * *" }}
  then: [{{ notify: "slack:#office", text: Good morning }}]
tests:
- name: Eight in Berlin is two in New York
  rules: [morning]
  start: 2026-03-06 01:59
  steps: [{{ at: 2026-03-06 02:00, expect: [{{ notify: slack:#office }}] }}]
"""
    file.write_text(text.replace("slug: a", "slug: a, timezone: '${ZONE}'"), encoding="utf-8")
    there = await taskbell(file.parent, "test", ZONE="Europe/Berlin")
    assert (there.code, there.err) == (0, "")
    missing = await taskbell(file.parent, "test")
    assert (missing.code, missing.out) == (1, "")
    assert "taskbell.yaml:4:78: ZONE is not set in the environment" in missing.err
    assert "API_TOKEN" not in missing.err.replace("${API_TOKEN}", "")
    wrong = await taskbell(file.parent, "test", ZONE="Europe/Berlim")
    assert wrong.code == 1
    assert "there is no time zone" in wrong.err


async def test_a_file_may_hold_only_tests(tmp_path: Path) -> None:
    """Several may: all else is the configuration's, whose own tests are not run."""
    (tmp_path / "taskbell.yaml").write_text(CONFIG + TESTS, encoding="utf-8")
    alone = TESTS.split('- name: "Nobody', maxsplit=1)[0]
    (tmp_path / "one.yaml").write_text(alone, encoding="utf-8")
    (tmp_path / "two.yaml").write_text(f"version: 1\n{alone}", encoding="utf-8")
    result = await taskbell(tmp_path, "test", "one.yaml", "two.yaml")
    assert (result.code, result.err) == (0, "")
    assert result.out == "✓ The office hears of it\n" * 2 + "2 passed\n"
    checked = await taskbell(tmp_path, "check", "one.yaml", API_TOKEN="a", SLACK_TOKEN="s")
    assert (checked.code, checked.out) == (0, "one.yaml: no errors\n")


async def test_a_fault_in_a_file_of_tests_has_its_place(tmp_path: Path) -> None:
    """What is wrong is told of the file in which it stands."""
    (tmp_path / "taskbell.yaml").write_text(CONFIG, encoding="utf-8")
    wrong = TESTS.replace("start: 2026-03-06 10:00", "rules: [doen]\n  start: 2026-03-06 10:00")
    (tmp_path / "one.yaml").write_text(wrong, encoding="utf-8")
    result = await taskbell(tmp_path, "test", "one.yaml")
    assert result.code == 1
    assert "one.yaml:3:11: there is no rule doen" in result.err + result.out


async def test_tests_alone_without_a_configuration(tmp_path: Path) -> None:
    """It says which configuration was looked for."""
    (tmp_path / "one.yaml").write_text(TESTS, encoding="utf-8")
    result = await taskbell(tmp_path, "test", "one.yaml")
    assert result.code == 1
    assert "taskbell.yaml:1:1: there is no such file" in result.err + result.out
