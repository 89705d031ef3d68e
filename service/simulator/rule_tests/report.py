"""The results of rule tests: for people, as JSON for scripts, and as JUnit XML."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from service.rules.language.date_format import DATE_FORMAT
from service.simulator.rule_tests.actual import Actual
from service.simulator.rule_tests.reasons import Reason
from service.simulator.rule_tests.runner import Failure, RuleTestResult

# What XML cannot hold, not even escaped: https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def lines(result: RuleTestResult) -> Iterator[str]:
    """One line for a test that passed; otherwise the expected and the actual results, and why."""
    trial = result.trial
    if not result.failures:
        yield f"✓ {trial.name}"
        return
    yield f"✗ {trial.name} ({trial.place})"
    for failure in result.failures:
        yield from _failure(failure)


def _failure(failure: Failure) -> Iterator[str]:
    yield f"  {failure.at.strftime(DATE_FORMAT)} ({failure.place})"
    for wanted in failure.missing:
        yield from _paragraph("missing", str(wanted))
    for came in failure.unexpected:
        yield from _paragraph("unexpected", str(came), *came.grounds)
    for came in failure.besides:
        yield from _paragraph("also happened", str(came), *came.grounds)
    for reason in failure.reasons:
        yield from _paragraph("because", reason.event, reason.said, *_values(reason))
    if not failure.reasons:
        yield from _paragraph(
            "because", "since the previous step, nothing happened that triggers a rule"
        )


def _paragraph(word: str, first: str, *others: str) -> Iterator[str]:
    yield f"    {word:<14}{first}"
    yield from (f"{'':<18}{line}" for line in others)


def _values(reason: Reason) -> Iterator[str]:
    width = max((len(text) for text, _ in reason.values), default=0)
    return (f"  {text:<{width}}  {value}" for text, value in reason.values)


def summary(results: Sequence[RuleTestResult]) -> str:
    failed = sum(bool(one.failures) for one in results)
    passed = len(results) - failed
    return f"{passed} passed" + (f", {failed} failed" if failed else "")


def as_json(results: Iterable[RuleTestResult]) -> list[dict[str, Any]]:
    """The results as plain values, for scripts."""
    return [
        {
            "name": one.trial.name,
            "place": one.trial.place,
            "passed": not one.failures,
            "failures": [
                {
                    "at": failure.at,
                    "place": failure.place,
                    "missing": [str(wanted) for wanted in failure.missing],
                    "unexpected": [_as_value(came) for came in failure.unexpected],
                    "besides": [_as_value(came) for came in failure.besides],
                    "reasons": [asdict(reason) for reason in failure.reasons],
                }
                for failure in one.failures
            ],
        }
        for one in results
    ]


def _as_value(came: Actual) -> dict[str, Any]:
    return {"what": str(came), "rule": came.rule, "event": came.event, "reason": came.why}


def junit(results: Sequence[RuleTestResult]) -> bytes:
    """The results as JUnit XML, which build servers read."""
    failed = sum(bool(one.failures) for one in results)
    suite = Element(
        "testsuite", name="taskbell", tests=str(len(results)), failures=str(failed), errors="0"
    )
    for one in results:
        file = one.trial.place.rpartition(":")[0]
        name = _for_xml(one.trial.name)
        case = SubElement(suite, "testcase", name=name, classname=_for_xml(file))
        if one.failures:
            text = _for_xml("\n".join(lines(one)))
            SubElement(case, "failure", message="not as expected").text = text
    return bytes(tostring(suite, encoding="utf-8", xml_declaration=True))


def _for_xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
