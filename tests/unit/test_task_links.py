"""The addresses of tasks in their systems: patterns, faults in them, and what rules may expect."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.config import check
from service.diagnostics import Diagnostic
from service.domain.model import Project, Task
from service.sources import systems
from service.sources.task_links import is_open, link
from tests.harness.rule_files import ENVIRON

TASK = Task("7/8", "field", "kickserv", project=Project("a b"), fields={"job_number": 1701})
ACCOUNT = {"name": "a", "base_url": "https://x.test/", "token": "t", "account_uuid": "u"}
SYSTEMS = sorted(systems())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("https://x.test/jobs/{id}", "https://x.test/jobs/7%2F8"),
        ("https://x.test/{project.id}?task={id}#top", "https://x.test/a%20b?task=7%2F8#top"),
        ("https://x.test/jobs/{fields.job_number}", "https://x.test/jobs/1701"),
        ("https://x.test/{customer.id}/{id}", None),
        ("https://x.test/{fields.case}", None),
    ],
)
def test_a_pattern_gives_an_address(pattern: str, expected: str | None) -> None:
    """Values are quoted; a task that lacks one of them has no address."""
    assert link(pattern, TASK) == expected


def test_what_is_untold_leaves_the_address_open() -> None:
    """If a webhook leaves out the job, the known address stays."""
    assert is_open("https://x.test/{project.id}", {"project"})
    assert is_open("https://x.test/{fields.job_number}", {"fields.job_number"})
    assert not is_open("https://x.test/{id}", {"project", "fields"})


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("javascript:alert({id})", "must be an address that begins with https:// or http://"),
        ("//x.test/{id}", "must be an address that begins with https:// or http://"),
        ("https://x.test/\u202e{id}", "must be an address that begins with https:// or http://"),
        ("https://me:pw@x.test/{id}", "without user, password and spaces"),
        ("https://x.test/a b/{id}", "without user, password and spaces"),
        ("https://{id}.x.test/", "must have its {…} after the host"),
        ("https://x.test/{nummer}", "{nummer} cannot be used here"),
        ("https://x.test/jobs", "must name the task, by {id} or {customer.id}"),
        ("https://x.test/{id", "must name the task, by {id} or {customer.id}"),
    ],
)
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_no_pattern_is_refused(system: str, pattern: str, said: str) -> None:
    """Only a web address whose placeholders the system can fill."""
    options = systems()[system].options
    given = {**ACCOUNT, "slug": "acme", "system": system, "url": pattern}
    known = {name: one for name, one in given.items() if name in options.model_fields}
    with pytest.raises(ValidationError) as caught:
        options.model_validate(known)
    assert said in str(caught.value)


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_a_pattern_can_name_the_system_fills(system: str) -> None:
    """No placeholder is offered that is always empty."""
    fills = systems()[system].facts.fills | {"id"}
    for name in systems()[system].options.link_fields:
        assert name in fills or name.partition(".")[0] == "fields" in fills


RULE = """
version: 1
accounts:
  sales: { system: rolodex, base_url: "https://x.test", token: t%s }
channels:
  slack: { kind: slack, token: "${SLACK_TOKEN}" }
rules:
- { id: r, when: task.completed, then: [{ notify: "slack:#o", text: "{{ task.url }}" }] }
"""


def checked(folder: Path, options: str) -> list[Diagnostic]:
    """What is said of the rule with an account that has these options as well."""
    path = folder / "taskbell.yaml"
    path.write_text(RULE % options)
    return check(path, ENVIRON)


def test_check_knows_whether_an_account_has_links(tmp_path: Path) -> None:
    """Without a pattern a text with the address shows nothing, and the remedy is named."""
    [warning] = checked(tmp_path, "")
    assert "this shows nothing: task.url is always empty in sales (rolodex)" in warning.message
    assert warning.hint == "add url: with the address of a task's page to the account"
    assert checked(tmp_path, ', url: "https://x.test/{id}"') == []


def test_a_fault_is_shown_at_its_line(tmp_path: Path) -> None:
    """With what could be meant."""
    found = checked(tmp_path, ', url: "https://x.test/{ids}"')[0]
    assert (found.line, found.message) == (4, "{ids} cannot be used here")
    assert found.hint == "did you mean id?"
