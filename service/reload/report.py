"""Logs the effects of a new configuration on all pending work: kept, moved, lost."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from service import config, store
from service.change_plan import ChangePlan
from service.change_plan.database import foresee
from service.clock import Clock
from service.document.files import Folder
from service.errors import TaskbellError
from service.reload import ConfigSnapshot
from service.store import DATABASE_GONE

log = structlog.get_logger()


async def report(
    database: str, word: ConfigSnapshot, clock: Clock, environ: Mapping[str, str]
) -> ChangePlan | None:
    """Compare with the active configuration and log the result.

    Returns None if that is not possible now, for instance without the database. Must be called
    before the new configuration is activated.
    """
    folder = Folder(Path(word.folder), word.named)
    try:
        async with await store.connect(database, size=1) as pool:
            planned = config.sketch_texts(word.texts, folder, environ)
            found = await foresee(pool, planned, clock.now(), _silently)
    except (TaskbellError, *DATABASE_GONE) as error:
        log.warning("configuration.not_compared", error=str(error))
        return None
    except Exception:  # the edge: no report may keep a configuration from being loaded
        log.exception("configuration.not_compared")
        return None
    log.info("configuration.loaded", rules_version=found.planned, **_counts(found))
    return found


def _counts(found: ChangePlan) -> dict[str, dict[str, int]]:
    """How many rules were added, changed …, how many alarms, waits … kept, lost …."""
    changes = Counter(str(one.change) for one in found.rules)
    fates: dict[str, Counter[str]] = {
        "alarms": Counter(),
        "waits": Counter(),
        "digests": Counter(),
        "messages": Counter(),
    }
    for one in found.rules:
        for counts, more in zip(
            fates.values(), (one.timers, one.waits, one.digests, one.deliveries), strict=True
        ):
            counts.update({str(fate): count for fate, count in more.items()})
    fates["silences"] = Counter(lost=sum(found.silences_ended.values()))
    return {"rules": dict(changes), **{name: dict(+counts) for name, counts in fates.items()}}


@contextmanager
def _silently(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows no progress: nobody waits for it."""
    del what, total
    yield lambda _: None
