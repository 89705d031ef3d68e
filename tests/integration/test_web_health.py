"""Alive, ready, counted: what those who run Taskbell ask."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from prometheus_client.parser import text_string_to_metric_families

from service import metrics
from service.clock import VirtualClock
from service.store import Pool, watches
from service.watch import Watch
from tests.history import know
from tests.site import Site, site
from tests.tasks import task


async def numbers(web: Site) -> dict[str, float]:
    """Every sample of /metrics, by its name and the values of its labels."""
    answer = await web.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_alive_and_ready(web: Site) -> None:
    """With everything in place /healthz says alive and /readyz says ready, with nothing missing."""
    assert (await web.client.get("/healthz")).json() == {"alive": True}
    assert (await web.client.get("/readyz")).json() == {"ready": True, "missing": []}


async def test_what_is_missing_is_said(web: Site, pool: Pool) -> None:
    """A database that was not migrated is named with what to do; the process is alive."""
    await pool.execute("DELETE FROM migrations")
    answer = await web.client.get("/readyz")
    assert answer.status_code == 503
    [missing] = answer.json()["missing"]
    assert "0001_initial.sql" in missing
    assert "taskbell migrate" in missing
    assert (await web.client.get("/healthz")).status_code == 200


async def test_without_redis_it_is_not_ready_but_the_door_is_open(
    tmp_path: Path, pool: Pool, clock: VirtualClock
) -> None:
    """Redis is only the doorbell: missed and named, while webhooks are taken all the same."""
    async with site(tmp_path, pool, clock, "redis://127.0.0.1:9") as web:
        answer = await web.client.get("/readyz")
        assert answer.status_code == 503
        assert ["redis" in one for one in answer.json()["missing"]] == [True]
        assert (await web.post("open", b"{}")).status_code == 202


async def test_the_door_counts(web: Site) -> None:
    """Each webhook is counted by what the door made of it; names that do not exist are not."""
    before = await numbers(web)
    await web.post("open", b"{}")
    await web.post("open", b"{")
    await web.post("london", b"{}", {"x-signature": "00"})
    await web.post("nobody", b"{}")
    after = await numbers(web)
    grown = {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith("taskbell_receipts_total") and value > before.get(name, 0)
    }
    assert grown == {
        "taskbell_receipts_total open accepted": 1,
        "taskbell_receipts_total open malformed": 1,
        "taskbell_receipts_total london not_genuine": 1,
    }


async def test_what_other_processes_count_is_shown(web: Site, pool: Pool) -> None:
    """A worker's counts reach /metrics through the database, each once, and outlive it."""
    metrics.events.labels("counted", "completed").inc(3)
    metrics.deliveries.labels("carrier", "sent").inc()
    metrics.poll_seconds.labels("counted").observe(0.5)
    await metrics.publish(pool)
    await metrics.publish(pool)
    shown = await numbers(web)
    assert shown["taskbell_events_total counted completed"] == 3
    assert shown["taskbell_deliveries_total carrier sent"] == 1
    assert shown["taskbell_poll_seconds_sum counted"] == 0.5
    assert shown["taskbell_poll_seconds_count counted"] == 1


async def test_what_could_not_be_published_is_not_lost(web: Site, pool: Pool) -> None:
    """A count that the database did not take is added the next time."""
    metrics.events.labels("elsewhere", "created").inc()
    await pool.execute("ALTER TABLE counters RENAME TO away")
    assert (await web.client.get("/metrics")).status_code == 503
    await pool.execute("ALTER TABLE away RENAME TO counters")
    assert (await numbers(web))["taskbell_events_total elsewhere created"] == 1


async def test_waiting_is_measured(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """How long the oldest webhook and the most belated alarm have waited, in seconds."""
    nothing = await numbers(web)
    await web.post("open", b"{}")
    await know(pool, task(account="open"), at=clock.now())
    watch = Watch(frozenset(), ZoneInfo("UTC"))
    await watches.put_in_force(pool, {"open": watch}, clock.now(), clock.now())
    await pool.execute(
        "UPDATE tasks SET next_alarm = $1, watch = $2", clock.now() + timedelta(seconds=5), watch.id
    )
    clock.advance(timedelta(seconds=20))
    later = await numbers(web)
    for name, seconds in (("oldest_unprocessed", 20), ("clock_lag", 15)):
        assert nothing[f"taskbell_{name}_seconds"] == 0
        assert later[f"taskbell_{name}_seconds"] == seconds
