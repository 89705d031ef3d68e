"""Translates CEL compile errors for people who write rules."""

import re
from collections.abc import Iterator

from service.diagnostics import Issue, Path, Suggestion, did_you_mean
from service.document.typography import stray
from service.rules.language.vocabulary import NOUNS, PACKAGE, field_names

WORDS = frozenset({"now", "date", "has", "size", "duration", "timestamp"})
KNOWN = frozenset({*NOUNS, "tasks", *WORDS})

_FUNCTIONS = frozenset(
    {
        "has",
        "size",
        "duration",
        "timestamp",
        "date",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
    }
    | {"exists", "all", "filter"}
)
_EXAMPLES = {
    "size": "size(task.tags)",
    "duration": 'duration("24h")',
    "timestamp": 'timestamp("2026-05-01T00:00:00Z")',
    "date": "date(task.due)",
    "contains": 'task.title.contains("boiler")',
    "startsWith": 'task.title.startsWith("Reminder")',
    "endsWith": 'task.title.endsWith("!")',
    "matches": 'task.title.matches("[0-9]+")',
    "exists": 'task.tags.exists(t, t == "vip")',
    "all": 'task.tags.all(t, t != "vip")',
    "filter": 'task.tags.filter(t, t != "vip")',
}
_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*?)(?: \[[A-Z_]+\])?$", re.MULTILINE)
_FAILED = "*error*"  # the type of what has an error of its own
_KINDS = {
    "string": "text",
    "int": "a number",
    "uint": "a number",
    "double": "a number with decimals",
    "bool": "true or false",
    "null_type": "nothing",
    "timestamp": "a date",
    "duration": "a duration",
    "list": "a list",
    "map": "a group of named values",
    "struct": "a group of named values",
    "bytes": "bytes",
    "dyn": "a value of any kind",
    "any": "a value of any kind",
    "null": "nothing",
    "optional_type": "a value that may be missing",
    "optional": "a value that may be missing",
    "type": "the name of a kind",
}
_NULL_HINT = "to ask whether there is a value, write has(task.…)"
_NOT = "not"
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_UNREADABLE = "the expression cannot be read here"
_AFTER = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w.]+)\s*(?:$|&&|\|\||\))""")
_DAY = re.compile(r"""["'](\d{4}-\d{2}-\d{2})""")
_UNIT = r"(\d{1,4})\s*(s|m|h|d|w|sec|min|(?:second|minute|hour|day|week)s?)"
_LENGTH = re.compile(rf"""["']{_UNIT}["']""")
_LENGTH_HERE = re.compile(rf"(?<![\w.]){_UNIT}$")
_TIMES = {"d": 24, "w": 24 * 7}  # hours
_BEFORE = re.compile(r"([\w.]+)\s*$")


def explain(text: str, error: str, path: Path) -> list[Issue]:
    """Every error that CEL found in `text`; only the first syntax error, which causes others."""
    found = list(_ERROR.finditer(error))
    if not found:
        return [Issue(path, _limit(error))]
    problems = [_problem(text, one, path) for one in found if _FAILED not in one[3]]
    is_syntax = found[0][3].startswith("Syntax error")
    return problems[:1] if is_syntax else problems


def kind(name: str) -> str:
    """The name of a CEL type for people."""
    if name.startswith(f"{PACKAGE}."):
        return f"a {name.removeprefix(f'{PACKAGE}.').lower()}"
    plain = name.removeprefix("google.protobuf.").lower()
    around = re.split(r"[<(]", plain)[0]
    return _KINDS.get(plain) or _KINDS.get(around) or "something else"


def _problem(text: str, found: re.Match[str], path: Path) -> Issue:
    line, column, said = int(found[1]), int(found[2]), found[3]
    if line < 1:
        return Issue(path, _limit(said))
    offset = sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1
    for pattern, words in _SAYINGS:
        if match := re.match(pattern, said):
            message, hint = words(match, text, offset)
            return Issue(path, message, hint, _beginning(pattern, match, text, offset))
    return Issue(path, _UNREADABLE, None, offset)


def _beginning(pattern: str, match: re.Match[str], text: str, offset: int) -> int:
    """The offset of the name: CEL points at the dot or bracket behind it."""
    if pattern is _FIELD:
        return offset + 1 if text[offset : offset + 1] == "." else offset
    if pattern is _NAME:
        root = match[1].split(".")[0]
        return max(text.rfind(root, 0, offset + len(root) + 1), 0)
    if pattern is _SYNTAX and text[:offset].rstrip().endswith(_NOT):
        return len(text[:offset].rstrip()) - len(_NOT)
    return offset


def _field(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del text, offset
    noun = match[2].removeprefix(f"{PACKAGE}.")
    article = "an" if noun[0] in "AEIOU" else "a"
    return f"{article} {noun.lower()} has no {match[1]}", did_you_mean(match[1], field_names(noun))


_NOTHING = "to ask whether there is one, write has(…), as in has(task.due)"
_CONSTANTS = {
    "true": "write true",
    "false": "write false",
    **dict.fromkeys(("none", "nil", "null", "nothing", "undefined"), _NOTHING),
}


def _name(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    root = match[1].split(".")[0]
    if text[offset:].removeprefix(root).startswith("("):
        if root in _EXAMPLES:
            return f"{root} is not used like this", f"write for example {_EXAMPLES[root]}"
        return f"there is no function {root}", did_you_mean(root, _FUNCTIONS)
    if root in field_names("Task"):
        return f"unknown name: {root}", Suggestion(f"task.{root}")
    if (meant := _CONSTANTS.get(root.casefold())) is not None:
        return f"unknown name: {root}", meant
    hint = did_you_mean(root, KNOWN)
    if not isinstance(hint, Suggestion):
        hint = f'if it is meant as text, write "{root}"'
    return f"unknown name: {root}", hint


def _mismatch(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    operator = match[1].strip("_@")
    kinds = [kind(one) for one in _split(match[2])]
    hint = _NULL_HINT if "nothing" in kinds else None
    if match[1] == "_[_]":
        return f"{kinds[0]} cannot be read with {kinds[1]} in [ ]", None
    if match[1] == "_?_:_" and kinds[0] == kind("bool"):
        return f"both sides of : must be of one kind, not {' and '.join(kinds[1:])}", None
    if match[1] == "_?_:_":
        return f"a condition must be true or false, not {kinds[0]}", hint
    if len(kinds) != 2 or not operator or operator[0].isalpha():  # noqa: PLR2004
        return f"{operator or 'this'} cannot be used with {' and '.join(kinds)}", hint
    left, right = _BEFORE.search(text[:offset]), _AFTER.match(text[offset + len(operator) :])
    hint = _as_date(kinds, text) or _as_number(kinds) or hint
    if left and right and kinds[0] != kinds[1]:
        which = f"{left[1]} is {kinds[0]} and {right[1]} is {kinds[1]}"
        return f"{which}; they cannot be {_used(operator)} {operator}", hint
    return f"{kinds[0]} and {kinds[1]} cannot be {_used(operator)} {operator}", hint


def _as_date(kinds: list[str], text: str) -> str | None:
    """How to write the text that a date is compared or combined with."""
    if sorted(kinds) != sorted((kind("timestamp"), kind("string"))):
        return None
    day = _DAY.search(text)
    if day is None and (length := _LENGTH.search(text)) is not None:
        return _as_duration(length)
    return f'write timestamp("{day[1] if day else "2026-05-01"}T00:00:00Z")'


def _as_number(kinds: list[str]) -> str | None:
    """How to write the number that another one is compared or combined with."""
    if {*kinds} != {kind("int"), kind("double")}:
        return None
    return "write both with decimals or both without; double(…) makes one with decimals"


def _as_duration(length: re.Match[str]) -> str:
    """A number and a unit, as an expression has them: in hours, minutes or seconds."""
    unit = length[2][0].lower()
    amount = int(length[1]) * _TIMES.get(unit, 1)
    return f'write duration("{amount}{unit if unit in "ms" else "h"}")'


def _used(operator: str) -> str:
    return "compared with" if operator in _COMPARISONS else "combined with"


def _operand(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del text, offset
    return f"{kind(match[1])} has no fields", None


def _reserved(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del text, offset
    return f"{match[1]} cannot be used as a name", 'in an expression, write a ? b : c for "if"'


def _has(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del match, text, offset
    return "has() needs a field", "write for example has(task.due)"


def _variable(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del text, offset
    hint = f'write for example {match[1]}(t, t != "")'
    return f"{match[1]} must start with a name for each item", hint


def _range(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del text, offset
    return f"{kind(match[1])} is not a list", None


def _number(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del match, text, offset
    return "this number is not valid", None


def _syntax(match: re.Match[str], text: str, offset: int) -> tuple[str, str | None]:
    del match
    if (odd := stray(text[offset : offset + 1])) is not None:
        return odd.message, odd.hint
    rest = text[offset:].lstrip()
    if not rest:
        hint = "a bracket is not closed" if text.count("(") > text.count(")") else None
        return "the expression ends too early", hint
    if text[:offset].rstrip().endswith(_NOT):
        return '"not" does not fit here', "write !"
    word = rest.split()[0]
    if (length := _LENGTH_HERE.search(f"{text[:offset]}{word}")) is not None:
        return f'"{word}" does not fit here', _as_duration(length)
    hints = {
        "and": "write &&",
        "or": "write ||",
        "=": "write == to compare",
        "is": "write == to compare",
    }
    if word[0] in "\"'":
        return "a quotation mark is not closed", None
    return f'"{word}" does not fit here', hints.get(word.lower())


_FIELD = r"undefined field '(.+?)' not found in struct '(.+?)'"
_NAME = r"undeclared reference to '(.+?)'"
_SYNTAX = r"Syntax error"
_SAYINGS = (
    (_FIELD, _field),
    (_NAME, _name),
    (r"found no matching overload for '(.+?)' applied to '\((.*)\)'", _mismatch),
    (r"expression of type '(.+?)' cannot be the operand", _operand),
    (_SYNTAX, _syntax),
    (r"reserved identifier: (\w+)", _reserved),
    (r"has\(\) argument", _has),
    (r"(\w+)\(\) variable name", _variable),
    (r"expression of type '(.+?)' cannot be the range", _range),
    (r"invalid (?:int|uint|double|float) literal", _number),
)


def _split(kinds: str) -> Iterator[str]:
    """The parts between the commas outside brackets."""
    yield from re.split(r", (?![^(]*\))", kinds)


def _limit(said: str) -> str:
    if "recursion" in said:
        return "the expression is nested too deeply"
    return _UNREADABLE
