"""Trying a rule on the last 30 days: what it shows, who may begin, and that it holds nobody up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from threading import Event as Gate
from typing import Any

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.config import Config
from service.domain.model import Kind
from service.maintenance.prune import prune
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.simulator import Simulator, rule_backtest
from service.simulator.backtest import backtest
from service.simulator.batches import batches
from service.simulator.memory.deliveries import Delivery
from service.simulator.rule_backtest import Tried, try_rule
from service.store import Pool, history
from service.web.presenters import rule_backtests
from tests.harness.full_office import HOSTILE
from tests.harness.history import know, record
from tests.harness.people import sign_in, users
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import task
from tests.harness.waiting import eventually

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MORE = """
- id: late
  when: { task.overdue: 2h }
  enabled: false
  then:
  - { notify: accounting, text: "{{ task.title }} is late" }
  - wait: 1h
  - { notify: accounting, text: "{{ task.title }} is very late" }
- id: new-in-field
  when: task.created
  accounts: [field]
  then: [{ notify: accounting, text: "{{ task.title }} is new" }]
"""
PATH = "/backtests/late"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path, MORE)


@pytest.fixture
async def web(
    config: Config, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A site with a rule that is switched off."""
    async with serving(config, pool, clock, valkey.url) as running:
        yield running


async def late(
    pool: Pool, clock: VirtualClock, name: str, days_ago: int, title: str, account: str = "london"
) -> None:
    """A task that was new some days ago, due two hours later, and is still open."""
    at = clock.now() - days_ago * DAY
    one = task(name, account, title=title, due=at + 2 * HOUR)
    await know(pool, one, at=at)
    await record(pool, one, Kind.CREATED, at=at)


async def tried(web: Site, path: str = PATH) -> str:
    """The screen when it has ended."""
    answer = await web.client.post(path)
    assert answer.headers["location"] == path, answer.text
    page = ""
    async with asyncio.timeout(20):
        while not page or "<progress" in page:
            page = (await web.client.get(path)).text
            await asyncio.sleep(0.02)
    return page


async def test_it_shows_what_would_have_been_sent(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """How often, on which days, to whom and about what, also by a rule that is off."""
    assert "Nobody has tried this rule" in (await web.client.get(PATH)).text
    await late(pool, clock, "T1", 9, HOSTILE)
    await late(pool, clock, "T2", 5, "Mow")
    await late(pool, clock, "T3", 40, "Long ago")
    page = await tried(web)
    assert "It would have acted 2 times and sent 4 messages." in page
    assert 'aria-label="4 messages sent in 30 days"' in page
    assert page.count('<rect class="sent"') == 2
    assert '<a href="/tasks/london/T2">Mow</a>' in page
    assert "<bdi>Mow is very late</bdi>" in page
    assert "<b>accounting</b>" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert page.index("&lt;script&gt;alert(1)") < page.index("Mow is late")
    assert "Times: Europe/London" in page
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 0
    assert await pool.fetchval("SELECT count(*) FROM decisions") == 0


async def test_a_rule_that_would_not_have_acted_says_so(web: Site) -> None:
    """No days and no messages are made up."""
    page = await tried(web)
    assert "It would have acted 0 times and sent 0 messages." in page
    assert "<svg" not in page


async def test_a_rule_for_one_account(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """What happened in other accounts is left out; times are those of the account, and say so."""
    await late(pool, clock, "T1", 2, "Mow")
    await late(pool, clock, "T2", 1, "Paint", "field")
    page = await tried(web, "/backtests/new-in-field")
    assert "It would have acted 1 time and sent 1 message." in page
    assert "Paint is new" in page
    assert "Thu 5 Mar, 07:00 (New York)" in page


async def test_only_the_first_messages_are_shown(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The number says how many there are."""
    for number in range(30):
        await late(pool, clock, f"T{number}", 5, f"Mow {number}")
    page = await tried(web)
    assert "sent 60 messages" in page
    assert "the first 50 of 60" in page
    assert page.count('<li class="card">') == 50


async def test_it_is_the_backtest_of_the_command_line(
    config: Config, pool: Pool, clock: VirtualClock
) -> None:
    """The stops for its progress change nothing: the same messages at the same times."""
    for days_ago in range(1, 8):
        await late(pool, clock, f"T{days_ago}", days_ago, f"Mow {days_ago}")
    now = clock.now()
    since, shares = now - 30 * DAY, list[datetime]()
    found = await try_rule(config.of_rules, "late", pool, since, now, shares.append)
    rules = config.of_rules.on_trial.only(["late"])
    simulator = Simulator(rules, config.zones, ways(config.kinds), since)
    async with pool.acquire() as connection, connection.transaction():
        known = history.tasks_at(connection, since)
        recorded = batches(history.events(connection, since, now))
        wanted = await backtest(simulator, known, recorded, now, lambda _: None)
    assert _told(found.deliveries) == _told(wanted)
    assert len(wanted) == 14
    assert shares == sorted(shares)
    assert len(shares) >= 30 * 24


def _told(deliveries: Any) -> list[tuple[str, datetime | None, str]]:
    return [(str(one.state), one.settled_at, one.text) for one in _sorted(deliveries)]


def _sorted(deliveries: Any) -> list[Delivery]:
    return sorted(deliveries, key=lambda one: (one.created_at, one.text))


async def test_it_holds_nobody_up_and_shows_how_far_it_is(
    web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without JavaScript the page reloads itself; another rule has to wait for its turn."""
    gate = Gate()

    async def slowly(*parts: Any) -> Tried:
        *_, since, until, tick = parts
        tick(since + (until - since) / 2)
        assert await asyncio.to_thread(gate.wait, 10)
        return Tried(since, until, 0, ())

    monkeypatch.setattr(rule_backtests, "try_rule", slowly)
    try:
        assert (await web.client.post(PATH)).status_code == HTTPStatus.SEE_OTHER
        page = ""
        async with asyncio.timeout(10):
            while "50 %" not in page:
                page = (await web.client.get(PATH)).text
        assert '<progress value="50" max="100" aria-label="How much is done">' in page
        assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
        await web.client.post("/backtests/job-done")
        other = (await web.client.get("/backtests/job-done")).text
        assert "Taskbell is trying the rule late at the moment" in other
        assert "Nobody has tried this rule" in other
    finally:
        gate.set()

    async def has_ended() -> bool:
        return "0 messages" in (await web.client.get(PATH)).text

    await eventually(has_ended)


async def test_every_web_process_shows_it(
    web: Site,
    config: Config,
    pool: Pool,
    clock: VirtualClock,
    valkey: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How far it is, and what came of it; none begins it a second time meanwhile."""
    gate, times = Gate(), list[Any]()

    async def slowly(*parts: Any) -> Tried:
        *_, since, until, tick = parts
        times.append(since)
        tick(since + (until - since) / 2)
        assert await asyncio.to_thread(gate.wait, 10)
        return Tried(since, until, 7, ())

    monkeypatch.setattr(rule_backtests, "try_rule", slowly)
    async with serving(config, pool, clock, valkey.url) as other:

        async def says(words: str) -> None:
            async def seen() -> bool:
                return words in (await other.client.get(PATH)).text

            await eventually(seen)

        try:
            await web.client.post(PATH)
            await says("50 %")
            rule_backtests.RuleBacktests.running = None  # as in another process
            assert (await other.client.post(PATH)).status_code == HTTPStatus.SEE_OTHER
        finally:
            gate.set()
        await says("It would have acted 7 times")
    assert len(times) == 1


async def test_one_whose_process_is_gone_can_be_begun_again(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The screen does not wait for it for ever."""
    await tried(web)
    await pool.execute("UPDATE rule_tries SET result = NULL, share = 40")
    assert "40 %" in (await web.client.get(PATH)).text
    clock.advance(timedelta(seconds=20))
    assert "It was interrupted. Try it again." in (await web.client.get(PATH)).text
    assert "It would have acted 0 times" in await tried(web)


async def test_an_old_result_is_deleted(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """After the time for which messages are kept: it has their texts."""
    settings = read_settings({})
    await tried(web)
    for age, left in ((timedelta(0), 1), (settings.taskbell_keep_deliveries + DAY, 0)):
        await prune(pool, settings, clock.now() + age)
        assert await pool.fetchval("SELECT count(*) FROM rule_tries") == left


async def test_it_is_of_the_rules_as_they_are(
    web: Site, tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """What other rules would have done is not shown for these."""
    await tried(web)
    changed = configured(tmp_path, MORE.replace("2h", "3h"))
    async with serving(changed, pool, clock, valkey.url) as running:
        assert "Nobody has tried this rule" in (await running.client.get(PATH)).text


async def test_it_ends_when_its_time_is_over(
    web: Site, pool: Pool, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The screen says how far it came, and what to do for all of it."""
    monkeypatch.setattr(rule_backtests, "LIMIT", 0.0)
    await late(pool, clock, "T1", 5, "Mow")
    page = await tried(web)
    assert "There was too much to calculate" in page
    assert "<code>taskbell backtest late</code>" in page
    assert "sent 0 messages" in page


async def test_too_many_tasks_are_not_read(
    web: Site, pool: Pool, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web process does not hold them all in memory."""
    monkeypatch.setattr(rule_backtest, "MOST_TASKS", 1)
    for name in ("T1", "T2"):
        await know(pool, task(name), at=clock.now() - 40 * DAY)
    assert "too much for this page" in await tried(web)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_rule_that_is_not_there_cannot_be_tried(web: Site, method: str) -> None:
    """The page says so."""
    answer = await web.client.request(method, "/backtests/nobody", headers={"accept": "text/html"})
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "has no rule with this id" in answer.text


async def test_who_may_only_look_cannot_begin(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """A viewer sees the result, and no button."""
    config = configured(tmp_path, MORE + users())
    async with serving(config, pool, clock, valkey.url, "s3cret-of-the-page") as running:
        await sign_in(running, "Bo")
        assert (await running.client.post(PATH)).status_code == HTTPStatus.FORBIDDEN
        for path in (PATH, "/rules/late"):
            assert f'action="{PATH}"' not in (await running.client.get(path)).text
        await sign_in(running, "anna")
        assert f'action="{PATH}"' in (await running.client.get("/rules/late")).text
        assert "0 messages" in await tried(running)
    [began] = await pool.fetch("SELECT * FROM changes WHERE action = 'rule.tried'")
    assert (began["by"], began["subject"], began["at"]) == ("anna", "late", clock.now())
