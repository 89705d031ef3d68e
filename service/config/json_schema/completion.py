"""What may be written at a place of a configuration: names, fixed words, names of other parts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from service.config.json_schema import schema
from service.document.yaml_place import ENTRY, Place, Step, names_in, place_of
from service.domain.system_actions import NOTIFICATIONS

Json: TypeAlias = Mapping[str, Any]

_MOST = 40
# By the last name of a path, the section whose names can be written there.
_NAMED = {
    "notify": "channels",
    "approve": "channels",
    "operator": "channels",
    "hours": "hours",
    "use": "hours",
    "accounts": "accounts",
    "in": "accounts",
    "account": "accounts",
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A `label` to choose, what to `insert` in place of what was begun, and what it is about."""

    label: str
    insert: str
    about: str = ""


def suggestions(
    text: str, line: int, column: int, others: Iterable[str] = ()
) -> tuple[str, Sequence[Completion]]:
    """What was begun at a place, and what can stand there; line and column count from 0.

    Names of channels, hours and accounts come from this text and the `others`.
    """
    place = place_of(text, line, column)
    if place is None:
        return "", ()
    begun = place.begun.lstrip("\"'")
    texts = (text, *others)
    found = _values(place, texts) if place.is_value else _names(place, texts)
    fitting = [one for one in found if one.label.lower().startswith(begun.lower())]
    several = {one.label: one for one in fitting if one.label != begun}
    return begun, list(several.values())[:_MOST]


def _names(place: Place, texts: Sequence[str]) -> Iterator[Completion]:
    """The names that the group can still get; or the values of a list's entry."""
    if place.path and place.path[-1] == ENTRY and not place.beside:
        yield from _values(place, texts)
    shapes = [one for one in _shapes(place.path) if one.get("properties")]
    for shape in _narrowed(shapes, place.beside):
        for name, value in shape["properties"].items():
            if name not in place.beside:
                about = str(value.get("description", ""))
                yield Completion(name, f"{name}: ", about)


def _values(place: Place, texts: Sequence[str]) -> Iterator[Completion]:
    """The fixed words, and the names of the section that is meant."""
    for shape in _shapes(place.path):
        for word in _words(shape):
            yield Completion(word, word, "")
    named = [one for one in place.path if one != ENTRY]
    section = _NAMED.get(str(named[-1])) if named and len(place.path) > 1 else None
    if place.path == ("operator",):
        section = "channels"
    if section is not None:
        for name in dict.fromkeys(name for text in texts for name in names_in(text, section)):
            yield Completion(name, name, f"from {section}")
    if named and named[-1] == "notify":
        for name in sorted(NOTIFICATIONS):
            yield Completion(f"{name}:", f"{name}:", "through the system itself")


def _words(shape: Json) -> Iterator[str]:
    values = [*shape.get("enum", ()), *([shape["const"]] if "const" in shape else [])]
    if shape.get("type") == "boolean":
        values += [True, False]
    for value in values:
        yield str(value).lower() if isinstance(value, bool) else str(value)
    if not values:
        yield from (_quoted(str(one)) for one in shape.get("examples", ()))


def _quoted(example: str) -> str:
    """As it has to be written: YAML reads some texts as something else."""
    return f'"{example}"' if not example.replace(" ", "").isalnum() else example


def _narrowed(shapes: Sequence[Json], beside: Mapping[str, str]) -> Sequence[Json]:
    """The shapes that the names which are there already leave; all if that leaves none."""
    fitting = [
        shape
        for shape in shapes
        if beside.keys() <= shape["properties"].keys()
        and all(_fits(shape["properties"][name], value) for name, value in beside.items())
    ]
    return fitting or shapes


def _fits(shape: Json, value: str) -> bool:
    return "const" not in shape or not value or str(shape["const"]) == value


def _shapes(path: Sequence[Step]) -> list[Json]:
    """Every schema that a value at this path may follow."""
    found = list(_alternatives(_whole()))
    for step in path:
        below = [one for shape in found for one in _below(shape, step)]
        found = [one for each in below for one in _alternatives(each)]
    return found


def _below(shape: Json, step: Step) -> Iterator[Json]:
    if step == ENTRY:
        if isinstance(items := shape.get("items"), dict):
            yield items
    elif step in shape.get("properties", {}):
        yield shape["properties"][step]
    elif isinstance(more := shape.get("additionalProperties"), dict):
        yield more


def _alternatives(shape: Json) -> Iterator[Json]:
    """The schema, with its references followed, and each of its alternatives."""
    if "$ref" in shape:
        yield from _alternatives(_whole()["$defs"][str(shape["$ref"]).rpartition("/")[2]])
        return
    yield shape
    for one in shape.get("anyOf", ()):
        yield from _alternatives(one)


@cache
def _whole() -> Json:
    return schema()
