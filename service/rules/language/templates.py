"""Liquid templates, with strict syntax and limited work.

A missing value renders as nothing. No template reads the system clock: `now` is a value like any
other, and `local` shows a date in the account's zone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from liquid import Environment, RenderContext
from liquid.exceptions import FilterArgumentError, LiquidError
from liquid.filter import with_context
from liquid.static_analysis import TemplateAnalysis
from liquid.template import BoundTemplate

from service.diagnostics import Issue, Path, did_you_mean
from service.rules.language.date_format import DATE_FORMAT, Day, shown
from service.rules.language.liquid_limits import (
    RenderedText,
    bounded,
    language,
    loose_ranges,
    rendered,
    unreadable,
)
from service.rules.language.template_reads import TextRead, template_reads
from service.rules.language.variables import CHANGED_TASK, misplaced
from service.rules.language.vocabulary import NOUNS, unknown_name
from service.rules.verdict import PLACEHOLDERS

_SHORT = 60
_NAMES = frozenset({*NOUNS, "tasks", "now", "zone"})
# Python's errors from Liquid filters and conditions that do not check their input.
_UNFIT = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)


class RenderError(Exception):
    """A template that cannot be rendered for this task, and why."""


@with_context
def local(moment: Any, form: str = DATE_FORMAT, *, context: RenderContext) -> Any:
    """A date in the account's time zone; any other value unchanged.

    A day is shown without a time, even if the format has one.
    """
    zone = context.globals["zone"]
    if not isinstance(moment, datetime) or not isinstance(zone, tzinfo):
        return moment
    is_day = isinstance(moment, Day)
    try:
        return shown(moment, moment.tzinfo or zone if is_day else zone, str(form), is_day=is_day)
    except (ValueError, OverflowError) as error:
        raise FilterArgumentError(f"local: {error}", token=None) from None


def _language() -> Environment:
    made = language()
    made.add_filter("local", local)
    for name, function in list(made.filters.items()):
        made.filters[name] = bounded(name, function)
    return made


_LIQUID = _language()


class Template:
    """A valid text; `nouns` are the names that it reads from, `reads` the values."""

    def __init__(
        self, text: str, parsed: BoundTemplate, nouns: Iterable[str], reads: Iterable[TextRead]
    ) -> None:
        self.text = text
        self.nouns = frozenset(nouns)
        self.reads = tuple(reads)
        self._parsed = parsed
        self._is_plain = "{{" not in text and "{%" not in text

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with its values; raises RenderError if they do not fit."""
        return self.rendered(values).text

    def rendered(self, values: Mapping[str, Any]) -> RenderedText:
        """The text with its values, and which parts of it are values; raises as `render`."""
        if self._is_plain:
            return RenderedText(self.text, (0, len(self.text)))
        try:
            return rendered(self._parsed, values)
        except LiquidError as error:
            raise RenderError(f"{_shortened(self.text)}: {error.message}") from None
        except _UNFIT:
            raise RenderError(f"{_shortened(self.text)}: it cannot take its values") from None


def template(
    text: str, path: Path, subjects: frozenset[str] = CHANGED_TASK
) -> tuple[Template | None, list[Issue]]:
    """A template made of `text`, or None; and its problems.

    `subjects` are the names that it may read from. A template that reads a field that no task has
    is made all the same: the field renders as nothing.
    """
    if refusal := unreadable(text):
        message, offset = refusal
        return None, [Issue(path, message, offset=offset)]
    try:
        parsed = _LIQUID.from_string(text)
        analysis = parsed.analyze()
    except LiquidError as error:
        return None, [_fault(error, path)]
    if loose := next(loose_ranges(parsed), None):
        message = f"a range such as {loose} can only be used in a loop"
        return None, [
            Issue(path, message, f"write {{% for n in {loose} %}}", loose.token.start_index)
        ]
    read = template_reads(parsed)
    faults = [*_unknown_filters(analysis, path), *_alien(read, subjects, path)]
    names = _NAMES | (subjects & PLACEHOLDERS.keys())
    made = None if faults else Template(text, parsed, names.intersection(analysis.globals), read)
    return made, [*faults, *(found for one in read for found in _missing(one, path, names))]


def _unknown_filters(analysis: TemplateAnalysis, path: Path) -> Iterator[Issue]:
    for name, spans in analysis.filters.items():
        if name not in _LIQUID.filters:
            yield _no_such("filter", name, _LIQUID.filters, path, spans[0].index)


def _alien(read: Iterable[TextRead], subjects: frozenset[str], path: Path) -> Iterator[Issue]:
    """The problems with names that can only be used elsewhere."""
    for one in read:
        name = str(one.segments[0])
        if one.text.startswith(name) and name in _NAMES - {"zone"} - subjects:
            yield misplaced(name, subjects, path, one.offset)


def _missing(read: TextRead, path: Path, names: frozenset[str]) -> Iterable[Issue]:
    """The problem of a value that no task can have."""
    noun = str(read.segments[0])
    unknown, known = unknown_name(read.segments) if noun in names else (noun, names)
    if unknown and unknown in read.text:
        message = f"{read.text} does not exist, so nothing would be shown"
        yield Issue(path, message, did_you_mean(unknown, known), read.offset)


def _fault(error: LiquidError, path: Path) -> Issue:
    offset = error.token.start_index if error.token and error.token.start_index >= 0 else None
    said = str(error.message)
    if found := re.match(r"unexpected tag '(else|elsif|when|end\w+)'", said):
        return Issue(path, f"{{% {found[1]} %}} has no matching tag before it", None, offset)
    if found := re.match(r"unexpected tag '(\w+)'", said):
        return _no_such("tag", found[1], _LIQUID.tags, path, offset)
    if found := re.match(r"expected tag (\w+)", said):
        return Issue(path, f"{{% {found[1]} %}} is missing")
    return Issue(path, f"the text cannot be read: {said}", None, offset)


def _no_such(what: str, word: str, known: Iterable[str], path: Path, offset: int | None) -> Issue:
    hint = "a date is shown by local" if word == "date" else did_you_mean(word, known)
    return Issue(path, f"there is no {what} {word}", hint, offset)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[:_SHORT]}…"
