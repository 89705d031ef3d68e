"""Hides secrets in the lines and values of a configuration that are shown.

Under `accounts`, `channels` and `users` any value may be a secret, also after a misspelt name or in
a comment; the same applies under an unknown name at the top level. Elsewhere it is a value whose
name sounds like one, and `user:password@` in an address.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from service.diagnostics import Diagnostic, Suggestion
from service.document.messages import shortened

HIDDEN = "***"
# What stands at the top of a configuration and holds no credentials (tested against its shape).
OPEN = frozenset(
    (
        *("version", "people", "network", "operator", "timezone", "hours", "holidays"),
        *("storm", "rules", "tests"),
    )
)
_PLAIN = OPEN | {"---", "..."}  # as a line of their own
_SECRETIVE = re.compile(r"token|secret|password|key|url", re.IGNORECASE)
# Braces may hold the secret itself, or be closed far behind it: a name is all in capitals.
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
REFERENCE = re.compile(rf"\$\{{(?:{VARIABLE.pattern}|file:[^{{}}\"',\n]*)\}}")
# Up to the last @, for a password may hold one; our own example is no secret.
_USER = re.compile(r"(?<=//)(?!user:password@)\S+(?=@)")
_TOP = re.compile(r"""["']?([^\s"':#{}\[\]-][^\s"':]*)["']?\s*:(\s|$)""")
_NAMED = re.compile(r"(\s*(?:- +)*(?:[\w.-]+\s*:(?=\s|$)\s*)?)(.*)", re.DOTALL)
_LONGEST_LINE = 10_000  # longer lines do not help
_SHORTEST = 4  # characters of a secret that are looked for in a sentence
_SHORTEST_PART = 7  # of a part of one, unless it stands in quotes
_PIECE = re.compile(r"""(?<!\S)(["'*!&<]*)(\S+)""")
_AROUND = "\"'….,;:()[]<>/"


def of_unreadable(lines: Sequence[str], number: int) -> tuple[str, str]:
    """A line, counted from 0, of a file that is not valid YAML, redacted; and the hidden parts."""
    text = lines[number] if number < len(lines) else ""
    if text.strip() in _PLAIN:
        return text, ""
    if len(text) > _LONGEST_LINE:
        return "", text
    if _top(lines, number) in OPEN:
        return ("", text) if _SECRETIVE.search(text) else (without_users(text), "")
    found = _NAMED.fullmatch(text)
    name, value = found.groups() if found else ("", text)
    return name + stars(value), value


def _top(lines: Sequence[str], number: int) -> str:
    """The name at the top level that a line belongs to; "" below a value that ends on its line."""
    for at in range(min(number, len(lines) - 1), -1, -1):
        if found := _TOP.match(lines[at]):
            return found[1] if at == number or _goes_on(lines[at][found.end() :]) else ""
    return ""


def _goes_on(value: str) -> bool:
    value = value.partition("#")[0].strip()
    return not value or sum(map(value.count, "[{")) > sum(map(value.count, "]}"))


def without(fault: Diagnostic, hidden: Mapping[str, str]) -> Diagnostic:
    """The error, with other words in its sentence in place of `hidden` parts."""
    hint = fault.hint
    if hint is not None and not isinstance(hint, Suggestion):
        hint = _sentence(hint, hidden)
    return replace(fault, message=_sentence(fault.message, hidden), hint=hint)


def _sentence(text: str, hidden: Mapping[str, str]) -> str:
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(shortened(value), f'"{hidden[value]}"')
        if len(value) >= _SHORTEST:
            text = text.replace(value, hidden[value])
    return _PIECE.sub(lambda piece: _piece(piece, hidden), _USER.sub(HIDDEN, text))


def _piece(found: re.Match[str], hidden: Mapping[str, str]) -> str:
    """A word of a sentence, unless it is a part of something hidden."""
    mark, word = found.groups()
    bare = word.strip(_AROUND)
    if not bare or (not mark and len(bare) < _SHORTEST_PART):
        return found[0]
    whole = next((value for value in hidden if bare in value), None)
    return found[0] if whole is None else mark + word.replace(bare, hidden[whole])


def without_users(line: str) -> str:
    """A line with stars in place of the user and the password of every address in it."""
    return _USER.sub(lambda user: stars(user[0]), line)


def stars(text: str) -> str:
    """As many stars as there are characters; references are not secrets."""
    shown = (found[0] for found in REFERENCE.finditer(text))
    hidden = ("*" * len(part) for part in REFERENCE.split(text))
    return "".join(chain.from_iterable(zip_longest(hidden, shown, fillvalue="")))
