"""The report of a configuration's problems: each once, in order, without any secret."""

import re
from collections.abc import Sequence
from dataclasses import replace

from service.diagnostics import Diagnostic, Issue, Path, Severity
from service.document.interpolation import Substitution
from service.document.messages import NO_VALUE
from service.document.pydantic_issues import without_consequences
from service.document.reading import Document
from service.document.typography import stray

_VALUE = re.compile(r"[^,}\]]*")
_COMMENT = re.compile(r":?\s+(#\S+)")


def faults_of(
    document: Document, substitution: Substitution, problems: Sequence[Issue]
) -> list[Diagnostic]:
    """All problems, in the order of the files, each once, and without any secret."""
    missing = [_whole(problem.path) for problem in substitution.problems]
    told = [
        problem
        for problem in without_consequences(problems, document.holds)
        if problem in substitution.problems
        or not any(problem.path[: len(path)] == path for path in missing)
    ]
    document.secrets.add(substitution.values)
    found = [
        document.secrets.redacted(_with_hint(document.fault(problem)), problem.path)
        for problem in told
    ]
    clean = dict.fromkeys((*document.faults, *map(_with_comment, found)))
    return sorted(clean, key=lambda fault: (fault.file, fault.line, fault.column))


def _with_hint(fault: Diagnostic) -> Diagnostic:
    """The error with a suggestion, if its value has a typographic character."""
    if fault.severity is not Severity.ERROR:
        return fault
    value = _VALUE.match(fault.source_line, max(fault.column - 1, 0))
    odd = None if value is None else stray(value[0])
    return fault if odd is None else replace(fault, hint=f"{odd.message}: {odd.hint}")


def _with_comment(fault: Diagnostic) -> Diagnostic:
    """The error with a suggestion, if a comment stands in place of its value."""
    comment = _COMMENT.match(fault.source_line, max(fault.column - 1, 0))
    if comment is None or not fault.message.endswith(NO_VALUE):
        return fault
    return replace(fault, hint=f'# starts a comment: write it in quotes, as "{comment[1]}"')


def _whole(path: Path) -> Path:
    """The list that a list entry belongs to."""
    return path[:-1] if isinstance(path[-1], int) else path
