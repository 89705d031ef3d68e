"""Verdicts on several tasks at once: closed digests, and tasks selected for a schedule."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.digests import Digest, DigestRebuild, Group, Member
from service.domain.model import Event, Task
from service.rules.groups import MOST, named
from service.rules.language.expressions import EvaluationError
from service.rules.language.field_reads import all_of, by_noun
from service.rules.language.scope import Scope
from service.rules.language.templates import RenderError
from service.rules.rule import Rule
from service.rules.verdict import Outcome, Plan, Verdict, is_instead

_FEW = 3


def close(
    rule: Rule, digest: Digest, now: datetime, zones: Mapping[str, ZoneInfo]
) -> tuple[Event, Verdict]:
    """The event of a closed digest, with the id of its first event, and the rule's verdict on it.

    The event has the time when the digest was due to close: messages expire counting from then.
    """
    absent = [(one, absence(rule, one, now)) for one in digest.members]
    tasks = [one.task for one, why in absent if one.task is not None and why is None]
    event = Event(
        digest.event,
        digest.account,
        "",
        digest.kind,
        min(digest.closes_at, now),
        digest.cause,
        None,
        None,
        outdated=digest.outdated,
    )
    left_out = [why for _, why in absent if why is not None]
    return event, _told(rule, event, digest.key, tasks, left_out, now, zones)


def form(
    rule: Rule,
    event: Event,
    tasks: Iterable[Task],
    now: datetime,
    zones: Mapping[str, ZoneInfo],
) -> list[Verdict]:
    """The verdicts on the tasks that `for_each` has selected: one digest for each value of `by`.

    A task is judged in the zone of its own account, and told of in that of the event.
    """
    reads = by_noun([rule.reads])
    together: dict[str, list[Task]] = defaultdict(list)
    failures: list[str] = []
    for task in tasks:
        own = replace(event, account=task.account, task_id=task.id, after=task)
        scope = Scope(own, now, zones[task.account], reads)
        try:
            refused = rule.refusal(scope)
            if refused is None and not rule.has_ended(task, now):
                together[rule.group_key(scope)].append(task)
            elif refused is not None and refused.outcome is Outcome.FAILED:
                failures.append(f"task {task.id}: {refused.reason}")
        except EvaluationError as error:
            failures.append(f"task {task.id}: {error}")
    if not together and rule.grouping is not None and rule.grouping.when_empty:
        alone = Scope(event, now, zones[event.account], by_noun([rule.grouping.by.reads]))
        together[rule.group_key(alone)] = []
    told = [
        _told(rule, event, key, alike, [], now, zones) for key, alike in sorted(together.items())
    ]
    if failures:
        told.append(Verdict(rule.id, Outcome.FAILED, f"left out: {listed(failures)}"))
    return told


def rebuilt_plan(rule: Rule, one: DigestRebuild, now: datetime, zone: ZoneInfo) -> Plan | str:
    """Rebuild a customer digest without the tasks that no longer qualify, or return why not."""
    if is_instead(one.once_key):
        return "this message already replaces one that failed"
    try:
        scope = Scope(one.event, now, zone, {}, one.group)
        plan = rule.planning.anew(one.step, one.once_key, one.expires_at, scope)
    except (EvaluationError, RenderError) as error:
        return str(error)
    if plan is None:
        return "the rule no longer has this step"
    if not plan.reaches_customer:
        return f"{plan.receiver} is not a customer of the remaining tasks"
    return plan


def _told(
    rule: Rule,
    event: Event,
    key: str,
    tasks: Sequence[Task],
    left_out: Sequence[str],
    now: datetime,
    zones: Mapping[str, ZoneInfo],
) -> Verdict:
    without = f"; left out: {listed(left_out)}" if left_out else ""
    if not tasks and (rule.grouping is None or not rule.grouping.when_empty):
        reason = f"no tasks are left for the {digest_of(key)}{without}"
        return Verdict(rule.id, Outcome.NOT_MATCHED, reason, group=key)
    reads = by_noun([all_of(one.reads for one in rule.planning.once_per)])
    group = Group(key, tuple(tasks[:MOST]), len(tasks), event.outdated)
    count = f"{len(tasks) or 'no'} task{'' if len(tasks) == 1 else 's'}"
    scope = Scope(event, now, zones[event.account], reads, group, zones)
    return rule.tell(scope, f"{digest_of(key)}: {count}{without}")


def digest_of(key: str) -> str:
    """The name of a digest in reasons."""
    return f"combined message for {named(key)}"


def absence(rule: Rule, member: Member, now: datetime) -> str | None:
    """Why a digest leaves out a task that joined it; None if it does not."""
    task = member.task
    if rule.accounts is not None and member.account not in rule.accounts:
        return f"the rule is no longer for {member.account}"
    if task is None:
        return f"{member.task_id} was deleted"
    if rule.trigger.is_by_clock and not task.is_open:
        return f"{task.id} is {'done' if task.done else 'archived'}"
    if rule.anchor(task) != member.anchor:
        return f"the date of {task.id} has changed"
    if rule.has_ended(task, now):
        return f"{task.id} is no longer needed (`until`)"
    return None


def listed(reasons: Sequence[str]) -> str:
    """The first few of these reasons, and how many more there are."""
    more = len(reasons) - _FEW
    return ", ".join(reasons[:_FEW]) + (f" and {more} more" if more > 0 else "")
