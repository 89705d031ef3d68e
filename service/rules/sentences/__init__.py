"""A rule as one sentence in plain words, from its text in the configuration.

Every key of the rule language has its words here. What an expression says is put in words where
there are some; otherwise it stays in the sentence as it is written (`Code`).
"""

from collections.abc import Mapping
from typing import Any

from service.rules.sentences.conditions import conditions, filtered
from service.rules.sentences.flow import accounts, combined, qualifiers, waiting
from service.rules.sentences.phrases import Code, Phrase, joined
from service.rules.sentences.steps import steps_words
from service.rules.sentences.triggers import trigger_words
from service.rules.triggers import parse_trigger

__all__ = ["Code", "Phrase", "sentence"]


def sentence(rule: Mapping[str, Any]) -> Phrase:
    """The sentence about a valid rule."""
    begin = (*trigger_words(parse_trigger(rule["when"]), accounts(rule)), *_asked(rule))
    said = (*begin, waiting(rule), ", ", *combined(rule), steps_words(rule["then"]))
    return _merged((*joined([said, *qualifiers(rule)], "; "), "."))


def _asked(rule: Mapping[str, Any]) -> Phrase:
    """Which tasks are chosen, and what must be true."""
    chosen = (", for each task if ", *filtered(rule["for_each"])) if "for_each" in rule else ()
    written = rule.get("if", [])
    texts = written if isinstance(written, list) else [written]
    return (*chosen, *((", and ", *conditions(texts)) if texts else ()))


def _merged(phrase: Phrase) -> Phrase:
    """The phrase with neighbouring words in one piece."""
    parts: list[str] = []
    for part in phrase:
        if parts and not isinstance(part, Code) and not isinstance(parts[-1], Code):
            parts[-1] += part
        elif part:
            parts.append(part)
    return tuple(parts)
