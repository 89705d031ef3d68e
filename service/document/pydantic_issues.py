"""Converts pydantic's errors to problems with their places in the document."""

import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_interface
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from service.diagnostics import Issue, Path, Suggestion, did_you_mean
from service.document.messages import DASHES, name_of, sentence, shortened
from service.document.zones import likely_zone

_EXAMPLES = {
    "then": 'write what to do, such as then: [{ notify: "slack:#office", text: "…" }]',
    "when": "write what triggers the rule, such as when: task.completed",
    "hours": 'give the hours a name, such as hours: { office: "Mo-Fr 08:00-17:00" }',
    "on_fail": 'write what to do instead, such as on_fail: [{ notify: "email:a@example.com" }]',
}

_MISSING = {
    **_EXAMPLES,
    "version": "add version: 1",
    "id": "add id: a-name-of-your-choice",
    "slug": "add slug: your-company, from app.kickserv.com/your-company",
    "base_url": "add base_url: the system's address, which begins with https://",
    "from": 'add from: "Tasks <tasks@example.com>"',
    "every": "add every: 1h",
    "max": "add max: 5, the greatest number",
    "use": "add use: the name of opening hours, as under hours:",
    "by": "add by: the field or the condition that groups tasks",
    "token": "add token: ${NAME}, and set NAME in the environment",
    "routing_key": "add routing_key: ${NAME}, and set NAME in the environment",
}

_NETWORKS = frozenset({"ip_any_network", "ip_v4_network", "ip_v6_network"})
_WORD = re.compile(r"\w+")
_OF_WHAT_IS_NOT_THERE = frozenset({"missing", "value_error"})


def problem_of(
    model: type[BaseModel],
    data: Any,
    path: Path,
    detail: ErrorDetails,
    given: Collection[str],
    siblings: Mapping[str, type[BaseModel]],
) -> Issue:
    """A pydantic error in `data`, which is at `path`, with its place and a suggestion.

    `given` are the keys that nobody has to write there; `siblings` the models that may stand in
    place of this one.
    """
    place = (*path, *_place(data, detail))
    name = name_of(place)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            shape = shape_at(model, detail["loc"][:-1])
            return _unknown_key(place, shape, given, siblings if shape is model else {})
        case "missing":
            hint = _by_example(model, name) or _MISSING.get(name)
            return Issue(place, f"{name} is missing", hint, at_key=True)
        case "refused":
            place = (*place, *context["inside"])
            return Issue(place, context["message"], context["hint"], context["offset"])
        case "zoneinfo_str":
            zone = str(detail["input"])
            hint = likely_zone(zone)
            return Issue(place, f"there is no time zone {shortened(zone)}", hint)
        case "literal_error" | "enum":
            return Issue(place, sentence(name, detail))
        case _:
            return Issue(place, sentence(name, detail), _as_list(name, detail))


def _by_example(model: type[BaseModel], name: str) -> str | None:
    """What to add, if the model itself has an example for the key."""
    for field_name, field in model.model_fields.items():
        if (field.alias or field_name) == name and field.examples:
            return f'add {name}: "{field.examples[0]}"'
    return None


def _as_list(name: str, detail: ErrorDetails) -> str | None:
    """How to write one value where a list is expected."""
    if detail["type"] in _NETWORKS:
        return _as_network(str(detail["input"]))
    if detail["type"] not in {"list_type", "tuple_type"}:
        return _EXAMPLES.get(name)
    if isinstance(detail["input"], dict):
        return DASHES
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    return f"write [{detail['input']}]" if isinstance(detail["input"], str) else None


def _as_network(written: str) -> str | None:
    """How to write an address as a network; None if it is none."""
    if written == "localhost":
        return "write 127.0.0.0/8"
    try:
        meant = ip_interface(written)
    except ValueError:
        return None
    return f"write {meant.network}, or {meant.ip}/{meant.max_prefixlen} for this address alone"


def without_consequences(
    problems: Collection[Issue], is_written: Callable[[Path], bool]
) -> list[Issue]:
    """The problems without missing keys that exist under a misspelt name."""
    meant: dict[Path, set[str]] = {}
    for problem in problems:
        if problem.at_key and isinstance(problem.hint, Suggestion):
            meant.setdefault(problem.path[:-1], set()).add(problem.hint.word)
    return [
        problem
        for problem in problems
        if is_written(problem.path)
        or meant.get(problem.path[:-1], set()).isdisjoint(_WORD.findall(problem.message))
    ]


def _unknown_key(
    place: Path,
    shape: type[BaseModel] | None,
    given: Collection[str],
    siblings: Mapping[str, type[BaseModel]],
) -> Issue:
    key = str(place[-1])
    owners = [name for name, other in siblings.items() if key in _keys(other)]
    if owners:
        message = f"{key} cannot be set here: only {', '.join(owners)} can have it"
        return Issue(place, message, at_key=True)
    hint = did_you_mean(key, (_keys(shape) if shape else set()) - set(given))
    return Issue(place, f"unknown key: {key}", hint, at_key=True)


def _keys(shape: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in shape.model_fields.items()}


def _place(data: Any, detail: ErrorDetails) -> Path:
    """The error's location without the names that pydantic gives to alternatives."""
    place: list[str | int] = []
    for part in detail["loc"]:
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
            place.append(part)
        elif isinstance(data, dict) and detail["type"] in _OF_WHAT_IS_NOT_THERE:
            place.append(part)
    return tuple(place)


def shape_at(model: type[BaseModel], location: Path) -> type[BaseModel] | None:
    """The model of a nested value; None if there is none."""
    shape: type[BaseModel] | None = model
    for part in location:
        fields = shape.model_fields if shape else {}
        field = fields.get(str(part))
        shape = _model_in(field.annotation) if field else None
    return shape


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(one) for one in get_args(annotation))
    return next((one for one in found if one is not None), None)
