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


class Shape(BaseModel):
    """What a part of the configuration looks like.

    `not_yet` names what the language knows and this version does not: to support one of them is
    to move it from there to a field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    not_yet: ClassVar[frozenset[str]] = frozenset()


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
        problems += [_problem(model, data, path, detail, beside) for detail in details]
    else:
        return (None if problems else made), problems
    return None, _innermost(problems)


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
    if kind == "too_short":
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
        elif detail["type"] == "missing" and part == detail["loc"][-1]:
            place.append(part)
    return tuple(place)


def _shape_at(model: type[BaseModel], location: Path) -> type[BaseModel] | None:
    shape: type[BaseModel] | None = model
    for part in location:
        fields = shape.model_fields if shape else {}
        field = fields.get(str(part))
        inner = (field.annotation, *get_args(field.annotation)) if field else ()
        shape = next((one for one in inner if _is_model(one)), None)
    return shape


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _name(path: Path) -> str:
    """What a person would call the place: its name, or the list it is in."""
    names = [part for part in path if isinstance(part, str)]
    return names[-1] if names else "the configuration"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line[:_SHORT]}…"' if len(line) > _SHORT else f'"{line}"'
