"""Fingerprints of tasks: they show which tasks of a list have changed."""

from collections.abc import Mapping
from datetime import time
from hashlib import blake2b
from typing import Any

import orjson

from service.domain.days import LAST

_LEVELS = 100
_LONGEST_SALT = 16  # bytes that blake2b takes


def salt_of(revision: int, people: bytes, due_by: time, options: str = "") -> bytes:
    """The inputs of a source's fingerprints beside the task: if they change, all tasks are parsed.

    `people` is the digest of the directory of people, `due_by` the time at which days are due,
    `options` the account's other options by which a task is read (`Account.read_by`).
    """
    revised = b"%d" % revision if revision else b""
    due = b"" if due_by == LAST else due_by.isoformat().encode()
    salt = revised + people + due + options.encode()
    return salt if len(salt) <= _LONGEST_SALT else blake2b(salt, digest_size=_LONGEST_SALT).digest()


def fingerprint(raw: Mapping[str, Any], salt: bytes = b"") -> bytes:
    """A digest of a task's JSON in lists, the same in every process: equal means unchanged.

    `salt` has up to 16 bytes. Values nested more deeply than orjson can write are left out; no
    system uses them.
    """
    try:
        written = orjson.dumps(raw)
    except orjson.JSONEncodeError:
        written = orjson.dumps(_shallow(raw, _LEVELS))
    return blake2b(written, digest_size=16, salt=salt).digest()


def _shallow(value: Any, levels: int) -> Any:
    """A JSON value down to this many levels, with None for anything below."""
    if isinstance(value, dict):
        return {name: _shallow(one, levels - 1) for name, one in value.items()} if levels else None
    if isinstance(value, list):
        return [_shallow(one, levels - 1) for one in value] if levels else None
    return value
