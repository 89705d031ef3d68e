"""Connects rules that mute each other: a rule must know which others it mutes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from service.diagnostics import Issue, Path, did_you_mean
from service.rules.mutes import MuteRule
from service.rules.rule import Rule


def linked(rules: Iterable[Rule]) -> list[Rule]:
    """The same rules, each with the `muted_by` of the others that name it."""
    rules = list(rules)
    muted: dict[str, list[MuteRule]] = defaultdict(list)
    for rule in rules:
        if (by := rule.mutings.by) is not None:
            muted[by.rule].append(by)
    return [
        replace(one, mutings=replace(one.mutings, others=tuple(muted[one.id]))) for one in rules
    ]


def muting_faults(placed: Sequence[tuple[Rule, Path]], ids: Collection[str]) -> Iterable[Issue]:
    """The problems with `muted_by`; `ids` are those of all rules, including disabled ones."""
    rules = {rule.id: rule for rule, _ in placed}
    for rule, path in placed:
        if (by := rule.mutings.by) is None:
            continue
        place = (*path, "muted_by", "rule")
        other = rules.get(by.rule)
        if by.rule not in ids:
            yield Issue(place, f"there is no rule {by.rule}", did_you_mean(by.rule, ids))
        elif rule.id in _line(rule, rules):
            yield Issue(place, f"{rule.id} would mute itself")
        elif other is not None and other.grouping is not None:
            message = f"{by.rule} reports several tasks at once and cannot mute other rules"
            yield Issue(place, message)
        elif other is not None and other.trigger.alarm is None:
            message = f"{by.rule} must be a time-based rule; otherwise it would mute forever"
            yield Issue(place, message, "use a rule such as one for task.overdue")


def _line(rule: Rule, rules: Mapping[str, Rule]) -> set[str]:
    """The rules that mute this one, directly or through others."""
    line: set[str] = set()
    by = rule.mutings.by
    while by is not None and by.rule not in line:
        line.add(by.rule)
        by = rules[by.rule].mutings.by if by.rule in rules else None
    return line
