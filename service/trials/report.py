"""How rule tests went: for people, and as JUnit XML for a build server."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from service.trials.running import Failure, Outcome

_TIME = "%a %-d %b %Y, %H:%M"


def lines(outcome: Outcome) -> Iterator[str]:
    """One line for a test that passed; for another, what was expected and what came, and why."""
    trial = outcome.trial
    yield f"{'✗' if outcome.failures else '✓'} {trial.name}"
    for failure in outcome.failures:
        yield from _failure(failure)
    if outcome.failures:
        yield f"  written in {trial.place}"


def _failure(failure: Failure) -> Iterator[str]:
    yield f"  by {failure.at.strftime(_TIME)}"
    yield from (f"    missing   {one}" for one in failure.missing)
    yield from (f"    unasked   {one}" for one in failure.unasked)
    yield from (f"    decided   {one}" for one in failure.decided)
    if not failure.decided:
        yield "    decided   nothing: no rule matched what happened since the step before"


def summary(outcomes: Sequence[Outcome]) -> str:
    failed = sum(bool(one.failures) for one in outcomes)
    passed = len(outcomes) - failed
    return f"{passed} passed" + (f", {failed} failed" if failed else "")


def as_json(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.trial.name,
            "place": one.trial.place,
            "passed": not one.failures,
            "failures": [
                {
                    "at": failure.at,
                    "missing": [str(wanted) for wanted in failure.missing],
                    "unasked": [str(came) for came in failure.unasked],
                    "decided": failure.decided,
                }
                for failure in one.failures
            ],
        }
        for one in outcomes
    ]


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """The results as JUnit XML, which build servers read."""
    failed = sum(bool(one.failures) for one in outcomes)
    suite = Element(
        "testsuite", name="taskbell", tests=str(len(outcomes)), failures=str(failed), errors="0"
    )
    for one in outcomes:
        file = one.trial.place.rpartition(":")[0]
        case = SubElement(suite, "testcase", name=one.trial.name, classname=file)
        if one.failures:
            text = "\n".join(lines(one))
            SubElement(case, "failure", message="not as expected").text = text
    return bytes(tostring(suite, encoding="utf-8", xml_declaration=True))
