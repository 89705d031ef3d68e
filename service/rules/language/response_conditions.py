"""Conditions over the answer to a webhook, in the language of rules: `success: body.ok == true`."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional

from service.diagnostics import did_you_mean, refused
from service.rules.language.cel_errors import explain, kind
from service.rules.language.expressions import LONGEST

NAMES = ("status", "headers", "body")
_UNKNOWN = re.compile(r"undeclared reference to '(\w+)[\w.]*'")
_NO_KEY = re.compile(r"Key not found in map : \"?([\w.-]{1,60})\"?")


@cache
def _environment() -> cel.Env:
    texts = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    return cel.NewEnv(
        variables={"status": cel.Type.INT, "headers": texts, "body": cel.Type.DYN},
        extensions=[ext_optional.ExtOptional()],
    )


class ResponseCondition:
    """A valid condition; raises ValueError with what is wrong with `text`, which `what` names."""

    def __init__(self, text: str, what: str) -> None:
        if len(text) > LONGEST:
            raise refused(f"{what} is longer than {LONGEST} characters")
        try:
            self._program = _environment().compile(text)
        except RuntimeError as error:
            raise _explained(text, str(error), what) from None
        found = self._program.return_type().name()
        if found not in {"BOOL", "DYN"}:
            raise refused(f"{what} must be true or false, not {kind(found)}")

    def doubt(self, status: int, headers: Mapping[str, str], body: Any) -> str | None:
        """Why it is not true of this answer; None if it is.

        `headers` have their names in lower case; `body` is the JSON in it, or else its text.
        """
        values = {"status": status, "headers": dict(headers), "body": body}
        try:
            result = self._program.eval(_environment().Activation(values))
            value = result.plain_value()
        except (RuntimeError, TypeError) as error:
            return _failure(str(error))
        if result.type() == cel.Type.ERROR:
            return _failure(str(value))
        return None if value is True else "it is not true of this answer"


def _explained(text: str, error: str, what: str) -> ValueError:
    unknown = _UNKNOWN.search(error)
    if unknown is not None and f"{unknown[1]}(" not in text:
        name, hint = unknown[1], did_you_mean(unknown[1], NAMES)
        return refused(f"{what}: unknown name: {name}", hint, text.find(name))
    first = explain(text, error, (what,))[0]
    return refused(f"{what}: {first.message}", first.hint, first.offset)


def _failure(said: str) -> str:
    key = _NO_KEY.search(said)
    return f"the answer has no {key[1]}" if key else "it cannot be evaluated from this answer"
