"""The directory of people: `people: { user_456: { name: Bo Reed, email: bo@example.com } }`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from service.channels.email.addresses import as_spoken
from service.config.rule_tests.tasks import Id
from service.diagnostics import Issue, Path, refused
from service.document.validation import Shape, salvaged
from service.domain.directory import GIVES, SLACK_ID, Directory, folded
from service.domain.model import Person
from service.sources.values import identifier

_PART = "people"
_HINT = "add name:, email:, number:, phone: or slack:"
_SLACK_ID = r"[UW][A-Z0-9]+"  # docs.slack.dev/reference/objects/user-object
_PHONE = re.compile(r"\+?[\d\s().-]{6,}")


def _address(written: str) -> str:
    address = written.strip()
    is_misplaced = "${" in address  # which is said already
    if as_spoken(address) is None and not is_misplaced:
        raise refused(f'"{address}" is not an email address', "write for example bo@example.com")
    return address


def _phone(written: Any) -> Any:
    """YAML takes a number without quotes for an amount, and drops its plus or its zero."""
    if isinstance(written, int) and not isinstance(written, bool):
        raise refused("phone must be in quotes", 'write for example "+4915112345678"')
    if isinstance(written, str) and "${" not in written and not _PHONE.fullmatch(written):
        message = f'"{written}" is not a phone number'
        raise refused(message, 'write for example "+4915112345678"')
    return written


def _slack_id(written: Any) -> Any:
    if isinstance(written, str) and "${" not in written and not re.fullmatch(_SLACK_ID, written):
        hint = 'write for example U012AB3CD: "Copy member ID" in the menu of their profile in Slack'
        raise refused(f'"{written}" is not the id of a person in Slack', hint)
    return written


class PersonEntryShape(Shape):
    """Details of a person that their system does not provide."""

    name: Annotated[str, Field(min_length=1)] | None = None
    email: Annotated[str, AfterValidator(_address)] | None = None
    number: Id | None = None
    phone: Annotated[str, BeforeValidator(_phone)] | None = None
    slack: Annotated[str, BeforeValidator(_slack_id)] | None = None


def read_people(raws: Mapping[str, Any]) -> tuple[Directory, list[Issue]]:
    """The directory, and its problems."""
    entries: dict[str, Person] = {}
    slack: dict[str, str] = {}
    problems: list[Issue] = []
    first: dict[str, str] = {}
    for key, raw in raws.items():
        path: Path = (_PART, key)
        problems += _key_problems(key, first.setdefault(folded(key), key), path)
        shape, wrong = salvaged(PersonEntryShape, raw, path)
        problems += wrong
        if raw == {}:
            problems.append(Issue(path, f"{key} has no details", _HINT))
        if shape is not None:
            known = identifier(key) or key
            entries[known] = Person(**shape.model_dump(exclude={"slack"}))
            if shape.slack is not None:
                problems += _second(slack.setdefault(shape.slack, known), known, path)
    return Directory(entries, slack), problems


def _second(first: str, key: str, path: Path) -> list[Issue]:
    if first == key:
        return []
    message = f"{key} is the same person in Slack as {first}, who is already listed"
    return [Issue((*path, "slack"), message, "give each person their own id")]


def given_by(raws: Mapping[str, Any]) -> frozenset[str]:
    """The fields that the directory has for any person, even if their values are invalid."""
    written = {word for raw in raws.values() if isinstance(raw, dict) for word in raw}
    return frozenset({*GIVES, SLACK_ID}) & written


def _key_problems(key: str, first: str, path: Path) -> list[Issue]:
    if not folded(key):
        message = "an entry under people: has no id or name before the colon"
        hint = "write the id or the name from their system before the colon"
        return [Issue(path, message, hint, at_key=True)]
    if first != key:
        return [Issue(path, f"{key} is the same as {first}, which is already listed", at_key=True)]
    return []
