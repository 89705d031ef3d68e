"""Users of the page: `users: { anna: { role: operator, password: "$argon2id$…" } }`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import AfterValidator, BeforeValidator, SecretStr

from service.diagnostics import Issue, Path, did_you_mean, refused
from service.document.messages import shortened
from service.document.validation import Shape, validated
from service.domain.actors import Role
from service.settings import passwords

_PART = "users"
# Without spaces, so that no name reads like "someone on this machine" in the history.
_NAME = re.compile(r"[^\W_][\w.@+-]{0,63}")
NAME_HINT = "up to 64 letters, digits and . _ @ + -, such as anna; first a letter or a digit"


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in, with their name and the argon2 hash of their password."""

    name: str
    role: Role
    hash: SecretStr


NOBODY: Mapping[str, User] = MappingProxyType({})


def _role(written: Any) -> Any:
    if isinstance(written, str) and written not in list(Role):
        raise refused(f"there is no role {shortened(written)}", did_you_mean(written, Role))
    return written


def _hash(written: SecretStr) -> SecretStr:
    if "${" not in written.get_secret_value():  # a missing reference is reported already
        passwords.demand_hash(written.get_secret_value())
    return written


class UserShape(Shape):
    """A person who may sign in at the page."""

    role: Annotated[Role, BeforeValidator(_role)]
    password: Annotated[SecretStr, AfterValidator(_hash)]


def read_users(raws: Mapping[str, Any]) -> tuple[dict[str, User], list[Issue]]:
    """The users by their keys (`key_of`), and the problems."""
    users: dict[str, User] = {}
    problems: list[Issue] = []
    first: dict[str, str] = {}
    for name, raw in raws.items():
        path: Path = (_PART, name)
        key = key_of(name)
        problems += _name_problems(name, first.setdefault(key, name), path)
        shape, wrong = validated(UserShape, raw, path)
        problems += wrong
        if shape is not None:
            users[key] = User(name, shape.role, shape.password)
    return users, problems


def key_of(name: str) -> str:
    """What a user's name is compared by: telephones begin a word with a capital letter."""
    return normalize("NFC", name.strip()).casefold()


def is_name(name: str) -> bool:
    """Whether a user may have this name."""
    return _NAME.fullmatch(name) is not None


def _name_problems(name: str, first: str, path: Path) -> list[Issue]:
    if not is_name(name):
        message = f"{shortened(name)} cannot be a user's name" if name else "a user has no name"
        return [Issue(path, message, NAME_HINT, at_key=True)]
    if first != name:
        return [Issue(path, f"{name} is the same as {first}, which is already listed", at_key=True)]
    return []
