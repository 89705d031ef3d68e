"""Parses `expect:`."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from service.config.rule_tests import Expected
from service.config.rule_tests.tasks import date_or_moment, local
from service.diagnostics import Issue, Path, did_you_mean
from service.document.messages import DASHES, must_be
from service.document.validation import Shape, validated
from service.domain.system_actions import BARE, WRITES
from service.rules.compiler.shapes import ChangesShape, one_or_many
from service.rules.steps import DATES

FATES = ("notify", "updated", "cancelled", "skipped", "expired", "held", "failed")
VERBS = (*FATES, *sorted(WRITES))


class WordsShape(Shape):
    """What the texts of a message have to hold."""

    contains: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = ()
    subject: str | None = None


class WrittenShape(ChangesShape):
    """What was written to a task, and the other account in which it was created."""

    account: str | None = Field(None, alias="in")


def read_expected(raw: Any, path: Path, zone: ZoneInfo) -> tuple[Expected | None, list[Issue]]:
    """One expectation, or its problems; dates without a zone are in `zone`."""
    verbs = [verb for verb in VERBS if isinstance(raw, dict) and verb in raw]
    if len(verbs) != 1:
        return None, [_no_verb(raw, verbs, path)]
    (verb,) = verbs
    rest = {name: value for name, value in raw.items() if name != verb}
    if verb in WRITES:
        return _writing(verb, raw[verb], rest, path, zone)
    return _message(verb, raw[verb], rest, path)


def _no_verb(raw: Any, verbs: list[str], path: Path) -> Issue:
    if verbs:
        return Issue(path, f"{' and '.join(verbs)} must be separate items", DASHES)
    if not isinstance(raw, dict) or not raw:
        said = must_be("each item under expect", "something such as notify: slack:#office", raw)
        return Issue(path, said)
    name = str(next(iter(raw)))
    hint = did_you_mean(name, VERBS)
    return Issue((*path, name), f"{name} cannot be used under expect", hint, at_key=True)


def _message(
    verb: str, address: Any, rest: Mapping[str, Any], path: Path
) -> tuple[Expected | None, list[Issue]]:
    words, problems = validated(WordsShape, rest, path)
    if not isinstance(address, str) or not address:
        said = must_be(verb, "an address such as slack:#office", address)
        problems.append(Issue((*path, verb), said))
    if words is None or problems:
        return None, problems
    return Expected(verb, address, words.contains, words.subject), []


def _writing(
    verb: str, written: Any, rest: Mapping[str, Any], path: Path, zone: ZoneInfo
) -> tuple[Expected | None, list[Issue]]:
    problems = [
        Issue((*path, name), f"{verb} cannot be combined with {name}", at_key=True) for name in rest
    ]
    if written is True:
        return Expected(verb), problems
    place = (*path, verb)
    if verb in BARE or not isinstance(written, dict):
        wanted = "true" if verb in BARE else "true or the fields that it writes"
        return None, [*problems, Issue(place, must_be(verb, wanted, written))]
    shape, wrong = validated(WrittenShape, written, place)
    if shape is None:
        return None, [*problems, *wrong]
    fields, wrong = _dated(shape.model_dump(exclude_unset=True, by_alias=True), place, zone)
    return Expected(verb, fields=fields), [*problems, *wrong]


def _dated(
    fields: Mapping[str, Any], path: Path, zone: ZoneInfo
) -> tuple[dict[str, Any], list[Issue]]:
    """The fields, with their dates parsed."""
    read, problems = dict(fields), []
    for name in DATES:
        try:
            read |= {name: _expected_date(fields[name], zone)} if name in fields else {}
        except PydanticCustomError as error:
            said = error.context or {}
            problems.append(Issue((*path, name), said["message"], said["hint"]))
    return read, problems


def _expected_date(written: Any, zone: ZoneInfo) -> date:
    """A time in `zone`, or a day if no time is written."""
    found = date_or_moment(written)
    return local(found, zone) if isinstance(found, datetime) else found
