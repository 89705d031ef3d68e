"""Decisions: what each rule made of an event, and why."""

from datetime import timedelta

from service.domain.model import Kind
from service.rules.verdict import Outcome
from service.store.decisions import Decision, RecordedDecision
from tests.conformance.storages import Storage
from tests.harness.tasks import START


async def test_decisions_are_on_record_in_the_order_in_which_they_were_made(
    storage: Storage,
) -> None:
    """With the version of the rules that made them, and when that was."""
    event = await storage.happen(Kind.COMPLETED)
    later = START + timedelta(hours=1)
    gathered = Decision(event.id, "r", Outcome.GATHERED, "gathered")
    matched = Decision(event.id, "r", Outcome.MATCHED, "all conditions are true")
    other = Decision(event.id, "a", Outcome.FAILED, "no such field")
    await storage.tx.decisions.insert([gathered], "v1", START)
    await storage.tx.decisions.insert([matched, other], "v2", later)
    assert list(await storage.decisions()) == [
        RecordedDecision(START, event.id, "r", "v1", "gathered", "gathered"),
        RecordedDecision(later, event.id, "r", "v2", "matched", "all conditions are true"),
        RecordedDecision(later, event.id, "a", "v2", "failed", "no such field"),
    ]
