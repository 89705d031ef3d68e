"""Generates JSON Schema from pydantic models, for values as written in the configuration."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from service.domain.durations import DURATION_PATTERN, LENGTH_PATTERN, Duration

_TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$"
_PLAIN = (str, int, float, bool)


class Generator(GenerateJsonSchema):
    """Durations and times of day are texts; values with a validator may also be texts."""

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        del schema
        return {"type": "string", "pattern": LENGTH_PATTERN, "examples": ["30m", "2h", "1 day"]}

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:
        del schema
        return {"type": "string", "pattern": _TIME_OF_DAY, "examples": ["17:00"]}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        del schema
        return {"type": "string", "examples": ["2026-03-06 16:30"]}

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        if schema["cls"] is not Duration:
            return super().dataclass_schema(schema)
        examples = ["30m", "1 day", "2 business hours"]
        return {"type": "string", "pattern": DURATION_PATTERN, "examples": examples}

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        made = super().function_before_schema(schema)
        if made.get("type") == "string" or schema["schema"].get("cls") is Duration:
            return made
        alternatives = made["anyOf"] if made.keys() == {"anyOf"} else [made]
        return {"anyOf": [*alternatives, {"type": "string"}]}

    def function_plain_schema(
        self, schema: core_schema.PlainValidatorFunctionSchema
    ) -> JsonSchemaValue:
        del schema
        return {}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if not isinstance(made.get("default"), _PLAIN) or _is_length(made):
            made.pop("default", None)
        return made

    def get_title_from_name(self, name: str) -> str:
        """No titles: the names are enough."""
        return name


def _is_length(made: dict[str, Any]) -> bool:
    return str(made["default"]).startswith("PT") or "pattern" in made
