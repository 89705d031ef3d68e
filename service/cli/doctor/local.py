"""The doctor's checks of Taskbell itself: the database, Redis, the worker."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from service import store
from service.cli.doctor.findings import Finding, fine, note, wrong
from service.clock import SystemClock
from service.config import Config
from service.domain.operators.overrides import Override
from service.doorbell import Doorbell
from service.maintenance import clock_sync
from service.processes import embedded
from service.settings import Settings
from service.settings.database_address import read_address
from service.store.operators import rule_overrides
from service.store.trouble import advice
from service.store.views import api_lists
from service.store.views.listing import Row


async def examine_database(url: str, configuration: Config | None) -> list[Finding]:
    """Checks that the database accepts writes and has all tables.

    Reports unreadable values, and rules that a person has switched.
    """
    try:
        async with await store.connect(url, size=1) as pool:
            async with pool.acquire() as connection:
                missing = await store.pending(connection)
                if not missing:
                    await store.try_write(connection)
            if not missing:
                ahead = await clock_sync.ahead_of(pool, SystemClock())
                found = await api_lists.read_accounts(pool, SystemClock().now())
                says = "it accepts writes and its tables are up to date"
                sound = fine("database", says)
                switched = _switched(await rule_overrides.read(pool), configuration)
                seen = [*_ignored(url), *_clock(ahead), *_unread(found), *_moved(found)]
                return [sound, *seen, *switched]
    except store.DatabaseUnreachable as error:
        return [wrong("database", str(error), "start PostgreSQL, or correct DATABASE_URL")]
    except store.DATABASE_ERRORS as error:
        return [wrong("database", f"it cannot be written to: {error}", advice(error))]
    return [
        wrong(
            "database",
            "it answers, but its tables are not up to date",
            "start `taskbell serve`, which does that, or run `taskbell migrate`",
        )
    ]


def _ignored(url: str) -> Iterator[Finding]:
    """The parts of the address that have no effect here, although the user may expect one."""
    if ignored := read_address(url).ignored:
        says = f"DATABASE_URL has parameters that do nothing here: {', '.join(ignored)}"
        yield note("database", says, "remove them, or do not rely on them")


def _clock(ahead: timedelta | None) -> Iterator[Finding]:
    """A clock of this machine that differs from the database's."""
    if ahead:
        side = "behind" if ahead < timedelta() else "ahead of"
        yield note(
            "clock",
            f"this machine's clock is {abs(ahead.total_seconds()):.1f} seconds {side} the"
            " database's. Taskbell uses the database's time",
            "set the clocks of both machines automatically (NTP)",
        )


def _unread(accounts: Iterable[Row]) -> Iterator[Finding]:
    """Values of the accounts' tasks that could not be read, with an example of each."""
    for one in accounts:
        if count := one["unread"]:
            yield note(
                f"tasks of {one['id']}",
                f"{count} {'value' if count == 1 else 'values'} could not be read,"
                f" for example {one['unread_example']}. Taskbell keeps the earlier values",
                "correct them in the system, or report this example",
            )


def _moved(accounts: Iterable[Row]) -> Iterator[Finding]:
    """Accounts in which many tasks disappeared or appeared at once."""
    for one in accounts:
        if one["absent"]:
            yield wrong(
                f"tasks of {one['id']}",
                f"{one['absent']} tasks disappeared at once; Taskbell sends nothing about them",
                "restore the token's permissions; if the tasks really were deleted, run:"
                f" taskbell accounts sync {one['id']} --believe",
            )
        if one["appeared"]:
            yield note(
                f"tasks of {one['id']}",
                f"{one['appeared']} older tasks appeared at once",
                "no messages were sent about them; new changes are reported as usual",
            )


def _switched(overrides: Mapping[str, Override], configuration: Config | None) -> Iterator[Finding]:
    """Rules that do not follow the configuration, and overrides of rules that it does not have."""
    for rule, one in overrides.items():
        undo = f"taskbell rules follow {rule}"
        if configuration is None or configuration.has_rule(rule):
            yield note(f"rule {rule}", f"was {one.said}", f"to follow the file again: {undo}")
        else:
            says = f"was {one.said}, and the configuration has no such rule"
            yield note(f"rule {rule}", says, f"to remove this switch: {undo}")


async def examine_doorbell(settings: Settings) -> list[Finding]:
    """Checks that Redis responds, and that a worker has recently reported there."""
    url = embedded.redis_at_work(settings)
    if url is None:
        return [wrong("worker", "Taskbell is not running here", "start it: `taskbell serve`")]
    doorbell = Doorbell(url)
    try:
        trouble, works = await doorbell.trouble(), await doorbell.has_worker()
    finally:
        await doorbell.close()
    if trouble is not None:
        says = f"{trouble.says}; messages may be a few seconds late"
        return [wrong("redis", says, trouble.advice)]
    return [fine("redis", "it answers and accepts work"), _worker(works=works)]


def _worker(*, works: bool) -> Finding:
    if works:
        return fine("worker", "running")
    return wrong(
        "worker",
        "no worker process is running: webhooks are kept, but nothing is sent",
        "start `taskbell serve`, or `python -m workers` if you start the processes one by one",
    )
