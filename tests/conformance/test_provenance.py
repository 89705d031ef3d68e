"""Provenance and announcements: what nobody has written or announced."""

from service.domain.model import Cause, Kind, Observation
from tests.conformance.storages import LONDON, Storage
from tests.harness.tasks import START, task


async def test_nothing_is_written_that_no_rule_writes(storage: Storage) -> None:
    """Neither a task, nor a change of one."""
    event = await storage.happen(Kind.CREATED, cause=Cause.WRITE)
    look = Observation(LONDON, "T1", task(), START, Cause.POLL)
    assert await storage.tx.provenance.writes_under_way([look]) == {}
    assert await storage.tx.provenance.creator_rules([(LONDON, "T1")]) == {}
    assert await storage.tx.provenance.writer_rules([event.id]) == {}


async def test_nothing_is_announced_that_shows(storage: Storage) -> None:
    """So there is nothing to be forgotten."""
    await storage.know(task())
    assert await storage.tx.announcements.by_task([(LONDON, "T1")]) == {}
    await storage.tx.announcements.forget([])
