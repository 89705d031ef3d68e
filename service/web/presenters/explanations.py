"""Why each rule acted on a task or did not, as shown on the page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from service import config
from service.config import Config
from service.domain.model import Event
from service.errors import ConfigError
from service.explain import Explanation, ExplanationStatus
from service.explain.account_status import Told
from service.explain.rule_versions import RuleVersions
from service.explain.wording import shown_value
from service.rules.language.trace import Trace
from service.rules.ruleset import Ruleset
from service.rules.verdict import TRIAL_ONLY
from service.store.views.task_history import TaskHistory
from service.web import labels

STANDINGS = {
    ExplanationStatus.FIRED: "acted",
    ExplanationStatus.GATHERED: "waits for a combined message",
    ExplanationStatus.SETTLING: "waits",
    ExplanationStatus.FAILED: "could not decide",
    ExplanationStatus.NOT_MATCHED: "did not act",
    ExplanationStatus.UNHEARD: "had no reason to act yet",
    ExplanationStatus.NO_TASK: "not about a single task",
    ExplanationStatus.ELSEWHERE: "for other accounts",
    ExplanationStatus.OFF: "off",
}
"""The status of a rule for a task in words, in the order in which rules are shown."""

# CSS classes: the colours of deliveries in a similar state.
_LOOKS = {
    ExplanationStatus.FIRED: "sent",
    ExplanationStatus.GATHERED: "held",
    ExplanationStatus.SETTLING: "held",
    ExplanationStatus.FAILED: "failed",
}
_ON_TRIAL = "would have acted (on trial)"
_NEVER_HAPPENED = "what the rule waits for has not happened to this task"
_ORDER = list(STANDINGS)
_MOST_NAMED = 10
_MOST_VERSIONS = 20


@dataclass(frozen=True, slots=True)
class ConditionPart:
    """A part of a condition, its value, and its own parts."""

    text: str
    value: str
    parts: tuple["ConditionPart", ...]


@dataclass(frozen=True, slots=True)
class RuleCard:
    """The result of one rule for one task.

    - `standing`: its status in words; `look`: the CSS class of that
    - `says`: the reason in plain words; `detail`: the recorded reason, if that is another text
    - `when`: its trigger as written; `times`: how many events of the task triggered it
    - `event`: the id of the event that it was evaluated for last
    - `lines`: sentences about its next run, its combined message and its schedule
    - `deliveries`: ids of its messages
    """

    rule: str
    standing: str
    look: str
    says: str
    detail: str
    when: str
    times: int
    event: int | None
    lines: tuple[str, ...]
    conditions: tuple[ConditionPart, ...]
    deliveries: tuple[int, ...]


class PastRules:
    """The rules of earlier versions; each version is parsed once."""

    def __init__(self, now: Config) -> None:
        self._now = now
        self._read: dict[str, Ruleset | None] = {}
        self._sketch = now.of_rules

    def versions(self, texts: Mapping[str, str]) -> RuleVersions:
        """The rules in force, and those of these texts that can still be parsed."""
        found = {version: self._rules(version, text) for version, text in texts.items()}
        readable = {version: rules for version, rules in found.items() if rules is not None}
        return RuleVersions(self._now.rules, readable)

    def _rules(self, version: str, text: str) -> Ruleset | None:
        if version == self._now.rules.version:
            return self._now.rules
        if version not in self._read:
            if len(self._read) >= _MOST_VERSIONS:
                self._read.pop(next(iter(self._read)))
            self._read[version] = self._parsed(text)
        return self._read[version]

    def _parsed(self, text: str) -> Ruleset | None:
        try:
            return config.past_rules(text, self._sketch)
        except ConfigError:  # the language has changed since: the rule of today stands in for it
            return None


def cards(
    found: list[Explanation], papers: TaskHistory, zone: ZoneInfo, usual: ZoneInfo
) -> list[RuleCard]:
    """A card for each rule; those that acted come first."""
    ordered = sorted(found, key=lambda one: _ORDER.index(one.standing))
    return [_card(one, papers, zone, usual) for one in ordered]


def _card(one: Explanation, papers: TaskHistory, zone: ZoneInfo, usual: ZoneInfo) -> RuleCard:
    event = next((event for event in papers.events if event.id == one.event), None)
    detail = labels.in_local_time(one.says, zone, usual)
    plain = _plainly(one, event)
    return RuleCard(
        rule=one.rule,
        standing=_ON_TRIAL if _was_on_trial(one) else STANDINGS[one.standing],
        look=_LOOKS.get(one.standing, ""),
        says=plain or _sentence(detail.replace(f"there was no {one.when}", _NEVER_HAPPENED)),
        detail=detail if plain else "",
        when=one.when,
        times=len(one.heard),
        event=None if event is None else event.id,
        lines=tuple(map(_sentence, _lines(one, labels.teller(zone, usual)))),
        conditions=tuple(_part(condition, zone) for condition in one.conditions),
        deliveries=tuple(delivery.id for delivery in one.deliveries),
    )


def _was_on_trial(one: Explanation) -> bool:
    reasons = [delivery.reason or "" for delivery in one.deliveries]
    return bool(reasons) and all(reason.startswith(TRIAL_ONLY) for reason in reasons)


def _plainly(one: Explanation, event: Event | None) -> str:
    """The reason in plain words if the conditions decided; otherwise an empty text."""
    if event is None:
        return ""
    happened = f"The task {labels.HAPPENINGS[event.kind]}"
    if one.standing is ExplanationStatus.FIRED:
        conditions = ", and all conditions of the rule were met" if one.conditions else ""
        return f"{happened}{conditions}."
    unmet = any(condition.value is False for condition in one.conditions)
    if one.standing is ExplanationStatus.NOT_MATCHED and unmet:
        return f"{happened}, but not all conditions of the rule were met."
    return ""


def _lines(one: Explanation, tell: Told) -> Iterator[str]:
    if one.clock is not None:
        yield one.clock
    if (digest := one.digest) is not None and digest.told_at is not None:
        yield f"its combined message for {digest.of} was made {tell(digest.told_at)}"
    elif digest is not None and digest.closes_at is not None:
        names = _named([task.title or task.id for task in digest.tasks])
        at = tell(digest.closes_at)
        yield f"its combined message for {digest.of} goes out {at}, with {names}"
    if one.schedule is not None:
        yield from (said for said in one.schedule.said if said != one.says)
        if one.schedule.chosen:
            names = _named([task.title or task.id for task in one.schedule.chosen])
            yield f"its schedule chose {names}"
    yield from one.notes


def _named(titles: list[str]) -> str:
    more = len(titles) - _MOST_NAMED
    names = ", ".join(titles[:_MOST_NAMED])
    return f"{names} and {more} more" if more > 0 else names


def _part(trace: Trace, zone: ZoneInfo) -> ConditionPart:
    parts = tuple(_part(one, zone) for one in trace.parts)
    return ConditionPart(" ".join(trace.text.split()), _value(trace, zone), parts)


def _value(trace: Trace, zone: ZoneInfo) -> str:
    """The value of a part; yes and no stand for true and false."""
    if trace.value is True:
        return "yes"
    return "no" if trace.value is False else shown_value(trace, zone)


def _sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
