"""May this go out now? What each gate says, and which has its say first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.domain.contacts import Choice, Choices, Receivers, SentCounts, keys_in
from service.domain.model import State
from service.domain.operators.holds import Hold
from service.domain.operators.overrides import Mode, Override
from service.domain.operators.silences import Silence
from service.domain.storms import StormScope
from service.outbox import gates
from service.outbox.gates import Candidate, GateFacts
from service.rules.visits import Visit, VisitAnnouncement
from tests.harness.rule_files import configured
from tests.harness.tasks import task

NOON, NIGHT = datetime(2026, 3, 6, 12, tzinfo=UTC), datetime(2026, 3, 6, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = (
    "- { id: all, when: task.created, hours: texting, until: task.done,"
    " then: [{ notify: accounting }] }\n"
    'contacts: { hours: "Mo-Su 08:00-20:00", at_most: { per_day: 2 } }'
)
FLOOD, OTHER = StormScope("field"), StormScope("london")
VISIT = Visit("a visit", "2026-03-08")
HOLD = Hold(3, NOON - HOUR, NIGHT + HOUR, "a funeral", "Ann")
SILENCE = Silence(1, NOON - HOUR, NIGHT + HOUR, "stocktaking")
IDA = keys_in("ida@c.test")
GOT = SentCounts()
for message in (7, 8):
    GOT.add(message, frozenset(replace(one, account="field") for one in IDA), NOON)


@dataclass
class StormCounts:
    """So many others of each flood, and one storm."""

    many: int = 0
    open_: Mapping[StormScope, tuple[StormScope, str]] = field(default_factory=dict)

    def storm(self, flood: StormScope) -> tuple[StormScope, str] | None:
        return self.open_.get(flood)

    def others(self, flood: StormScope) -> int:
        return self.many if flood.is_of_customers else 0

    def usual(self, flood: StormScope) -> float | None:
        del flood
        return None


@dataclass(frozen=True)
class Closed:
    """A gate that is closed: by what is so of the delivery and around it, and what it says."""

    state: State
    reason: str
    delivery: Mapping[str, Any] = field(default_factory=dict)
    around: Mapping[str, Any] = field(default_factory=dict)


# In the order in which they are asked.
GATES = {
    "late": Closed(
        State.EXPIRED,
        "too late: it had to be sent by 2026-03-06 11:00 UTC",
        {"expires_at": NOON - HOUR},
    ),
    "off": Closed(
        State.CANCELLED,
        "cancelled: the rule was switched off by Ann (stocktaking)",
        {},
        {"overrides": {"all": Override(Mode.OFF, "Ann", NIGHT, "stocktaking")}},
    ),
    "ended": Closed(
        State.CANCELLED, "cancelled: no longer needed", {}, {"present": lambda _: task(done=True)}
    ),
    "unwanted": Closed(
        State.SKIPPED,
        "the customer has opted out of messages",
        {"receivers": Receivers((IDA,))},
        {"choices": Choices([Choice(next(iter(IDA)), wants=False, at=NOON)])},
    ),
    "hours": Closed(
        State.HELD, "outside texting hours: waiting until", {"rule": "all"}, {"now": NIGHT}
    ),
    "contact hours": Closed(
        State.HELD,
        "outside contact hours: waiting until",
        {"reaches_customer": True, "rule": "other"},
        {"now": NIGHT},
    ),
    "trial": Closed(
        State.SKIPPED, "on trial (enabled: shadow): it would have been sent now", {"shadow": True}
    ),
    "silence": Closed(State.SKIPPED, "silenced until", {}, {"silences": [SILENCE]}),
    "mute": Closed(
        State.SKIPPED,
        'muted: rule late has already reported "Roof"',
        {"muted_by": "a key"},
        {"muting": {"a key": ("late", "Roof")}.get},
    ),
    "nobody": Closed(
        State.SKIPPED,
        "nobody to send to: ",
        {"channel": "employee"},
        {"present": lambda _: task()},
    ),
    "hold": Closed(
        State.HELD,
        "customer messages are on hold until 2026-03-06 23:00 UTC (Ann): a funeral",
        {"reaches_customer": True},
        {"holds": [HOLD]},
    ),
    "storm": Closed(
        State.HELD,
        "on hold, too many at once: 51 customer messages in 10 minutes (limit 50)",
        {"flood": FLOOD},
        {"floods": StormCounts(50)},
    ),
    "announcement": Closed(
        State.SKIPPED,
        "already sent: rule first has sent",
        {"visit": VISIT},
        {"announcement": {VISIT.key: VisitAnnouncement(VISIT.announced, "first", "field")}.get},
    ),
    "enough": Closed(
        State.HELD,
        "the customer already got 2 messages today: waiting until Sat 7 Mar 2026, 08:00",
        {"reaches_customer": True, "receivers": Receivers((IDA,))},
        {"sent": GOT},
    ),
}
NAMES = list(GATES)


@pytest.fixture
def facts(folder: Path) -> GateFacts:
    """It is noon, and nothing is in anybody's way."""
    return GateFacts(
        now=NOON,
        rules=configured(folder, RULES).rules,
        zones={"field": ZoneInfo("UTC")},
        silences=[],
        present=lambda _: None,
        muting=lambda _: None,
        announcement=lambda _: None,
        floods=StormCounts(),
    )


def candidate(number: int = 1, **changes: Any) -> Candidate:
    one = Candidate(number, ("field", "T1"), "all", "slack", "#office", task)
    return replace(one, **changes)


def said(due: Sequence[Candidate], facts: GateFacts) -> dict[int, tuple[State, str | None]]:
    stops = gates.stops(due, facts)
    return {number: (stop.state, stop.reason) for number, stop in stops.items()}


def test_what_nothing_is_in_the_way_of_goes_out(facts: GateFacts) -> None:
    """By day, of a rule that has not ended, told of for the first time, and no storm."""
    assert said([candidate(flood=FLOOD, visit=VISIT, muted_by="a key")], facts) == {}


@pytest.mark.parametrize("name", NAMES)
def test_each_gate_says_why(name: str, facts: GateFacts) -> None:
    """The state that it leaves a delivery in, and the reason that people read."""
    closed = GATES[name]
    found = said([candidate(**closed.delivery)], replace(facts, **closed.around))
    [(state, reason)] = found.values()
    assert state is closed.state
    assert reason is not None
    assert reason.startswith(closed.reason)


@pytest.mark.parametrize(("first", "second"), list(pairwise(NAMES)))
def test_the_first_closed_gate_has_its_say(first: str, second: str, facts: GateFacts) -> None:
    """Where two are closed, people read the reason that would still be there without the other."""
    one, other = GATES[first], GATES[second]
    due = candidate(**{**other.delivery, **one.delivery})
    [(_, reason)] = said([due], replace(facts, **{**other.around, **one.around})).values()
    assert reason is not None
    assert reason.startswith(one.reason)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_person_wants_sent_passes_what_holds_back_others(
    name: str, facts: GateFacts
) -> None:
    """Only its time, the customer, its trial and too many at once still stop it."""
    closed = GATES[name]
    due = candidate(**closed.delivery, is_exempt=True)
    stops = gates.stops([due], replace(facts, **closed.around))
    assert bool(stops) == (name in {"late", "unwanted", "trial", "storm"})


def test_a_rule_on_trial_since_then_would_have_sent_it(facts: GateFacts) -> None:
    """Planned while the rule was on; one that a person wants sent goes out all the same."""
    around = replace(facts, overrides={"all": Override(Mode.TRIAL, "Ann", NIGHT)})
    reason = "on trial (switched to trial by Ann): it would have been sent now to slack:#office"
    assert said([candidate()], around) == {1: (State.SKIPPED, reason)}
    assert said([candidate(is_exempt=True), candidate(2, rule="other")], around) == {}


def test_nobody_has_approved_it_in_time(facts: GateFacts) -> None:
    """The reason names who was asked, and why it could not be asked about before."""
    due = candidate(approver="#boss", approve_by=NOON, waited="held: its account is away")
    reason = "not approved in time: #boss had until 2026-03-06 12:00 UTC to answer"
    assert said([due], facts) == {1: (State.EXPIRED, f"{reason}; held: its account is away")}


def test_what_is_stopped_before_makes_no_storm(facts: GateFacts) -> None:
    """Of three that are due at once one is muted: two are not too many."""
    around = replace(facts, muting=lambda _: ("late", "Roof"), floods=StormCounts(48))
    due = [candidate(1, flood=FLOOD), candidate(2, flood=FLOOD, muted_by="key")]
    assert list(said([*due, candidate(3, flood=FLOOD)], around)) == [2]
    assert set(said([*due, candidate(3, flood=FLOOD), candidate(4, flood=FLOOD)], around)) == {
        *(1, 2, 3, 4)
    }


def test_an_open_storm_holds_whatever_belongs_to_it(facts: GateFacts) -> None:
    """However few they are, for the reason for which it began; others go."""
    around = replace(facts, floods=StormCounts(open_={FLOOD: (FLOOD, "too many")}))
    due = [candidate(1, flood=FLOOD), candidate(2, flood=OTHER), candidate(3)]
    assert said(due, around) == {1: (State.HELD, "too many")}


def test_of_several_that_tell_the_same_one_goes(facts: GateFacts) -> None:
    """The others wait for what becomes of it; so does all while another process tells it."""
    due = [candidate(number, visit=VISIT) for number in (1, 2, 3)]
    waits = (State.PLANNED, None)
    assert said(due, facts) == {2: waits, 3: waits}
    under_way = replace(facts, being_announced=frozenset({VISIT.key}))
    assert said(due, under_way) == {1: waits, 2: waits, 3: waits}


def test_what_is_told_again_on_purpose_goes_before_what_is_told_once(facts: GateFacts) -> None:
    """With `even_if_told` it goes in any case, and the other one waits for it."""
    due = [candidate(1, visit=VISIT), candidate(2, visit=VISIT, even_if_told=True)]
    assert list(said(due, facts)) == [1]
