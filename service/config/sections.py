"""The named sections of a configuration, accounts and channels, each validated by its kind."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from service.diagnostics import Issue, Path, did_you_mean
from service.document.messages import shortened
from service.document.validation import validated
from service.domain.system_actions import BUILT_IN

Named = TypeVar("Named", bound=BaseModel)


def read_named(
    part: str,
    raws: Mapping[str, Any],
    key: str,
    base: type[Named],
    shapes: Mapping[str, type[Named]],
) -> tuple[dict[str, Named], list[Issue]]:
    """The entries of a section: the class of each is that of `shapes` which its `key` names.

    If there is no such class, the options in common (`base`) are validated.
    """
    found: dict[str, Named] = {}
    problems: list[Issue] = []
    for name, raw in raws.items():
        path: Path = (part, name)
        kind = str(raw.get(key)) if isinstance(raw, dict) else ""
        if not isinstance(raw, dict):
            problems.append(Issue(path, f"{name} needs {key}: and its other settings"))
        elif kind not in shapes:
            problems.append(_unknown_kind((*path, key), raw.get(key), shapes))
            problems += _common_problems(base, raw, key, path)
        else:
            made, wrong = validated(shapes[kind], raw, path, {"name": name}, shapes)
            problems += wrong
            if made is not None:
                found[name] = made
    return found, problems


def _unknown_kind(path: Path, kind: Any, known: Iterable[str]) -> Issue:
    if kind is None:
        hint = f"add {path[-1]}: one of {', '.join(sorted(known))}"
        return Issue(path, f"{path[-1]} is missing", hint, at_key=True)
    return Issue(
        path, f"there is no {path[-1]} {shortened(str(kind))}", did_you_mean(str(kind), known)
    )


def _common_problems(
    base: type[Named], raw: Mapping[str, Any], key: str, path: Path
) -> Iterator[Issue]:
    common = {word: raw[word] for word in raw if word in base.model_fields}
    _, problems = validated(base, {**common, key: ""}, path, {"name": ""})
    return (problem for problem in problems if problem.path[len(path)] in common)


_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def account_names(names: Iterable[str]) -> Iterator[Issue]:
    """The problems with the names of accounts, which are used in `/hooks/NAME`."""
    hint = "up to 64 letters, digits, dots, dashes and underscores; first a letter or a digit"
    for name in names:
        if not _ACCOUNT.fullmatch(name):
            message = f'"{name}" cannot be an account\'s name: it is part of the webhook address'
            yield Issue(("accounts", name), message, hint, at_key=True)


def channel_names(names: Iterable[str]) -> Iterator[Issue]:
    """The problems with the names of channels, which are used in `notify: NAME:TARGET`."""
    for name in names:
        if name in BUILT_IN:
            message = f"{name} is built in: choose another name for your channel"
            yield Issue(("channels", name), message, at_key=True)
        elif not name or ":" in name:
            message = f'"{name}" cannot be a channel\'s name: in a rule, it ends at the colon'
            hint = "write it without a colon; the target comes after the colon"
            yield Issue(("channels", name), message, hint, at_key=True)
