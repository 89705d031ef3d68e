"""The doctor's findings: one line each, and a suggestion if something is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.markup import escape

from service.cli.output.console import out


class AccountHealth(StrEnum):
    """How serious a finding is: fine, note (for information) or wrong (Taskbell cannot work)."""

    FINE = "fine"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The health of one part: `says` is a sentence, `advice` a suggestion."""

    subject: str
    verdict: AccountHealth
    says: str
    advice: str | None = None


_MARKS = {
    AccountHealth.FINE: "[green]ok   [/green]",
    AccountHealth.NOTE: "[yellow]note [/yellow]",
    AccountHealth.WRONG: "[red]wrong[/red]",
}


def fine(subject: str, says: str) -> Finding:
    return Finding(subject, AccountHealth.FINE, says)


def note(subject: str, says: str, advice: str) -> Finding:
    return Finding(subject, AccountHealth.NOTE, says, advice)


def wrong(subject: str, says: str, advice: str) -> Finding:
    return Finding(subject, AccountHealth.WRONG, says, advice)


def tell(findings: Sequence[Finding]) -> None:
    """Print a line for each finding, and below it the advice."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        subject = escape(f"{finding.subject:<{width}}")
        out.print(f"{_MARKS[finding.verdict]}  {subject}  {escape(finding.says)}", soft_wrap=True)
        if finding.advice:
            out.print(f"{'':{width + 9}}→ {escape(finding.advice)}", soft_wrap=True)
