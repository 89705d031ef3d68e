"""What a silence covers, and when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.operators.silences import SCOPES, Silence, covering, described
from tests.harness.tasks import ANN, BO, SMITH, START, task

HOUR = timedelta(hours=1)
SILENCE = Silence(1, START, START + HOUR, "the office is moving")
WHY = "silenced until 2026-03-06 13:00 UTC (silence 1): the office is moving"
VISIT = task(customer=SMITH, assignee=BO, assignees=(BO, ANN))


def why(*silences: Silence, after: timedelta = timedelta(0), **said: Any) -> str | None:
    """Why a message about the visit does not go out."""
    message: dict[str, Any] = {
        "rule": "job-done",
        "channel": "slack",
        "target": "#office",
        "account": "london",
        "task": VISIT,
    } | said
    found = covering(silences, **message, now=START + after)
    return None if found is None else found.refusal


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, None), (0, WHY), (1, WHY), (3599, WHY), (3600, None), (3601, None)],
)
def test_it_holds_from_its_beginning_until_before_its_end(seconds: int, said: str | None) -> None:
    """A silence is on from its very beginning, and not any more at its end."""
    silence = replace(SILENCE, rule="job-done")
    assert why(silence, after=timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        ({"rule": "job-done"}, {}),
        ({"account": "london"}, {}),
        ({"customer": "c1"}, {}),
        ({"customer": "smith"}, {}),
        ({"person": "Bo@x.test"}, {"channel": "email", "target": "bo@x.test"}),
        ({"person": "bo@x.test"}, {"target": "@bo@x.test"}),
        ({"person": "ann@x.test"}, {"channel": "employee", "target": ""}),
        ({"rule": "job-done", "customer": "Smith"}, {}),
    ],
)
def test_what_it_covers(scopes: dict[str, Any], said: dict[str, Any]) -> None:
    """Ids, names and addresses, however they are written; all that it names has to be so."""
    assert why(replace(SILENCE, **scopes), **said) is not None


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        ({"rule": "other"}, {}),
        ({"account": "field"}, {}),
        ({"customer": "Smithson"}, {}),
        ({"project": "P1"}, {}),
        ({"person": "bo@x.test"}, {}),
        ({"person": "bo@x.test"}, {"channel": "customer", "target": "details"}),
        ({"rule": "job-done", "customer": "Jones"}, {}),
        ({"rule": "job-done"}, {"channel": "create_task", "target": ""}),
        ({"customer": "c1"}, {"task": task()}),
        ({"customer": "c1"}, {"task": None}),
        ({"person": "bo@x.test"}, {"channel": "employee", "target": "", "task": None}),
    ],
)
def test_what_it_does_not_cover(scopes: dict[str, Any], said: dict[str, Any]) -> None:
    """Whoever is only worked for is not written to; what is written to a system is no message."""
    assert why(replace(SILENCE, **scopes), **said) is None


def test_of_several_the_one_that_ends_last_says_why() -> None:
    """Of several silences that cover a message, the reason names the one that ends last."""
    later = replace(SILENCE, id=2, ends_at=START + 2 * HOUR, reason="still moving")
    assert why(SILENCE, later) == "silenced until 2026-03-06 14:00 UTC (silence 2): still moving"
    assert (
        why(later, SILENCE, after=HOUR)
        == "silenced until 2026-03-06 14:00 UTC (silence 2): still moving"
    )
    assert why(SILENCE, later, after=2 * HOUR) is None


@pytest.mark.parametrize("scope", SCOPES)
def test_what_depends_on_a_task(scope: str) -> None:
    """Who is assigned, the customer and the project are read from it; the rule is not."""
    named: dict[str, Any] = {scope: "x"}
    one = replace(SILENCE, **named)
    assert one.looks_at_tasks == (scope not in {"rule", "account"})
    assert described({name: getattr(one, name) for name in SCOPES}) == f"{scope} x"
    assert described(dict.fromkeys(SCOPES)) == "everything"
