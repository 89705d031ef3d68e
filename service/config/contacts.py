"""`contacts:`: read, with its problems."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic_core import PydanticCustomError

from service.config.root_shape import RootShape
from service.diagnostics import Issue, Path, Severity, did_you_mean
from service.domain.opening_hours import Hours, read_hours
from service.rules.capabilities import Capabilities
from service.rules.compiler.lints import opens_never
from service.rules.contacts.policy import ContactsPolicy

_AT: Path = ("contacts", "hours")


def read_contacts(
    root: RootShape, hours: Mapping[str, Hours], reach: Capabilities
) -> tuple[ContactsPolicy, list[Issue]]:
    """The policy, with these named opening hours, and its problems."""
    shape = root.contacts
    used, problems = _hours(root, hours, reach)
    if shape.consent == "opt_in":
        problems += _by_id_only(reach)
    problems += _never_the_same(shape.same_customer_by, reach)
    policy = ContactsPolicy(
        shape.consent == "opt_in",
        used,
        None if shape.at_most is None else shape.at_most.per_day,
        frozenset(shape.same_customer_by),
    )
    return policy, problems


def _hours(
    root: RootShape, hours: Mapping[str, Hours], reach: Capabilities
) -> tuple[Hours | None, list[Issue]]:
    """The opening hours, by their name or as they are written."""
    written = root.contacts.hours
    if written is None or written in hours or (written.isidentifier() and "hours" in reach.unread):
        return None if written is None else hours.get(written), []
    try:
        days = root.holidays
        found = read_hours("contact", written, days.country, days.closed, days.subdivision)
    except PydanticCustomError as error:
        if written.isidentifier():
            hint = did_you_mean(written, hours)
            return None, [Issue(_AT, f"unknown opening hours: {written}", hint)]
        said = error.context or {}
        return None, [Issue(_AT, said["message"], said["hint"], said["offset"])]
    return found, list(_never_open(found))


def _never_open(hours: Hours) -> Iterable[Issue]:
    if opens_never(hours):
        message = "customers never get messages: these hours never open"
        yield Issue(_AT, message, severity=Severity.WARNING)


def _by_id_only(reach: Capabilities) -> Iterator[Issue]:
    """Warnings about accounts whose customers are not recognised by an address that agreed."""
    for shown in _lacking(reach, ("email", "phone")):
        message = f"customers of {shown} can agree by their ids only: its tasks lack addresses"
        hint = "enter who agrees with taskbell contacts opt-in --customer ID --account NAME"
        yield Issue(("contacts", "consent"), message, hint, severity=Severity.WARNING)


def _never_the_same(names: Sequence[str], reach: Capabilities) -> Iterator[Issue]:
    """Warnings about accounts whose customers are never recognised in other accounts."""
    for shown in _lacking(reach, names) if names else ():
        message = (
            f"customers of {shown} are never recognised in other accounts:"
            f" a customer has no {' and no '.join(names)} there"
        )
        yield Issue(("contacts", "same_customer_by"), message, severity=Severity.WARNING)


def _lacking(reach: Capabilities, names: Iterable[str]) -> Iterator[str]:
    """The accounts, with their systems, whose tasks have none of these of their customers."""
    wanted = {f"customer.{name}" for name in names}
    for account, one in reach.accounts.items():
        if one is not None and one.facts is not None and one.facts.fills.isdisjoint(wanted):
            yield f"{account} ({one.system})"
