"""Alive, ready, counted: what those who run Taskbell ask."""

import asyncio
from datetime import timedelta
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from service import metrics
from service.clock import VirtualClock
from service.domain.alarm_sets import AlarmSet
from service.domain.model import Kind, State
from service.metrics import MetricsExporter
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.store import Pool, alarm_sets
from tests.conftest import closed_to_all
from tests.harness.history import know, plan, record
from tests.harness.site import Site, configured, serving, site
from tests.harness.tasks import task
from tests.harness.waiting import PATIENCE, eventually

CREATED = "taskbell_events_total open created"
DATABASE_UP = "taskbell_database_up"
NOT_KEPT = "taskbell_receipts_total open not_kept"
WAITING_FOR_LOCKS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def numbers(web: Site) -> dict[str, float]:
    """Every sample of /metrics, by its name and the values of its labels."""
    answer = await web.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def numbers_when_up(web: Site) -> dict[str, float]:
    """The samples, once the database has answered in time for them."""
    async with asyncio.timeout(PATIENCE):
        while not (shown := await numbers(web))[DATABASE_UP]:
            pass
    return shown


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """By how much each total has risen."""
    return {
        name: value - before[name]
        for name, value in after.items()
        if "_total " in name and value != before[name]
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


async def ready(web: Site) -> bool:
    return (await web.client.get("/readyz")).is_success


async def test_a_database_that_only_reads_is_not_ready(web: Site, pool: Pool) -> None:
    """It says why; when it writes again it is ready by itself, and webhooks are kept."""
    name = await pool.fetchval("SELECT current_database()")
    await pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await pool.expire_connections()
    answer = await web.client.get("/readyz")
    assert answer.status_code == 503
    assert "database: it only reads" in answer.json()["detail"]
    assert (await web.client.get("/healthz")).is_success
    async with pool.acquire() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await eventually(lambda: ready(web))
    assert (await web.post("open", b"{}")).status_code == 202


async def test_a_full_disk_is_not_ready(web: Site, pool: Pool) -> None:
    """As PostgreSQL says it of any write; ready again as soon as there is room."""
    await pool.execute(
        """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON counters
        FOR EACH ROW EXECUTE FUNCTION full_disk()
        """
    )
    answer = await web.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["missing"] == ["database: the disk is full"]
    await pool.execute("DROP TRIGGER full_disk ON counters")
    await eventually(lambda: ready(web))


async def test_webhooks_that_cannot_be_kept_make_it_not_ready(web: Site, pool: Pool) -> None:
    """There is room for a word and none for a webhook; ready again once one could be kept."""
    await pool.execute(
        """
        CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER no_room BEFORE INSERT ON receipts FOR EACH ROW EXECUTE FUNCTION no_room()
        """
    )
    assert await ready(web)
    assert (await web.post("open", b"{}")).status_code == 503
    missing = (await web.client.get("/readyz")).json()["missing"]
    assert missing == ["receipts: the last webhooks could not be kept: the disk is full"]
    await pool.execute("DROP TRIGGER no_room ON receipts")
    assert (await web.post("open", b"{}")).status_code == 202
    assert await ready(web)


async def test_who_asks_often_whether_it_is_ready_costs_little(web: Site, pool: Pool) -> None:
    """Fifty at once, and again, are one write a second."""
    began = monotonic()
    for _ in range(2):
        answers = await asyncio.gather(*(web.client.get("/readyz") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
    writes = await pool.fetchval("SELECT value FROM counters WHERE name = 'tried'")
    assert 1 <= writes <= 1 + (monotonic() - began)


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
    assert grown(before, await numbers(web)) == {
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
    """A count that the database did not take is shown all the same, and added the next time."""
    before = (await numbers(web))[CREATED]
    metrics.events.labels("open", "created").inc()
    await pool.execute("ALTER TABLE counters RENAME TO away")
    without = await numbers(web)
    assert (without[CREATED], without[DATABASE_UP]) == (before + 1, 0)
    await pool.execute("ALTER TABLE away RENAME TO counters")
    again = await numbers(web)
    assert (again[CREATED], again[DATABASE_UP]) == (before + 1, 1)


async def test_every_count_begins_at_nothing(web: Site) -> None:
    """A rise out of no number at all would be seen by no alert: zeros are there from the start."""
    shown = await numbers(web)
    for outcome in ("accepted", "not_kept", "not_genuine", "backlogged"):
        assert f"taskbell_receipts_total london {outcome}" in shown
    for channel in ("accounting", "customer"):
        for state in ("unknown", "failed"):
            assert f"taskbell_deliveries_total {channel} {state}" in shown
    for name in ("poll_errors_total", "missed_by_webhook_total", "poll_seconds_count"):
        assert f"taskbell_{name} london" in shown


async def test_a_reader_counts_while_the_database_is_gone(
    web: Site, pool: Pool, postgres: EmbeddedPostgres
) -> None:
    """Webhooks that cannot be kept are shown as they come, and what was counted before stays."""
    await web.post("open", b"{}")
    before = await numbers(web)
    async with closed_to_all(postgres, await pool.fetchval("SELECT current_database()")):
        assert (await web.post("open", b"{}")).status_code == 503
        during = await numbers(web)
        assert grown(before, during) == {NOT_KEPT: 1}
        assert (before[DATABASE_UP], during[DATABASE_UP]) == (1, 0)
    after = await numbers(web)
    assert (grown(during, after), after[DATABASE_UP]) == ({}, 1)


async def test_a_database_that_hangs_holds_up_no_reader(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey, database_url: str
) -> None:
    """It is said within its patience, again and again, and no total ever falls."""
    metrics.poll_errors.labels("open").inc()
    blocker = await asyncpg.connect(database_url)
    async with serving(configured(tmp_path), pool, clock, valkey.url, patience=1) as web:
        shown = [await numbers_when_up(web)]
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE counters")
            for _ in range(3):
                metrics.poll_errors.labels("open").inc()
                shown.append(await numbers(web))
            assert [one[DATABASE_UP] for one in shown] == [1, 0, 0, 0]
            assert (await pool.fetchval(WAITING_FOR_LOCKS)) == 1
        await blocker.close()
        shown.append(await numbers_when_up(web))
    errors = [one["taskbell_poll_errors_total open"] for one in shown]
    assert [later - errors[0] for later in errors] == [0, 1, 2, 3, 3]
    assert shown[-1][DATABASE_UP] == 1


async def test_a_database_that_takes_nothing_is_no_good(web: Site, pool: Pool) -> None:
    """Read-only, as a standby is: what it tells is shown, and that it is not up."""
    before = await numbers(web)
    name = await pool.fetchval("SELECT current_database()")
    await pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await pool.expire_connections()
    metrics.poll_errors.labels("open").inc()
    during = await numbers(web)
    assert during.keys() == before.keys()
    assert grown(before, during) == {"taskbell_poll_errors_total open": 1}
    assert during[DATABASE_UP] == 0


async def test_totals_that_were_never_read_are_not_guessed(pool: Pool, clock: VirtualClock) -> None:
    """One that began with this process would rise by all that is stored, once it is back."""
    metrics.poll_errors.labels("open").inc()
    await pool.execute("ALTER TABLE counters RENAME TO away")
    text = (await MetricsExporter(pool).text(clock.now())).decode()
    assert "taskbell_poll_errors_total{" not in text
    assert "taskbell_database_up 0.0" in text


async def test_what_needs_a_person_is_told_until_it_is_seen_to(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Unknown outcomes and failing accounts, whether or not the process that met them lives."""
    event = await record(pool, task(account="open"), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.UNKNOWN, channel="accounting", target="")
    alarm_set = AlarmSet(frozenset(), ZoneInfo("UTC"))
    await alarm_sets.put_in_force(
        pool, dict.fromkeys(["open", "field"], alarm_set), clock.now(), clock.now()
    )
    await pool.execute(
        "UPDATE accounts SET failing_since = $1, paused = name = 'field'", clock.now()
    )
    clock.advance(timedelta(minutes=7))
    shown = await numbers(web)
    assert shown["taskbell_unsettled_deliveries accounting unknown"] == 1
    assert shown["taskbell_account_failing_seconds open"] == 420
    assert shown["taskbell_account_failing_seconds field"] == 0
    assert "taskbell_account_failing_seconds london" not in shown
    await pool.execute(
        "UPDATE deliveries SET acknowledged_at = $2 WHERE id = $1", number, clock.now()
    )
    await pool.execute("UPDATE accounts SET failing_since = NULL")
    shown = await numbers(web)
    assert "taskbell_unsettled_deliveries accounting unknown" not in shown
    assert shown["taskbell_account_failing_seconds open"] == 0


async def test_waiting_is_measured(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """How long the oldest webhook and the most belated alarm have waited, in seconds."""
    nothing = await numbers(web)
    await web.post("open", b"{}")
    await know(pool, task(account="open"), at=clock.now())
    alarm_set = AlarmSet(frozenset(), ZoneInfo("UTC"))
    await alarm_sets.put_in_force(pool, {"open": alarm_set}, clock.now(), clock.now())
    await pool.execute(
        "UPDATE tasks SET next_alarm = $1, watch = $2",
        clock.now() + timedelta(seconds=5),
        alarm_set.id,
    )
    clock.advance(timedelta(seconds=20))
    later = await numbers(web)
    for name, seconds in (("oldest_unprocessed", 20), ("clock_lag", 15)):
        assert nothing[f"taskbell_{name}_seconds"] == 0
        assert later[f"taskbell_{name}_seconds"] == seconds
