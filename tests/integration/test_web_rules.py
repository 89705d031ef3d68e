"""The screen of rules: what each says, whether it is on, and its last message."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.applications import Starlette

from service.clock import VirtualClock
from service.config import Config
from service.diagnostics import Diagnostic
from service.domain.actors import Actor
from service.domain.model import Kind, State
from service.domain.operators.overrides import Mode
from service.doorbell import Doorbell
from service.outbox import rule_switches
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.store.operators import rule_overrides
from service.store.operators.rule_overrides import Switch
from service.web.live_updates import LiveUpdates
from service.web.server import AppSwitch
from tests.harness.history import plan, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import task
from tests.harness.waiting import eventually

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


async def press(web: Site, rule: str, mode: str, reason: str = "", back: str = "/rules") -> str:
    """The screen after one of the buttons was pressed."""
    form = {"mode": mode, "reason": reason, "back": back}
    answer = await web.client.post(f"/rules/{rule}/mode", data=form)
    assert answer.status_code == HTTPStatus.SEE_OTHER, answer.text
    return (await web.client.get(answer.headers["location"])).text


async def test_a_rule_is_switched_by_a_button(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """The screen says at once who switched it, why, and what the file says; and lets it go."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    waiting = await plan(pool, event, State.PLANNED)
    assert "Follow the file again" not in (await web.client.get("/rules")).text
    page = await press(web, "job-done", "off", "too loud")
    assert 'class="state off">off<' in page
    assert "<b>Switched off</b> by <bdi>someone on this machine</bdi>" in page
    assert "<bdi>too loud</bdi>. The file says: on." in page
    reason = await pool.fetchval("SELECT reason FROM deliveries WHERE id = $1", waiting)
    assert reason == ("cancelled: the rule was switched off by someone on this machine (too loud)")
    page = await press(web, "job-done", "trial", back="/rules/job-done")
    assert 'class="state held">on trial<' in page
    assert page.index("<b>Switched to trial</b>") < page.index("<b>Switched off</b>")
    page = await press(web, "job-done", "file")
    assert 'class="state ok">on<' in page
    assert "Switched" not in page
    assert "Reset to the file" in (await web.client.get("/rules/job-done")).text
    told = await pool.fetch("SELECT action, subject, detail FROM changes ORDER BY id DESC LIMIT 1")
    assert [tuple(one) for one in told] == [
        (
            "rule.switched",
            "job-done",
            "set to follow the file again by someone on this machine",
        )
    ]


async def test_enter_in_the_reason_presses_no_button(web: Site) -> None:
    """A browser presses the first button of the form: that is one that does nothing."""
    page = (await web.client.get("/rules")).text
    form = page[page.index('action="/rules/job-done/mode"') :]
    assert form.index("<button disabled hidden>") < form.index('<button name="mode"')


async def test_whoever_comes_too_late_is_told(web: Site) -> None:
    """Somebody else has let the rule follow the file already."""
    assert "Someone already handled this" in await press(web, "job-done", "file")


async def test_reasons_are_text(web: Site) -> None:
    """Markup and marks that turn the writing direction stay what they are."""
    page = await press(web, "job-done", "off", "<script>alert(1)</script>\u202e")
    assert "<script>alert" not in page
    assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;\u202e\u202c</bdi>" in page


@pytest.mark.parametrize(
    ("rule", "form", "status"),
    [
        ("nobody", {"mode": "off"}, HTTPStatus.NOT_FOUND),
        ("nobody", {"mode": "file"}, HTTPStatus.NOT_FOUND),
        ("job-done", {"mode": "loud"}, HTTPStatus.BAD_REQUEST),
        ("job-done", {}, HTTPStatus.BAD_REQUEST),
        ("job-done", {"mode": "off", "reason": "x" * 501}, HTTPStatus.BAD_REQUEST),
        ("job-done", {"mode": "off", "reason": "a\nb"}, HTTPStatus.BAD_REQUEST),
    ],
)
async def test_what_makes_no_sense_switches_nothing(
    web: Site, pool: Pool, rule: str, form: dict[str, str], status: HTTPStatus
) -> None:
    """A rule that there is not, a mode that there is not, a reason that is none."""
    answer = await web.client.post(f"/rules/{rule}/mode", data=form)
    assert answer.status_code == status
    assert await rule_overrides.read(pool) == {}


async def test_an_override_of_no_rule_is_shown_and_can_be_dropped(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The rule is no longer in the configuration; what was done with it still is on record."""
    done = Switch(Mode.OFF, Actor("Ann"), clock.now(), "moved")
    await rule_switches.switch(pool, "old-rule", Mode.ON, done)
    page = (await web.client.get("/rules")).text
    assert "has no effect" in page
    assert "The configuration has no rule with this id any more" in page
    assert "old-rule" not in await press(web, "old-rule", "file")


async def test_a_stranger_cannot_switch(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Without a session the button leads to the login, and nothing is switched."""
    config = configured(tmp_path)
    async with serving(config, pool, clock, valkey.url, token="s3cret-of-the-page") as running:
        form = {"mode": "off"}
        answer = await running.client.post("/rules/job-done/mode", data=form, headers=PAGE)
        assert answer.headers["location"].startswith("/login")
    assert await rule_overrides.read(pool) == {}


async def test_a_web_process_notices_a_switch_by_itself(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Whatever its screens work out, such as what comes next, goes by the rules in force."""
    bell = Doorbell(valkey.url)
    built: list[Sequence[str]] = []

    def made(*, config: Config, faults: Sequence[Diagnostic] = ()) -> Starlette:
        assert not faults
        built.append(sorted(config.rules.ids))
        return Starlette()

    front = AppSwitch(made, configured(tmp_path, MORE), LiveUpdates(bell), {})
    following = asyncio.create_task(front.follow_overrides(pool))
    done = Switch(Mode.OFF, Actor("Ann"), clock.now())
    await rule_switches.switch(pool, "job-done", Mode.ON, done)
    await eventually(lambda: built[-1] == ["tried"])
    await rule_switches.switch(
        pool, "resting", Mode.OFF, Switch(Mode.ON, Actor("Ann"), clock.now())
    )
    await eventually(lambda: built[-1] == ["resting", "tried"])
    following.cancel()
    await bell.close()
    assert built[0] == ["job-done", "tried"]


async def test_a_rule_is_a_sentence(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """In the list and on its own page; what stands in it is text, and code is marked as code."""
    more = """
- id: hostile
  when: task.created
  if: size(task.tags) > 2
  then: [{ notify: accounting, text: "<img src=x onerror=alert(1)>\\u202e" }]
"""
    async with serving(configured(tmp_path, more), pool, clock, valkey.url) as running:
        pages = [(await running.client.get(f"/rules{one}")).text for one in ("", "/hostile")]
    for page in pages:
        assert "<bdi>When a task is created, and <code>size(task.tags) &gt; 2</code>, send" in page
        assert "“&lt;img src=x onerror=alert(1)&gt;\u202e”" in page
    assert "When a task is completed, send the event to accounting." in pages[0]
