"""The JSON Schema of `expect:`."""

from typing import Any, TypeAlias

from service.config.rule_tests.expectations import FATES
from service.domain.system_actions import BARE, WRITES

Json: TypeAlias = dict[str, Any]

_ADDRESS = {"type": "string", "examples": ["slack:#office"]}


def expectation(words: Json, fields: Json) -> Json:
    """One expectation by its verb: a message with `words` about it, or written `fields`."""
    messages = [_one(verb, _ADDRESS, words["properties"]) for verb in FATES]
    writings = [_one(verb, _written(verb, fields), {}) for verb in sorted(WRITES)]
    return {"anyOf": [*messages, *writings]}


def _written(verb: str, fields: Json) -> Json:
    done: Json = {"const": True}
    return done if verb in BARE else {"anyOf": [done, fields]}


def _one(verb: str, value: Json, more: Json) -> Json:
    return {
        "type": "object",
        "properties": {verb: value, **more},
        "required": [verb],
        "additionalProperties": False,
    }
