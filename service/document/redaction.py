"""Hides secrets in the lines and values of a configuration that are shown.

Under `accounts`, `channels` and `users` any value may be a secret, also after a misspelt name or in
a comment; the same applies under an unknown name at the top level. Elsewhere it is a value whose
name sounds like one, and `user:password@` in an address.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from types import MappingProxyType

from service.diagnostics import Diagnostic, Suggestion
from service.document.messages import shortened

HIDDEN = "***"
# What stands at the top of a configuration and holds no credentials (tested against its shape).
OPEN = frozenset(
    (
        *("version", "people", "network", "operator", "timezone", "hours", "holidays"),
        *("storm", "contacts", "defaults", "lists", "rules", "tests"),
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
_SCHEME = re.compile("[a-z+]+://")
_NONE: Mapping[str, str] = MappingProxyType({})
_LONGEST_LINE = 10_000  # longer lines do not help
_SHORTEST = 4  # characters of a secret that are looked for in a sentence
_SHORTEST_PART = 7  # of a part of one that begins or ends in the middle of a word
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_SPACES = re.compile(r"(\s+)")
_MARKED = re.compile(r"""(?<!\S)(['*!&<]+)(\S+)""")
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


def without(
    fault: Diagnostic, hidden: Mapping[str, str], elsewhere: Mapping[str, str] = _NONE
) -> Diagnostic:
    """The error, with other words in place of secrets; Taskbell's own words stay as they are.

    `hidden` are the secrets at the error's own place, which its message may repeat, also in part:
    in quotes, or behind a symbol of YAML. Those `elsewhere`, and what a hint repeats, are whole.
    """
    hint = fault.hint
    if hint is not None and not isinstance(hint, Suggestion):
        hint = _whole(hint, {**elsewhere, **hidden})
    message = _quoted(_USER.sub(HIDDEN, fault.message), hidden)
    message = _MARKED.sub(lambda word: word[1] + _word(word[2], hidden), message)
    return replace(fault, message=_whole(message, {**elsewhere, **hidden}), hint=hint)


def _whole(text: str, hidden: Mapping[str, str]) -> str:
    """A sentence without the secrets in it that cannot be words of ours."""
    for value in sorted(hidden, key=len, reverse=True):
        is_no_word = not value.isalpha() and not _SCHEME.fullmatch(value)
        if len(value) >= _SHORTEST_PART and is_no_word:
            text = text.replace(value, hidden[value])
    return text


def _quoted(text: str, hidden: Mapping[str, str]) -> str:
    """A sentence without the secrets between its first and its last quotation mark."""
    found = _QUOTED.search(text)
    if found is None:
        return text
    said = found[1]
    for value in sorted(hidden, key=len, reverse=True):
        if shortened(value) == f'"{said}"' or len(value) >= _SHORTEST:
            said = said.replace(shortened(value)[1:-1], hidden[value])
    said = "".join(_word(word, hidden) for word in _SPACES.split(said))
    return text[: found.start(1)] + said + text[found.end(1) :]


def _word(word: str, hidden: Mapping[str, str]) -> str:
    """A word that somebody wrote, unless it is a part of a secret."""
    bare = word.strip(_AROUND)
    whole = next((value for value in hidden if _is_part(bare, value)), None)
    return word if whole is None else word.replace(bare, hidden[whole])


def _is_part(word: str, value: str) -> bool:
    """Whether a word shows a part of a secret: its beginning, a word in it, or a longer run."""
    runs = range(len(word) - _SHORTEST_PART + 1)
    if any(word[at : at + _SHORTEST_PART] in value for at in runs):
        return True
    return bool(word) and re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", value) is not None


def without_users(line: str) -> str:
    """A line with stars in place of the user and the password of every address in it."""
    return _USER.sub(lambda user: stars(user[0]), line)


def stars(text: str) -> str:
    """As many stars as there are characters; references are not secrets."""
    shown = (found[0] for found in REFERENCE.finditer(text))
    hidden = ("*" * len(part) for part in REFERENCE.split(text))
    return "".join(chain.from_iterable(zip_longest(hidden, shown, fillvalue="")))
