"""What a rule says: as a sentence, and as it is written in the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from service.rules.sentences import Code, sentence

_LINE = 100  # characters


@dataclass(frozen=True, slots=True)
class Words:
    """A part of a sentence; `is_code`: it is shown as it is written in the file."""

    text: str
    is_code: bool


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule in words, and as it is written."""

    id: str
    words: Sequence[Words]
    yaml: str

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> "RuleText":
        words = [Words(part, isinstance(part, Code)) for part in sentence(rule)]
        return cls(str(rule["id"]), words, _yaml(rule))


def _yaml(rule: Mapping[str, Any]) -> str:
    writer, text = YAML(), StringIO()
    writer.width = _LINE
    writer.dump(dict(rule), text)
    return text.getvalue()
