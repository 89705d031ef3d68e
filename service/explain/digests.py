"""Explains the digest that a task has joined."""

from collections.abc import Iterable
from dataclasses import replace
from zoneinfo import ZoneInfo

from service.explain import STANDINGS, DigestExplanation, Explanation, ExplanationStatus
from service.explain.wording import told
from service.rules.groups import named
from service.rules.verdict import Outcome
from service.store.decisions import RecordedDecision
from service.store.views.digest_history import PastDigest


def joined(
    decision: RecordedDecision | None, gatherings: Iterable[PastDigest]
) -> PastDigest | None:
    """The digest that an event joined by this decision; None if it is not stored.

    It is the last one with this rule and key that had been opened by then: earlier ones were
    closed.
    """
    if decision is None:
        return None
    moment = (decision.at, decision.event)
    was_open = [
        one
        for one in gatherings
        if one.opened.rule == decision.rule
        and one.opened.group == decision.group
        and (one.opened.at, one.opened.event) <= moment
    ]
    return max(was_open, key=lambda one: (one.opened.at, one.opened.event), default=None)


def in_digest(
    judged: Explanation, digest: PastDigest, left_out: str | None, zone: ZoneInfo
) -> Explanation:
    """Add the digest that the task is in.

    `left_out` is why the digest does not contain the task, or would not, in its present state.
    """
    of = named(digest.opened.group or "")
    if digest.told is None:
        notes = (
            [] if left_out is None else [f"as the task is now, it would be left out: {left_out}"]
        )
        return replace(
            judged,
            digest=DigestExplanation(of, digest.closes_at, digest.tasks),
            notes=(*judged.notes, *notes),
        )
    judged = replace(
        judged, digest=DigestExplanation(of, told_at=digest.told.at), deliveries=digest.deliveries
    )
    if left_out is not None:
        at = told(digest.told.at, zone)
        says = f"the task was left out of the combined message for {of}, {at}: {left_out}"
        return replace(judged, standing=ExplanationStatus.NOT_MATCHED, says=says)
    standing = STANDINGS[Outcome(digest.told.outcome)]
    return replace(judged, standing=standing, says=digest.told.reason)
