"""Buttons by which nobody could take a task: the system cannot, or nobody knows who it is."""

from collections.abc import Iterator, Sequence

from service.diagnostics import Issue, Path, Severity
from service.rules import recipients
from service.rules.capabilities import Capabilities, ChannelCapabilities
from service.rules.compiler.missing_fields import MissingFields

_EMAIL = "task.assignee.email"
_SEES = frozenset({"phone", "slack"})
"""What tells under `people` who a receiver is, beside their address."""


def taking(
    reach: Capabilities,
    gaps: MissingFields,
    accounts: Sequence[str],
    way: ChannelCapabilities | None,
    target: str,
    path: Path,
) -> Iterator[Issue]:
    """The problems of the button `take`: an error if no account of the rule can do it."""
    refusals = [said for one in accounts if (said := _refusal(reach, one)) is not None]
    if refusals:
        severity = Severity.ERROR if len(refusals) == len(accounts) else Severity.WARNING
        said = f"nobody can take a task there: {'; '.join(refusals)}"
        yield Issue(path, said, "remove take, or limit the rule by accounts:", severity=severity)
        if severity is Severity.ERROR:
            return
    able = [one for one in accounts if _refusal(reach, one) is None]
    unseen = [one for one in gaps.empty(_EMAIL) if one in able and not reach.given & _SEES]
    if unseen:
        message = f"nobody is known by a mail address in {gaps.shown(unseen)}, so nobody can take"
        hint = "add email: of these people under people:, or slack: (docs/configuration.md#people)"
        yield Issue(path, f"{message} a task there", hint, severity=Severity.WARNING)
    if way is not None and not way.tells_who and "{{" not in target and not _is_person(target):
        message = (
            "Taskbell cannot see who opens the link in this message, so nobody can take a task"
        )
        hint = "send it to a person, or let Slack report its buttons: docs/set-up-slack.md#buttons"
        yield Issue(path, message, hint, severity=Severity.WARNING)


def _refusal(reach: Capabilities, account: str) -> str | None:
    """Why Taskbell cannot assign a task in this account; None if it can, or if that is unknown."""
    refused = reach.refusal(account, "update_task", "")
    known = reach.accounts.get(account)
    if refused is not None or known is None or known.facts is None:
        return refused
    return None if "assignee" in known.facts.sets else f"{account} ({known.system}) has no assignee"


def _is_person(target: str) -> bool:
    return recipients.is_address(target.lstrip("@"))
