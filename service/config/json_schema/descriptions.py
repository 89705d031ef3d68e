"""Adds the descriptions that editors show for each key of the configuration."""

import re
from typing import Any, TypeAlias

from pydantic import BaseModel

from service.config.json_schema.words import WORDS

Json: TypeAlias = dict[str, Any]

_SENTENCE = re.compile(r"(?<=\.)\s+")


def described(shape: type[BaseModel], made: Json, definitions: Json) -> None:
    """Add the description of each property of a model, and of the models inside it."""
    _describe(shape, made)
    for field in shape.model_fields.values():
        for inner in _shapes_in(field.annotation):
            if inner.__name__ in definitions:
                described(inner, definitions[inner.__name__], definitions)


def _describe(shape: type[BaseModel], made: Json) -> None:
    made.pop("title", None)
    made["description"] = _sentences(shape)[0]
    for name, value in made["properties"].items():
        value.pop("title", None)
        value["description"] = _word(shape, name)


def _word(shape: type[BaseModel], name: str) -> str:
    """The description of a property: from `WORDS`, or the sentence of its class that names it."""
    line = [one for one in shape.__mro__ if issubclass(one, BaseModel)]
    written = [WORDS.get(one.__name__, {}).get(name, "") for one in line]
    said = [one for owner in line for one in _sentences(owner) if f"`{name}`" in one]
    return next(filter(None, (*written, *said)), "")


def _sentences(shape: type[BaseModel]) -> list[str]:
    text = " ".join((shape.__doc__ or shape.__name__).split())
    return _SENTENCE.split(text)


def _shapes_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in getattr(annotation, "__args__", ()) for one in _shapes_in(part)]
