"""The history of what people do: a row for each action, and the screen that shows them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Kind, State
from service.domain.operators.silences import Silence
from service.maintenance.prune import prune
from service.outbox import silences
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.store import Pool, account_actions
from service.store.operators import changes
from service.store.operators.changes import Action
from service.web import labels
from tests.harness.history import plan, record
from tests.harness.people import PASSWORDS, sign_in, users
from tests.harness.site import Site, configured, serving, site
from tests.harness.tasks import task

HOSTILE = "<script>x</script>\u202e" + "y" * 10_000
ANNA = Actor("anna", address="192.0.2.1")


async def rows(pool: Pool) -> list[tuple[str, str, str, str, str]]:
    """Everything in the history: by, from, action, subject, detail."""
    found = await pool.fetch(
        "SELECT by, from_address, action, subject, detail FROM changes ORDER BY id"
    )
    return [tuple(row) for row in found]


async def delivery(pool: Pool, clock: VirtualClock, state: State, **changed: Any) -> int:
    return await plan(
        pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), state, **changed
    )


async def _retry(web: Site, pool: Pool, clock: VirtualClock) -> None:
    await web.client.post(f"/deliveries/{await delivery(pool, clock, State.FAILED)}/retry")


async def _send_now(web: Site, pool: Pool, clock: VirtualClock) -> None:
    later = clock.now() + HOUR
    number = await delivery(pool, clock, State.PLANNED, send_at=later)
    await web.client.post(f"/deliveries/{number}/send-now")


async def _cancel(web: Site, pool: Pool, clock: VirtualClock) -> None:
    number = await delivery(pool, clock, State.PLANNED)
    await web.client.post(f"/deliveries/{number}/cancel", data={"reason": "too late"})


async def _dismiss(web: Site, pool: Pool, clock: VirtualClock) -> None:
    await web.client.post(f"/deliveries/{await delivery(pool, clock, State.FAILED)}/cancel")


async def _resolve(web: Site, pool: Pool, clock: VirtualClock) -> None:
    number = await delivery(pool, clock, State.UNKNOWN)
    await web.client.post(f"/api/v1/deliveries/{number}/resolve", json={"arrived": False})


async def _decide(answer: str, web: Site, pool: Pool, clock: VirtualClock) -> None:
    number = await delivery(pool, clock, State.HELD)
    await pool.execute(
        "UPDATE deliveries SET approver = 'slack:#ops', approve_by = $1", clock.now() + HOUR
    )
    await web.client.post(f"/deliveries/{number}/{answer}")


async def _approve(web: Site, pool: Pool, clock: VirtualClock) -> None:
    await _decide("approve", web, pool, clock)


async def _decline(web: Site, pool: Pool, clock: VirtualClock) -> None:
    await _decide("decline", web, pool, clock)


async def _storm(web: Site, pool: Pool, action: str) -> None:
    await pool.execute(
        "INSERT INTO storms (flood, account, reason, began_at) VALUES ('open', 'open', 'x', now())"
    )
    await web.client.post(f"/storms/1/{action}")


async def _release(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del clock
    await _storm(web, pool, "release")


async def _drop(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del clock
    await _storm(web, pool, "drop")


async def _end_silence(web: Site, pool: Pool, clock: VirtualClock) -> None:
    now = clock.now()
    await silences.add(pool, Silence(0, now, now + HOUR, "moving", rule="r"), by=ANNA)
    await web.client.post("/silences/1/expire")


async def _hold(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del pool, clock
    await web.client.post("/holds", data={"length": "hour", "reason": "snow"})
    await web.client.post("/holds/1/release")


async def _read_again(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del clock
    await web.post("open", b"{}")
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'x'")
    await web.client.post("/webhooks/1/retry")


async def _ignore(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del clock
    await web.post("open", b"{}")
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'x'")
    await web.client.post("/api/v1/receipts/1/cancel")


async def _accounts(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del pool, clock
    for action in ("sync", "pause", "resume"):
        await web.client.post(f"/connections/open/{action}")


async def _test(web: Site, pool: Pool, clock: VirtualClock) -> None:
    del pool, clock
    await web.client.post("/channels/accounting/test", data={"target": "them"})


HOUR = timedelta(hours=1)
Done = tuple[str, str, str]
DEEDS: list[tuple[Callable[[Site, Pool, VirtualClock], Awaitable[None]], list[Done]]] = [
    (_retry, [("message.retried", "1", "")]),
    (_send_now, [("message.hurried", "1", "")]),
    (_cancel, [("message.cancelled", "1", "too late")]),
    (_dismiss, [("message.dismissed", "1", "")]),
    (_resolve, [("message.resolved", "1", "it did not arrive")]),
    (_approve, [("message.approved", "1", "")]),
    (_decline, [("message.declined", "1", "")]),
    (_release, [("storm.released", "1", "0 messages of open")]),
    (_drop, [("storm.dropped", "1", "0 messages of open")]),
    (_end_silence, [("silence.added", "1", "rule r: moving"), ("silence.ended", "1", "")]),
    (_hold, [("hold.begun", "1", "snow"), ("hold.released", "1", "0 messages")]),
    (_read_again, [("webhook.retried", "1", "account open")]),
    (_ignore, [("webhook.ignored", "1", "account open")]),
    (
        _accounts,
        [
            ("account.synced", "open", ""),
            ("account.paused", "open", ""),
            ("account.resumed", "open", ""),
        ],
    ),
    (_test, [("channel.tested", "accounting", "them")]),
]


@pytest.mark.parametrize(("act", "done"), DEEDS, ids=lambda one: getattr(one, "__name__", ""))
async def test_each_action_is_one_entry(
    web: Site,
    pool: Pool,
    clock: VirtualClock,
    act: Callable[[Site, Pool, VirtualClock], Awaitable[None]],
    done: list[Done],
) -> None:
    """With who, from where, what and how; what was refused or came too late is none."""
    await act(web, pool, clock)
    told = await rows(pool)
    assert [one[2:] for one in told] == done
    here = [one[:2] for one in told if one[0] != "anna"]
    assert set(here) == {("someone on this machine", "127.0.0.1")}
    for path in ("/deliveries/1/resolve", "/storms/1/drop", "/silences/1/expire"):
        assert (await web.client.post(path)).status_code in {303, 400}
    assert len(await rows(pool)) == len(told)


async def test_an_entry_stands_or_falls_with_the_action(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """They are one transaction: what cannot be told is not done either."""
    number = await delivery(pool, clock, State.FAILED)
    await pool.execute("ALTER TABLE changes ADD CONSTRAINT never CHECK (false) NOT VALID")
    answers = [
        await web.client.post(path)
        for path in (f"/deliveries/{number}/retry", "/connections/open/pause")
    ]
    assert [one.status_code for one in answers] == [503, 503]
    assert await pool.fetchval("SELECT state FROM deliveries") == "failed"
    assert not await pool.fetchval("SELECT paused FROM accounts WHERE name = 'open'")


async def test_sign_ins_are_in_it_and_guesses_once_an_hour(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Right ones by name; wrong ones by what was tried, but not what nobody is called."""
    config = configured(tmp_path, users())
    async with serving(config, pool, clock, valkey.url, "s3cret-of-the-page") as web:
        await sign_in(web, "anna")
        await web.client.post("/logout")
        for _ in range(3):
            await sign_in(web, "Anna", "a guess", "192.0.2.9")
            await sign_in(web, PASSWORDS["anna"], "a name in the wrong field", "192.0.2.9")
        await web.client.get("/api/v1/tasks", headers={"authorization": "Bearer wrong"})
        clock.advance(timedelta(hours=2))
        await sign_in(web, "anna", "a guess", "192.0.2.9")
        await web.client.post("/login", data={"token": "s3cret-of-the-page"})
    assert await rows(pool) == [
        ("anna", "192.0.2.1", "signed.in", "", ""),
        ("anna", "127.0.0.1", "signed.out", "", ""),
        ("someone", "192.0.2.9", "sign-in.failed", "anna", ""),
        ("someone", "192.0.2.9", "sign-in.failed", "an unknown name", ""),
        ("someone", "127.0.0.1", "sign-in.failed", "the admin token", ""),
        ("someone", "192.0.2.9", "sign-in.failed", "anna", ""),
        ("the admin token", "127.0.0.1", "signed.in", "", ""),
    ]


async def test_an_address_that_is_none_is_not_repeated(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """For any header that a proxy sends."""
    garbage = {"x-forwarded-for": "<b>" * 2000}
    async with site(tmp_path, pool, clock, valkey.url, token="s3cret-of-the-page") as web:
        await web.client.post("/login", data={"token": "x"}, headers=garbage)
    assert (await rows(pool))[0][:2] == ("someone", "an unknown address")


async def test_the_screen_shows_the_newest_first(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Each with its words, its address and a link to what it is about."""
    assert "Nobody has done anything yet" in (await web.client.get("/audit")).text
    number = await delivery(pool, clock, State.FAILED)
    await web.client.post(f"/deliveries/{number}/retry")
    clock.advance(timedelta(hours=1))
    now = clock.now()
    await account_actions.pause(pool, "london", now, by=Actor("bo at the command line"))
    page = " ".join((await web.client.get("/audit")).text.split())
    first = "<bdi>bo at the command line</bdi></b> paused"
    assert page.index(first) < page.index("<bdi>someone on this machine</bdi></b> sent again")
    assert f'<a href="/messages/{number}"><bdi>message {number}</bdi></a>' in page
    assert '<a href="/connections#account-london"><bdi>account london</bdi></a>' in page
    assert page.count("from 127.0.0.1") == 1
    assert f"{labels.local(now, ZoneInfo('Europe/London'))}, just now" in page


async def test_it_is_looked_through_by_person_and_day(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A day is one in the zone of the configuration; what cannot be one is said."""
    for name in ("anna", "bo"):
        for _ in range(2):
            await account_actions.pause(pool, "london", clock.now(), by=Actor(name))
        clock.advance(timedelta(days=1))
    day = clock.now().astimezone(ZoneInfo("Europe/London")).date() - timedelta(days=2)

    async def count(**asked: str) -> int:
        page = await web.client.get("/audit", params=asked)
        assert page.status_code == 200
        return page.text.count('<li class="card">')

    assert await count() == 4
    assert await count(by="", day="") == 4
    assert await count(by="anna") == 2
    assert await count(day=str(day)) == 2
    assert await count(by="bo", day=str(day)) == 0
    assert await count(by="nobody") == 0
    assert "<option selected>anna</option>" in (await web.client.get("/audit?by=anna")).text
    for asked in ("day=monday", "day=9999-12-31", "cursor=x", "cursor=WzEsMV0", "who=x", "by=%00"):
        answer = await web.client.get(f"/audit?{asked}")
        assert answer.status_code == 400, asked
        assert "Open the Taskbell page" in answer.text


async def test_it_is_read_page_by_page(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Each entry once, also where many are of one moment, and newer ones come meanwhile."""
    for n in range(120):
        await changes.record(pool, ANNA, Action.SILENCE_ENDED, n, clock.now())
    seen: list[int] = []
    path = "/audit?by=anna"
    while path:
        page = (await web.client.get(path)).text
        assert len(seen) < 120
        seen += [int(part.split("<")[0]) for part in page.split("<bdi>silence ")[1:]]
        older = page.partition('" rel="next">Older')[0].rpartition('href="')[2]
        path = older.replace("&amp;", "&") if "Older" in page else ""
        await changes.record(pool, ANNA, Action.SILENCE_ENDED, 999, clock.now())
    assert seen == list(range(119, -1, -1))


async def test_hostile_texts_are_texts(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """For any name, subject or reason."""
    await changes.record(
        pool,
        Actor(HOSTILE, address=HOSTILE),
        Action.MESSAGE_CANCELLED,
        HOSTILE,
        clock.now(),
        HOSTILE,
    )
    await pool.execute("UPDATE changes SET action = $1", HOSTILE)
    answer = await web.client.get("/audit")
    assert answer.status_code == 200
    assert "<script>x" not in answer.text
    assert "y" * 2000 not in answer.text
    assert "<bdi>&lt;script&gt;x&lt;/script&gt;" in answer.text


async def test_the_api_lists_it(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """The same entries, for scripts."""
    await account_actions.pause(pool, "london", clock.now(), by=ANNA)
    await account_actions.resume(pool, "london", clock.now(), by=Actor("bo"))
    page = (await web.client.get("/api/v1/audit?by=anna")).json()
    assert page["next"] is None
    [one] = page["data"]
    assert one == (await web.client.get(f"/api/v1/audit/{one['id']}")).json()
    assert (one["by"], one["from_address"], one["action"]) == (
        "anna",
        "192.0.2.1",
        "account.paused",
    )
    assert len((await web.client.get("/api/v1/audit?action=account.resumed")).json()["data"]) == 1
    assert (await web.client.get("/api/v1/audit?action=x")).status_code == 400


async def test_old_entries_are_deleted(pool: Pool, clock: VirtualClock) -> None:
    """After the time for which events are kept."""
    await changes.record(pool, ANNA, Action.SIGNED_IN, "", clock.now() - timedelta(days=396))
    await changes.record(pool, ANNA, Action.SIGNED_OUT, "", clock.now() - timedelta(days=394))
    await prune(pool, read_settings({}), clock.now())
    assert [one[2] for one in await rows(pool)] == ["signed.out"]


def test_every_action_has_its_words() -> None:
    """And an action of a later version is shown by its own name."""
    assert set(labels.DEEDS) == set(Action)
    assert labels.deed("rule.frozen") == ("rule.frozen", "", "")
