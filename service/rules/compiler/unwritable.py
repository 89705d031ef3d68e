"""Writes that a system would refuse: they lack a required field, or set one it does not have."""

from collections.abc import Iterator

from service.diagnostics import Issue, Path, Severity
from service.domain.system_actions import CREATE
from service.rules.compiler.missing_fields import MissingFields
from service.rules.compiler.shapes import ChangesShape


def unwritable(
    gaps: MissingFields, accounts: int, action: str, changes: ChangesShape, path: Path
) -> Iterator[Issue]:
    """The problems of a write: errors if it fails in all accounts of the rule, else warnings.

    `accounts` is the number of accounts of the rule; in those of `gaps` it can match.
    """
    if not gaps.is_known:
        return
    given = changes.model_dump(exclude_none=True, exclude={"account"}).keys()
    covers = {one: gaps.facts(one) for one in gaps.accounts}
    writing = {one: found for one, found in covers.items() if found is not None and found.sets}
    for word in sorted(given):
        refusing = [one for one, found in writing.items() if word not in found.sets]
        message = f"tasks of {gaps.shown(refusing)} have no field {word}" if refusing else ""
        is_all = len(refusing) == accounts
        yield from _told(refusing, message, "remove it", (*path, word), is_all=is_all)
    if action != CREATE:
        return
    for word in sorted({word for found in writing.values() for word in found.needs} - given):
        lacking = [one for one, found in writing.items() if word in found.needs]
        own = writing[lacking[0]].needs[word]
        message = f"{gaps.shown(lacking)} cannot create a task without {word}"
        hint = f"add {word}: here, or create: {{ {own}: … }} to the account"
        yield from _told(lacking, message, hint, path, is_all=len(lacking) == accounts)


def _told(
    accounts: list[str], message: str, hint: str, path: Path, *, is_all: bool
) -> Iterator[Issue]:
    if accounts:
        severity = Severity.ERROR if is_all else Severity.WARNING
        yield Issue(path, message, hint, at_key=True, severity=severity)
