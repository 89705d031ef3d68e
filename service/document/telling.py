"""What is told of the problems with a configuration: each once, in order, without any secret."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.document import Document
from service.document.problems import without_consequences
from service.document.substitution import Substitution
from service.document.typography import stray
from service.document.wording import NOTHING_GIVEN
from service.faults import Fault, Path, Problem, Severity

_SHORTEST_SECRET = 4
_VALUE = re.compile(r"[^,}\]]*")
_COMMENT = re.compile(r":?\s+(#\S+)")


def faults_of(
    document: Document, substitution: Substitution, problems: Sequence[Problem]
) -> list[Fault]:
    """Everything found, in the order of the files, each once, and without any secret."""
    missing = [_whole(problem.path) for problem in substitution.problems]
    told = [
        problem
        for problem in without_consequences(problems, document.holds)
        if problem in substitution.problems
        or not any(problem.path[: len(path)] == path for path in missing)
    ]
    found = [_with_stray(document.fault(problem)) for problem in told]
    shown = {value: reference for reference, value in substitution.values.items()}
    shown.update(dict.fromkeys(document.secrets, "***"))
    clean = dict.fromkeys(_redacted(fault, shown) for fault in (*document.faults, *found))
    return sorted(clean, key=lambda fault: (fault.file, fault.line, fault.column))


def _with_stray(fault: Fault) -> Fault:
    """A fault of a value with a character out of a word processor in it says so."""
    if fault.severity is not Severity.ERROR:
        return fault
    value = _VALUE.match(fault.source_line, max(fault.column - 1, 0))
    odd = None if value is None else stray(value[0])
    if odd is None:
        return _with_comment(fault)
    return replace(fault, hint=f"{odd.message}: {odd.hint}")


def _with_comment(fault: Fault) -> Fault:
    """A fault of a value that is not given, where a comment stands in its place."""
    comment = _COMMENT.match(fault.source_line, max(fault.column - 1, 0))
    if comment is None or not fault.message.endswith(NOTHING_GIVEN):
        return fault
    return replace(fault, hint=f'# begins a comment: write it in quotes, as "{comment[1]}"')


def _redacted(fault: Fault, shown: Mapping[str, str]) -> Fault:
    """The fault with what is to be shown in place of each secret."""
    message, hint = fault.message, fault.hint
    for value in sorted(shown, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            message = message.replace(value, shown[value])
            hint = hint and hint.replace(value, shown[value])
    return replace(fault, message=message, hint=hint)


def _whole(path: Path) -> Path:
    """The value that one of a list belongs to."""
    return path[:-1] if isinstance(path[-1], int) else path
