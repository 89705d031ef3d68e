"""Validates values against pydantic models: the model, and all problems."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from service.diagnostics import Issue, Path
from service.document.messages import SETTINGS, must_be, name_of
from service.document.pydantic_issues import problem_of, shape_at
from service.domain.durations import parse_length

Model = TypeVar("Model", bound=BaseModel)
_NONE: Mapping[str, Any] = MappingProxyType({})
Form = TypeVar("Form", bound="Shape")


class Shape(BaseModel):
    """What a part of the configuration looks like.

    `stand_ins` take the place of what it cannot be without and what cannot be read, so that the
    rest of it is checked all the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    stand_ins: ClassVar[Mapping[str, Any]] = {}


def validated(
    model: type[Model],
    data: Any,
    path: Path,
    given: Mapping[str, Any] = _NONE,
    siblings: Mapping[str, type[BaseModel]] = _NONE,
) -> tuple[Model | None, list[Issue]]:
    """The model made of `data` and of `given` values, or every problem with it.

    A key that only one of the `siblings` has is reported with their names.

    Durations are parsed as everywhere in the configuration (`2m`).
    """
    if not isinstance(data, dict):
        what = f"each of {name_of(path)}" if isinstance(path[-1], int) else name_of(path)
        return None, [Issue(path, must_be(what, SETTINGS, data))]
    lengths, problems = _lengths(model, data, path)
    wrong = {problem.path[-1] for problem in problems}
    rest = {name: value for name, value in data.items() if name not in wrong}
    problems += [
        Issue((*path, name), f"{name} cannot be set here; it is the key above", at_key=True)
        for name in given
        if name in data
    ]
    switches = list(_switches(model, data, path))
    try:
        made = model.model_validate({**rest, **lengths, **given})
    except ValidationError as error:
        found = _found(error, model, data, path, given, siblings)
        return None, _innermost([*problems, *found, *switches])
    problems += switches
    return (None if problems else made), problems


def salvaged(
    shape: type[Form],
    data: Any,
    path: Path,
    siblings: Mapping[str, type[BaseModel]] = _NONE,
) -> tuple[Form | None, list[Issue]]:
    """The model made of the valid parts of `data`, and every problem with the rest.

    None if a required part is invalid.
    """
    made, problems = validated(shape, data, path, siblings=siblings)
    if made is not None or not isinstance(data, dict):
        return made, problems
    sound = _sound(shape, data, [problem.path[len(path) :] for problem in problems])
    return (None if sound is None else validated(shape, sound, path)[0]), problems


def _sound(
    shape: type[Shape], data: Mapping[str, Any], wrong: Collection[Path]
) -> dict[str, Any] | None:
    """`data` without its invalid parts, as far inside as possible, and with stand-ins."""
    kept = dict(shape.stand_ins)
    for name, value in data.items():
        inside = [place[1:] for place in wrong if place[:1] == (name,)]
        inner = shape_at(shape, (name,))
        if not inside:
            kept[name] = value
        elif () not in inside and isinstance(value, dict) and inner and issubclass(inner, Shape):
            left = _sound(inner, value, inside)
            kept |= {} if left is None else {name: left}
    needed = {f.alias or name for name, f in shape.model_fields.items() if f.is_required()}
    return kept if needed <= kept.keys() else None


def _found(
    error: ValidationError,
    model: type[BaseModel],
    data: Mapping[str, Any],
    path: Path,
    given: Collection[str],
    siblings: Mapping[str, type[BaseModel]],
) -> list[Issue]:
    details = error.errors(include_url=False)
    return [problem_of(model, data, path, detail, given, siblings) for detail in details]


def _innermost(problems: Collection[Issue]) -> list[Issue]:
    """One problem per place: for a value or list of values, pydantic reports two."""
    paths = {problem.path for problem in problems}
    around = {path[:length] for path in paths for length in range(len(path))}
    kept = {problem.path: problem for problem in problems if problem.path not in around}
    return list(kept.values())


def _lengths(
    model: type[BaseModel], data: Mapping[str, Any], path: Path
) -> tuple[dict[str, timedelta], list[Issue]]:
    lengths, problems = {}, []
    for name, field in model.model_fields.items():
        if timedelta not in (field.annotation, *get_args(field.annotation)) or name not in data:
            continue
        try:
            lengths[name] = parse_length(data[name])
        except PydanticCustomError as error:
            said = error.context or {}
            problems.append(Issue((*path, name), f"{name}: {said['message']}", said["hint"]))
    return lengths, problems


def _switches(model: type[BaseModel], data: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    """Problems with true and false where a number belongs: pydantic reads them as 1 and 0."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        value, inner = data.get(key), shape_at(model, (name,))
        if isinstance(value, bool) and _is_number(field.annotation):
            yield Issue((*path, key), must_be(key, "a number", value))
        if isinstance(value, dict) and inner is not None:
            yield from _switches(inner, value, (*path, key))


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))
