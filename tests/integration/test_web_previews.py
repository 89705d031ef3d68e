"""What a rule would send about a task: on a screen that is one click from the task."""

from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.domain.model import Kind
from service.domain.operators.overrides import Mode
from service.outbox import rule_switches
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from service.store.operators.rule_overrides import Switch
from tests.harness.full_office import HOSTILE
from tests.harness.history import know, know_of_none, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import SMITH, task

MORE = """
- id: bill
  when: task.completed
  if: task.type == "job"
  accounts: [field]
  then:
  - { notify: accounting, text: "Bill {{ task.customer.name }} for {{ task.title }}" }
  - wait: 2h
  - create_task: { title: "Call {{ task.customer.name }}" }
- id: quiet
  when: task.created
  enabled: false
  then: [{ notify: accounting, text: "{{ task.title }} is new" }]
"""


@pytest.fixture
async def web(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(configured(tmp_path, MORE), pool, clock, valkey.url) as running:
        yield running


def address(rule: str, name: str = "T1", account: str = "field") -> str:
    return f"/previews?{urlencode({'account': account, 'task': name, 'rule': rule})}"


async def preview(web: Site, rule: str, name: str = "T1", account: str = "field") -> str:
    answer = await web.client.get(address(rule, name, account))
    assert answer.status_code == HTTPStatus.OK, answer.text
    return " ".join(answer.text.split())


async def test_it_shows_what_would_be_sent(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """To whom, when in the zone of the account, and the text; the task leads there."""
    job = task("T1", "field", title="Mow", type="job", customer=SMITH)
    await know(pool, job, at=clock.now())
    await record(pool, job, Kind.CREATED, at=clock.now() - timedelta(days=1))
    from_the_task = (await web.client.get("/tasks/field/T1")).text
    assert f'href="{address("bill").replace("&", "&amp;")}"' in from_the_task
    page = await preview(web, "bill")
    assert '<a href="/tasks/field/T1">Mow</a></bdi> is done, Fri 6 Mar, 07:00 (New York)' in page
    assert "<bdi>Bill Smith for Mow</bdi>" in page
    assert "Fri 6 Mar, 07:00 (New York), at once" in page
    assert "Fri 6 Mar, 09:00 (New York), in 2 hours" in page
    assert "title: <bdi>Call Smith</bdi>" in page
    assert "would not act" not in page
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 0


async def test_a_rule_that_would_not_act_says_why(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """By its condition, or as the task is of another account; its message is shown all the same."""
    await know(pool, task("T1", "field", type="call"), at=clock.now())
    page = await preview(web, "bill")
    assert "would not act on this task: <bdi>task.type == &#34;job&#34; is not true</bdi>" in page
    assert "Bill for Smith gutters" in page
    await know(pool, task("T2", "london", type="job"), at=clock.now())
    assert "the rule is only for field" in await preview(web, "bill", "T2", "london")


async def test_a_rule_that_is_off_or_on_trial_says_so(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """By the file, or because a person switched it; the task names the rules that are off."""
    await know(pool, task("T1", "field"), at=clock.now())
    from_the_task = (await web.client.get("/tasks/field/T1")).text
    assert f'<a href="{address("quiet").replace("&", "&amp;")}">quiet</a>' in from_the_task
    page = await preview(web, "quiet")
    assert "is off: at the moment it sends nothing" in page
    assert "Smith gutters is new" in page
    switch = Switch(Mode.TRIAL, Actor("anna"), clock.now())
    await rule_switches.switch(pool, "bill", Mode.ON, switch)
    assert "is on trial: at the moment it sends nothing" in await preview(web, "bill")


async def test_hostile_texts_stay_texts(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Of the task and of its customer, in what would be sent."""
    about = task("<b>&/1", "field", title=HOSTILE, type="job")
    await know(pool, about, at=clock.now())
    page = await preview(web, "bill", "<b>&/1")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("rule", "name"), [("nobody", "T1"), ("bill", "T9"), ("bill", "T8"), ("bill", "\0"), ("", "")]
)
async def test_what_is_not_there_is_said(
    web: Site, pool: Pool, clock: VirtualClock, rule: str, name: str
) -> None:
    """No such rule, a task that was never seen, and one that the system does not know."""
    await know(pool, task("T1", "field"), at=clock.now())
    await know_of_none(pool, ("field", "T8"), clock.now())
    answer = await web.client.get(address(rule, name), headers={"accept": "text/html"})
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "There is no such task, or no such rule" in answer.text


async def test_it_says_what_holds_back_messages_to_customers(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """The customers' hours, apart from the rule's own; and that a customer wants no messages."""
    rule = """
- id: hello
  when: task.created
  accounts: [field]
  then: [{ notify: "accounting:{{ task.customer.email }}" }, { notify: accounting }]
contacts: { hours: "Mo-Su 09:00-20:00" }
"""
    async with serving(configured(tmp_path, rule), pool, clock, valkey.url) as web:
        await know(pool, task("T1", "field", customer=SMITH), at=clock.now())
        page = await preview(web, "hello")
        waits = "outside contact hours: waiting until Fri 6 Mar 2026, 09:00"
        assert page.count(f"Held back by the rules for customers: {waits}") == 1
        await contact_choices.choose(
            pool,
            keys_in("smith@x.test"),
            wants=False,
            by=Actor("Ann"),
            through=Through.PAGE,
            now=clock.now(),
        )
        assert "for customers: the customer has opted out" in await preview(web, "hello")
