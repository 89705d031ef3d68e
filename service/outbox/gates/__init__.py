"""The gates: an ordered list of checks, each of which can keep a due delivery from being sent.

Pure functions. PostgreSQL's claim uses them, the final check before a customer message, and the
simulator; each provides its data as `GateFacts`. A gate stops a delivery by returning its new state
and the reason. A delivery that no gate stops is sent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from service.domain.model import State
from service.domain.operators.holds import last_of
from service.domain.operators.overrides import Mode
from service.domain.operators.silences import covering
from service.domain.storms import StormScope
from service.outbox.gates import contacts
from service.outbox.gates.candidate import (
    Candidate,
    Gate,
    GateFacts,
    GateOfSeveral,
    Stop,
    Stops,
    StormCounts,
)
from service.rules import recipients
from service.rules.message_basis import NO_LONGER_NEEDED
from service.rules.verdict import is_instead, trial_only
from service.rules.visits import Visit

__all__ = ["Candidate", "GateFacts", "Stop", "Stops", "StormCounts", "stops"]

UNTIL_IS_TRUE = f"cancelled: {NO_LONGER_NEEDED}"


def stops(candidates: Sequence[Candidate], facts: GateFacts) -> Stops:
    """The stops of candidates that must not be sent; the first gate that stops one decides."""
    found: Stops = {}
    for one in candidates:
        for gate in GATES_OF_EXCUSED if one.is_exempt else GATES:
            if (stop := gate(one, facts)) is not None:
                found[one.id] = stop
                break
    for gate_of_several in GATES_OF_SEVERAL:
        left = [one for one in candidates if one.id not in found] if found else candidates
        found |= gate_of_several(left, facts)
    return found


def _is_too_late(one: Candidate, facts: GateFacts) -> Stop | None:
    if one.approver is not None and one.approve_by is not None and one.approve_by <= facts.now:
        said = f"not approved in time: {one.approver} had until {_utc(one.approve_by)} to answer"
    elif one.expires_at is not None and one.expires_at <= facts.now:
        said = f"too late: it had to be sent by {_utc(one.expires_at)}"
    else:
        return None
    return Stop(State.EXPIRED, said if one.waited is None else f"{said}; {one.waited}")


def _is_switched_off(one: Candidate, facts: GateFacts) -> Stop | None:
    override = facts.overrides.get(one.rule)
    if override is None or override.mode is not Mode.OFF:
        return None
    return Stop(State.CANCELLED, f"cancelled: the rule was {override.said}")


def _is_overtaken(one: Candidate, facts: GateFacts) -> Stop | None:
    del facts
    return None if one.overtaken is None else Stop(State.CANCELLED, one.overtaken)


def _has_ended(one: Candidate, facts: GateFacts) -> Stop | None:
    if one.rule not in facts.rules.with_until:
        return None
    task = facts.present(one.key)
    if task is None or not facts.rules.until(one.rule, task, facts.now):
        return None
    return Stop(State.CANCELLED, UNTIL_IS_TRUE)


def _is_off_hours(one: Candidate, facts: GateFacts) -> Stop | None:
    """Whether its rule's hours postpone it.

    A fallback delivery is sent at any hour, and so is one that a person wants sent now.
    """
    zone = facts.zones.get(one.key[0])
    if zone is None or one.at_once or is_instead(one.once_key):
        return None
    task = one.decided_task() if facts.rules.chooses_hours(one.rule) else None
    timing = facts.rules.timing(one.rule)
    return Stop.by(timing.off_hours(task, facts.now, one.expires_at, zone))


def _is_on_trial(one: Candidate, facts: GateFacts) -> Stop | None:
    override = facts.overrides.get(one.rule)
    trial = override if override is not None and override.mode is Mode.TRIAL else None
    if not one.shadow and (trial is None or one.is_exempt):
        return None
    way = ":".join(filter(None, (one.channel, one.target)))
    return Stop(State.SKIPPED, trial_only(trial, f"it would have been sent now to {way}"))


def _is_silenced(one: Candidate, facts: GateFacts) -> Stop | None:
    if not facts.silences:
        return None
    account, _ = one.key
    found = covering(
        facts.silences, one.rule, one.channel, one.target, account, one.decided_task(), facts.now
    )
    return None if found is None else Stop(State.SKIPPED, found.refusal, silence=found.id)


def _is_muted(one: Candidate, facts: GateFacts) -> Stop | None:
    muting = None if one.muted_by is None else facts.muting(one.muted_by)
    return None if muting is None else _skipped(_muted(*muting))


def _has_no_recipient(one: Candidate, facts: GateFacts) -> Stop | None:
    if one.channel != recipients.EMPLOYEE:
        return None
    return _skipped(recipients.employee_refusal(facts.present(one.key), one.channel))


def _is_on_hold(one: Candidate, facts: GateFacts) -> Stop | None:
    """Whether a person holds all customer messages: nothing waits that is not to be sent anyway."""
    hold = last_of(facts.holds, facts.now) if one.reaches_customer else None
    if hold is None:
        return None
    ends_at = min(hold.ends_at, one.expires_at or hold.ends_at)
    return Stop(State.HELD, hold.said, ends_at, hold=hold.id)


def _is_in_a_storm(candidates: Sequence[Candidate], facts: GateFacts) -> Stops:
    """Too many messages at once: in its own group, then for its rule over all receivers."""
    many = Counter(one.flood for one in candidates if one.flood is not None)
    if not many:
        return {}
    held = _storms(many, facts)
    wider: Counter[StormScope] = Counter()
    for flood, count in many.items():
        if flood.wider is not None and flood not in held:
            wider[flood.wider] += count
    by_rule = _storms(wider, facts)
    held = {flood: by_rule[flood.wider] for flood in many if flood.wider in by_rule} | held
    return {
        one.id: Stop(State.HELD, reason, one.expires_at, storm)
        for one in candidates
        if one.flood is not None and one.flood in held
        for storm, reason in (held[one.flood],)
    }


def _storms(
    many: Mapping[StormScope, int], facts: GateFacts
) -> dict[StormScope, tuple[StormScope, str]]:
    """The storm that holds each of these groups, which grow by so many messages, and its reason."""
    found = {}
    for flood, count in many.items():
        storm = facts.floods.storm(flood)
        if storm is None and (reason := _rising(flood, count, facts)) is not None:
            storm = flood, reason
        if storm is not None:
            found[flood] = storm
    return found


def _rising(flood: StormScope, count: int, facts: GateFacts) -> str | None:
    guard = facts.rules.storm
    count += facts.floods.others(flood)
    usual = facts.floods.usual(flood) if guard.is_unusual(flood, count) else None
    return guard.refusal(flood, count, usual)


def _repeats_an_announcement(candidates: Sequence[Candidate], facts: GateFacts) -> Stops:
    """Of several messages about the same visit one is sent; the others wait for its result."""
    found: Stops = {}
    first: dict[str, int] = {}
    for one in candidates:
        if one.visit is not None and not one.is_sent_once:
            first[one.visit.key] = one.id
    for one in candidates:
        if one.visit is None or not one.is_sent_once:
            continue
        is_first = first.setdefault(one.visit.key, one.id) == one.id
        if not is_first or one.visit.key in facts.being_announced:
            found[one.id] = Stop(State.PLANNED, None, facts.now)
        elif (reason := _announced_before(one, one.visit, facts)) is not None:
            found[one.id] = Stop(State.SKIPPED, reason)
    return found


def _announced_before(one: Candidate, visit: Visit, facts: GateFacts) -> str | None:
    announcement = facts.announcement(visit.key)
    if announcement is None or not announcement.is_of(visit):
        return None
    return announcement.reason(one.target, one.key[0])


def _muted(rule: str, task: str) -> str:
    """The reason of a muted message: `rule` has reported the task with the title `task`."""
    return f'muted: rule {rule} has already reported "{task}"'


def _skipped(reason: str | None) -> Stop | None:
    return None if reason is None else Stop(State.SKIPPED, reason)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


# In order; the gates for several candidates come after them.
GATES: tuple[Gate, ...] = (
    _is_too_late,
    _is_switched_off,
    _is_overtaken,
    _has_ended,
    contacts.is_unwanted,
    _is_off_hours,
    contacts.is_off_hours,
    _is_on_trial,
    _is_silenced,
    _is_muted,
    _has_no_recipient,
    _is_on_hold,
)
GATES_OF_EXCUSED: tuple[Gate, ...] = (_is_too_late, contacts.is_unwanted, _is_on_trial)
GATES_OF_SEVERAL: tuple[GateOfSeveral, ...] = (
    _is_in_a_storm,
    _repeats_an_announcement,
    contacts.are_too_many,
)
