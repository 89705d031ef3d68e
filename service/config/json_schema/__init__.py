"""The configuration as a JSON Schema (draft 2020-12), for completion and checks in editors.

It is generated from the pydantic models, so that a new option, system or channel is included
automatically. It contains names, types and fixed words; everything else, such as whether a channel
exists, is only checked by `taskbell check`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.channels import kinds
from service.config.json_schema.descriptions import described
from service.config.json_schema.expectations import expectation
from service.config.json_schema.generator import Generator
from service.config.json_schema.triggers import trigger
from service.config.people import PersonEntryShape
from service.config.root_shape import RootShape
from service.config.rule_tests.expectations import WordsShape, WrittenShape
from service.config.rule_tests.reader import DELETED
from service.config.rule_tests.shapes import TrialShape, TrialStepShape
from service.config.rule_tests.silences import SilenceShape
from service.config.rule_tests.tasks import GivenShape, TaskShape
from service.config.users import UserShape
from service.rules.compiler.defaults import NONE, DefaultsShape
from service.rules.compiler.shapes import (
    STEPS,
    EscalationShape,
    HoursShape,
    NotifyShape,
    RuleShape,
)
from service.sources import systems

Json: TypeAlias = dict[str, Any]
Shapes: TypeAlias = Mapping[str, type[BaseModel]]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_LIMIT = {"type": "string", "pattern": r"^\s*\d{1,6}\s*/\s*[mhd]\s*$"}
_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}


def schema() -> Json:
    """The whole configuration."""
    accounts: Shapes = {name: source.options for name, source in systems().items()}
    channels: Shapes = {name: channel.options for name, channel in kinds().items()}
    parts = _Parts(
        [
            *(RootShape, DefaultsShape, PersonEntryShape, UserShape),
            *(RuleShape, HoursShape, WrittenShape),
            *(TrialShape, TrialStepShape, SilenceShape, GivenShape, TaskShape, WordsShape),
            *STEPS.values(),
            EscalationShape,
            *(*accounts.values(), *channels.values()),
        ]
    )
    parts.name_kinds(accounts, "system")
    parts.name_kinds(channels, "kind")
    parts.name_steps()
    root = parts.take(RootShape)
    _fill(root, "accounts", parts.any_of(accounts.values()))
    _fill(root, "channels", parts.any_of(channels.values()))
    _fill(root, "people", parts.reference(PersonEntryShape))
    _fill(root, "users", parts.reference(UserShape))
    _fill(root, "hours", _TEXT)
    _fill(root, "lists", _TEXT)
    _list(root, "rules", parts.reference(RuleShape))
    _list(root, "tests", parts.reference(TrialShape))
    _complete_rules(parts)
    _complete_tests(parts)
    parts.forget_unused(root)
    return {"$schema": _DRAFT, "title": "taskbell.yaml", **root, "$defs": parts.definitions}


class _Parts:
    """The definitions of all models, by their classes."""

    def __init__(self, shapes: Iterable[type[BaseModel]]) -> None:
        wanted = list(dict.fromkeys(shapes))
        found, document = models_json_schema(
            [(shape, "validation") for shape in wanted], schema_generator=Generator
        )
        self.definitions: Json = document["$defs"]
        self._references = {shape: found[shape, "validation"] for shape in wanted}
        for shape in wanted:
            described(shape, self.of(shape), self.definitions)

    def reference(self, shape: type[BaseModel]) -> Json:
        return dict(self._references[shape])

    def any_of(self, shapes: Iterable[type[BaseModel]]) -> Json:
        return {"anyOf": [self.reference(shape) for shape in shapes]}

    def of(self, shape: type[BaseModel]) -> Json:
        """The definition of a model, to be completed."""
        found: Json = self.definitions[self._name(shape)]
        return found

    def take(self, shape: type[BaseModel]) -> Json:
        """The definition of a model, removed from the definitions."""
        found: Json = self.definitions.pop(self._name(shape))
        return found

    def name_kinds(self, shapes: Shapes, key: str) -> None:
        """Accounts and channels: told apart by one key, named by the user; references allowed."""
        for word, shape in shapes.items():
            made = self.of(shape)
            del made["properties"]["name"]
            made["properties"][key] |= {"const": word}
            made["required"] = sorted({*made["required"], key} - {"name"})
            for name, value in made["properties"].items():
                if name != key:
                    made["properties"][name] = _or_reference(value)

    def name_steps(self) -> None:
        """Each step is distinguished by its first key, which is always present."""
        for word, shape in STEPS.items():
            made = self.of(shape)
            made["required"] = sorted({*made.get("required", ()), word})

    def forget_unused(self, root: Json) -> None:
        """Remove definitions of values that are written in another way."""
        used: set[str] = set()
        names = set(_references(root))
        while names - used:
            name = (names - used).pop()
            used.add(name)
            names |= set(_references(self.definitions[name]))
        self.definitions = {name: self.definitions[name] for name in sorted(used)}

    def _name(self, shape: type[BaseModel]) -> str:
        return str(self._references[shape]["$ref"]).rpartition("/")[2]


def _complete_rules(parts: _Parts) -> None:
    """What the models of rules leave open."""
    rule = parts.of(RuleShape)
    rule["properties"]["when"] |= trigger()
    rule["properties"]["limit"] |= _LIMIT
    _list(rule, "then", parts.any_of(STEPS.values()))
    instead = [shape for word, shape in STEPS.items() if word != "wait"]
    _list(rule, "escalate", parts.reference(EscalationShape))
    for message in (NotifyShape, EscalationShape, DefaultsShape):
        _list(parts.of(message), "on_fail", parts.any_of(instead))
    hours = [_TEXT, parts.reference(HoursShape)]
    several = {"type": "array", "items": {"anyOf": hours}}
    for shape in (rule, parts.of(DefaultsShape)):
        shape["properties"]["hours"]["anyOf"] = [*hours, several]
    for shape, name in ((rule, "expires"), (parts.of(NotifyShape), "on_fail")):
        _or_none(shape, name)
    for name in ("if", "once_per", "accounts"):
        _list(rule, name, _TEXT)


def _complete_tests(parts: _Parts) -> None:
    """What the models of tests leave open."""
    _list(parts.of(TrialShape), "given", parts.reference(GivenShape))
    _list(parts.of(TrialShape), "silences", parts.reference(SilenceShape))
    _list(parts.of(TrialShape), "steps", parts.reference(TrialStepShape))
    change = {"anyOf": [parts.reference(TaskShape), {"const": DELETED}]}
    _fill(parts.of(TrialStepShape), "change", change)
    expected = expectation(parts.take(WordsShape), parts.reference(WrittenShape))
    _list(parts.of(TrialStepShape), "expect", expected)


def _references(part: Any) -> Iterator[str]:
    """The names of the definitions that a part of a schema refers to."""
    if isinstance(part, list):
        for one in part:
            yield from _references(one)
    if isinstance(part, dict):
        if "$ref" in part:
            yield str(part["$ref"]).rpartition("/")[2]
        for one in part.values():
            yield from _references(one)


def _fill(shape: Json, name: str, value: Json) -> None:
    """The schema of every value of a named section."""
    shape["properties"][name]["additionalProperties"] = value


def _or_none(shape: Json, name: str) -> None:
    """A value, or `none` where there is a default."""
    about = shape["properties"][name].pop("description", None)
    value = shape["properties"][name]
    alternatives = value["anyOf"] if value.keys() == {"anyOf"} else [value]
    shape["properties"][name] = {"description": about, "anyOf": [*alternatives, {"const": NONE}]}


def _list(shape: Json, name: str, value: Json) -> None:
    """The schema of every entry of a list, if there is a list."""
    part = shape["properties"][name]
    for one in (part, *part.get("anyOf", ())):
        if one.get("type") == "array":
            one["items"] = value


def _or_reference(value: Json) -> Json:
    """A value, or `${NAME}` in its place."""
    if value.get("type") == "string" and not value.keys() & {"enum", "pattern"}:
        return value
    about: Json = {name: value[name] for name in ("description", "default") if name in value}
    kept = {name: value[name] for name in value if name not in about}
    alternatives = kept["anyOf"] if kept.keys() == {"anyOf"} else [kept]
    return {**about, "anyOf": [*alternatives, _REFERENCE]}
