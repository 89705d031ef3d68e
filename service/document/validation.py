"""Values against the shape they should have, and what is wrong with them in plain words."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, get_args
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from service.durations import parse_length
from service.faults import Path, Problem, did_you_mean

_SHORT = 40

Model = TypeVar("Model", bound=BaseModel)
Form = TypeVar("Form", bound="Shape")


class Shape(BaseModel):
    """What a part of the configuration looks like.

    `not_yet` names what the language knows and this version does not: to support one of them is
    to move it from there to a field. `stand_ins` take the place of what it cannot be without and
    what cannot be read, so that the rest of it is checked all the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    not_yet: ClassVar[frozenset[str]] = frozenset()
    stand_ins: ClassVar[Mapping[str, Any]] = {}


def not_supported(name: str) -> str:
    """What is said of something that the language will know."""
    return f"{name} is not supported yet"


def validated(
    model: type[Model], data: Any, path: Path, given: Mapping[str, Any] | None = None
) -> tuple[Model | None, list[Problem]]:
    """The model made of `data` and of what is `given` beside it, or every problem with it.

    Fields that are lengths of time are read as everywhere in the configuration (`2m`).
    """
    beside = given or {}
    if not isinstance(data, dict):
        message = f"{_name(path)} holds names and values; {kind_of(data)}"
        return None, [Problem(path, message)]
    problems = [
        Problem((*path, name), f"{name} is not given here", at_key=True)
        for name in beside
        if name in data
    ]
    lengths, unread = _lengths(model, data, path)
    problems += unread
    wrong = {problem.path[-1] for problem in unread}
    rest = {name: value for name, value in data.items() if name not in wrong}
    try:
        made = model.model_validate({**rest, **lengths, **beside})
    except ValidationError as error:
        details = error.errors(include_url=False)
        found = [_problem(model, data, path, detail, beside) for detail in details]
        problems += [
            problem
            for detail, problem in zip(details, found, strict=True)
            if detail["type"] != "missing" or not _is_misspelt(problem, found)
        ]
    else:
        return (None if problems else made), problems
    return None, _innermost(problems)


def salvaged(shape: type[Form], data: Any, path: Path) -> tuple[Form | None, list[Problem]]:
    """The shape made of what is sound in `data`, and every problem with the rest.

    None where it cannot be without what is wrong.
    """
    made, problems = validated(shape, data, path)
    if made is not None or not isinstance(data, dict):
        return made, problems
    sound = _sound(shape, data, [problem.path[len(path) :] for problem in problems])
    return (None if sound is None else validated(shape, sound, path)[0]), problems


def _sound(
    shape: type[Shape], data: Mapping[str, Any], wrong: Collection[Path]
) -> dict[str, Any] | None:
    """`data` without what is wrong, as far inside as possible, and with what stands in for it."""
    kept = dict(shape.stand_ins)
    for name, value in data.items():
        inside = [place[1:] for place in wrong if place[:1] == (name,)]
        inner = _shape_at(shape, (name,))
        if not inside:
            kept[name] = value
        elif () not in inside and isinstance(value, dict) and inner and issubclass(inner, Shape):
            left = _sound(inner, value, inside)
            kept |= {} if left is None else {name: left}
    needed = {f.alias or name for name, f in shape.model_fields.items() if f.is_required()}
    return kept if needed <= kept.keys() else None


def _is_misspelt(missing: Problem, problems: Collection[Problem]) -> bool:
    """Whether what is missing seems to be there under a name that is not known."""
    said = (missing.path[:-1], f"did you mean {missing.path[-1]}?")
    return any((one.path[:-1], one.hint) == said for one in problems)


def _innermost(problems: Collection[Problem]) -> list[Problem]:
    """One problem a place: of a value that may be one or several, pydantic speaks twice."""
    paths = {problem.path for problem in problems}
    around = {path[:length] for path in paths for length in range(len(path))}
    kept = {problem.path: problem for problem in problems if problem.path not in around}
    return list(kept.values())


def kind_of(value: Any) -> str:
    """`3 is a number`, `this is a list`: what was found, for the end of a sentence."""
    if value is None:
        return "nothing is given"
    if isinstance(value, bool):
        return f"{str(value).lower()} is true or false"
    if isinstance(value, int | float):
        return f"{value} is a number"
    if isinstance(value, list):
        return "this is a list"
    if isinstance(value, dict):
        return "this is a group of names and values"
    return f"{_short(str(value))} is text"


def _lengths(
    model: type[BaseModel], data: Mapping[str, Any], path: Path
) -> tuple[dict[str, timedelta], list[Problem]]:
    lengths, problems = {}, []
    for name, field in model.model_fields.items():
        if timedelta not in (field.annotation, *get_args(field.annotation)) or name not in data:
            continue
        try:
            lengths[name] = parse_length(data[name])
        except PydanticCustomError as error:
            said = error.context or {}
            problems.append(Problem((*path, name), f"{name}: {said['message']}", said["hint"]))
    return lengths, problems


def _problem(
    model: type[BaseModel],
    data: Any,
    path: Path,
    detail: ErrorDetails,
    given: Collection[str],
) -> Problem:
    place = (*path, *_place(data, detail))
    name = _name(place)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            shape = _shape_at(model, detail["loc"][:-1])
            return _unknown_name(place, shape, given)
        case "missing":
            return Problem(place, f"{name} is missing", at_key=True)
        case "refused":
            place = (*place, *context["inside"])
            return Problem(place, context["message"], context["hint"], context["offset"])
        case "zoneinfo_str":
            zone = str(detail["input"])
            hint = did_you_mean(zone, available_timezones())
            return Problem(place, f"there is no time zone {_short(zone)}", hint)
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace("'", "")
            return Problem(place, f"{name} is {expected}; {kind_of(detail['input'])}")
        case kind:
            return Problem(place, _sentence(kind, name, detail))


def _unknown_name(place: Path, shape: type[BaseModel] | None, given: Collection[str]) -> Problem:
    name = str(place[-1])
    if shape is not None and name in getattr(shape, "not_yet", ()):
        return Problem(place, not_supported(name), at_key=True)
    known = {field.alias or key for key, field in shape.model_fields.items()} if shape else set()
    hint = did_you_mean(name, known - set(given))
    return Problem(place, f"there is no {name} here", hint, at_key=True)


_OF_WHAT_IS_NOT_THERE = frozenset({"missing", "value_error"})
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "time_delta_type": "a length of time such as 30m, 2h or 1 day",
    "time_delta_parsing": "a length of time such as 30m, 2h or 1 day",
    "ip_any_network": "a network such as 10.0.0.0/8",
    "ip_v4_network": "a network such as 10.0.0.0/8",
    "ip_v6_network": "a network such as 10.0.0.0/8",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a group of names and values",
    "model_type": "a group of names and values",
    "model_attributes_type": "a group of names and values",
    "mapping_type": "a group of names and values",
}


def _sentence(kind: str, name: str, detail: ErrorDetails) -> str:
    if kind in _WANTED:
        return f"{name} is {_WANTED[kind]}; {kind_of(detail['input'])}"
    if kind in {"too_short", "string_too_short"}:
        return f"{name} is empty"
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    return f"{name}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


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


def _shape_at(model: type[BaseModel], location: Path) -> type[BaseModel] | None:
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


def _name(path: Path) -> str:
    """What a person would call the place: its name, or the list it is in."""
    names = [part for part in path if isinstance(part, str)]
    return names[-1] if names else "the configuration"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line[:_SHORT]}…"' if len(line) > _SHORT else f'"{line}"'
