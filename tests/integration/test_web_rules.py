"""The screen of rules: what each says, whether it is on, and its last message."""

from http import HTTPStatus
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.model import Kind, State
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.history import plan, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import task

PAGE = {"accept": "text/html"}
MORE = """
- id: tried
  when: task.created
  enabled: shadow
  then: [{ notify: accounting, text: "<script>alert(1)</script>" }]
- id: resting
  when: task.overdue
  enabled: false
  then: [{ notify: accounting }]
"""


async def test_a_rule_shows_what_it_says_and_its_last_message(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Its YAML stands there, and a link to the message that it planned last."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.SENT)
    page = (await web.client.get("/rules")).text
    assert "when: task.completed" in page
    assert f'href="/messages/{number}"' in page
    assert 'href="/rules/job-done"' in page
    assert "when: task.completed" in (await web.client.get("/rules/job-done")).text


async def test_a_rule_that_did_nothing_says_so(web: Site) -> None:
    """No date and no link are made up."""
    assert "It has not planned a message yet" in (await web.client.get("/rules/job-done")).text


async def test_rules_on_trial_and_off_are_marked_and_texts_are_text(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Whatever stands in a rule is shown, and does nothing."""
    async with serving(configured(tmp_path, MORE), pool, clock, valkey.url) as running:
        page = (await running.client.get("/rules")).text
    assert "on trial" in page
    assert ">off<" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("name", ["none", "a/b", "%00", "x" * 3000])
async def test_a_rule_that_is_not_there_is_a_page_that_says_so(web: Site, name: str) -> None:
    """A person who follows an old link reads why it leads nowhere."""
    answer = await web.client.get(f"/rules/{name}", headers=PAGE)
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "has no rule with this id" in answer.text
