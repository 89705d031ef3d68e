"""The decisions of a simulation, in memory."""

from collections.abc import Sequence
from datetime import datetime

from service.store.decisions import Decision, RecordedDecision


class MemoryDecisions:
    """`DecisionRepository` in memory; they are `recorded` in the order in which they were made."""

    def __init__(self) -> None:
        self.recorded: list[RecordedDecision] = []

    async def insert(
        self, decisions: Sequence[Decision], rules_version: str, now: datetime
    ) -> None:
        self.recorded += [
            RecordedDecision(
                now, one.event, one.rule, rules_version, one.outcome, one.reason, one.group
            )
            for one in decisions
        ]
