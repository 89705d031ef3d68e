"""The names that rules can use: a task, the task before, the event, with fields and types.

They are derived from `domain.model`, so that a field added there is in the language. The same names
are used in conditions, as protobuf messages that CEL can type-check, and in templates, as plain
values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache, lru_cache
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from service.domain.digests import Group
from service.domain.model import DAYS, Customer, Event, Person, Project, Task
from service.rules.language.date_format import Day

PACKAGE = "taskbell"
LONGEST_TEXT = 10_000  # of which conditions see the beginning
NO_ZONES: Mapping[str, ZoneInfo] = MappingProxyType({})
NOUNS = {"task": Task, "before": Task, "event": Event, "group": Group}

_OF_LISTS = frozenset({"first", "last", "size"})
_HIDDEN: dict[type, frozenset[str]] = {
    Event: frozenset({"id", "task_id", "before", "after"}),
    Person: frozenset({"from_directory"}),
    Task: frozenset({"revision"}),
}
_SCALARS = {
    str: FieldDescriptorProto.TYPE_STRING,
    bool: FieldDescriptorProto.TYPE_BOOL,
    int: FieldDescriptorProto.TYPE_INT64,
}
_GIVEN = {
    datetime: timestamp_pb2.Timestamp.DESCRIPTOR.full_name,
    Mapping: struct_pb2.Struct.DESCRIPTOR.full_name,
}


@cache
def names(noun: type) -> Mapping[str, Any]:
    """The fields of a noun that rules can read, and the type of each."""
    hints = get_type_hints(noun)
    hidden = _HIDDEN.get(noun, frozenset())
    return {field.name: hints[field.name] for field in fields(noun) if field.name not in hidden}


def field_names(noun: str) -> set[str]:
    """The fields of a noun given by its name, such as `Task`."""
    return next((set(names(one)) for one in _TYPES if one.__name__ == noun), set())


def field_holds(noun: type, name: str, inner: str = "") -> Any:
    """The type of a field, or of one inside of it; None if there is no field of that name."""
    if name not in names(noun):
        return None
    kind, _, several = _inner(names(noun)[name])
    if inner:
        return field_holds(kind, inner) if is_dataclass(kind) and isinstance(kind, type) else None
    return tuple if several else kind


def unknown_name(path: Sequence[Any]) -> tuple[str | None, frozenset[str]]:
    """The first unknown name of a path, and the names that are possible there; or None.

    A part of the path that is not text is a list index.
    """
    noun: Any = NOUNS.get(path[0])
    is_list = False
    for name in path[1:]:
        if is_list:
            is_list = False
            if isinstance(name, str) and name not in _OF_LISTS:
                return name, _OF_LISTS
            continue
        if not (isinstance(noun, type) and is_dataclass(noun)) or not isinstance(name, str):
            break
        known = names(noun)
        if name not in known:
            return name, frozenset(known)
        noun, _, is_list = _inner(known[name])
    return None, frozenset()


def as_values(
    noun: Any, zone: ZoneInfo, zones: Mapping[str, ZoneInfo] = NO_ZONES
) -> dict[str, Any]:
    """A noun as plain values for a template; dates stay dates, and days are days of this zone.

    The days of a task are those of its account, if that is among the `zones`.
    """
    parts = _PARTS[type(noun)]
    values = {name: getattr(noun, name) for name in parts.plain}
    for name in parts.single:
        inner = getattr(noun, name)
        values[name] = None if inner is None else as_values(inner, zone, zones)
    for name in parts.several:
        values[name] = [as_values(one, zone, zones) for one in getattr(noun, name)]
    for name, flag in parts.days:
        if values[flag] and values[name] is not None:
            values[name] = Day.of(values[name], zones.get(noun.account, zone))
    return values


def as_message(noun: Any, read: frozenset[str]) -> Message:
    """A noun as a protobuf message for conditions, with the fields that are `read`.

    Empty values are left out, and texts longer than `LONGEST_TEXT` are truncated, so that no
    condition can search a large text again and again.
    """
    kind: type = type(noun)
    return _MESSAGES[kind](**_present(noun, _parts(kind, read)))


def _present(noun: Any, parts: "_Parts") -> dict[str, Any]:
    present = {name: _cut(value) for name in parts.plain if (value := getattr(noun, name))}
    for name in parts.single:
        if (inner := getattr(noun, name)) is not None:
            present[name] = _present(inner, _PARTS[type(inner)])
    for name in parts.several:
        if several := getattr(noun, name):
            present[name] = [_present(one, _PARTS[type(one)]) for one in several]
    return present


def _cut(value: Any) -> Any:
    return value[:LONGEST_TEXT] if type(value) is str else value


class _Parts:
    """A noun's fields, sorted by how they are converted."""

    def __init__(self, noun: type, only: frozenset[str]) -> None:
        kinds = {name: _inner(hint) for name, hint in names(noun).items() if name in only}
        nested = {name: several for name, (kind, _, several) in kinds.items() if is_dataclass(kind)}
        self.plain = tuple(name for name in kinds if name not in nested)
        self.single = tuple(name for name, several in nested.items() if not several)
        self.several = tuple(name for name, several in nested.items() if several)
        self.days = tuple(DAYS.items()) if noun is Task else ()


@lru_cache(maxsize=1_000)
def _parts(noun: type, only: frozenset[str]) -> _Parts:
    return _Parts(noun, only)


def _inner(hint: Any) -> tuple[Any, bool, bool]:
    """The type of a field, whether it may be missing, and whether it is a list."""
    if get_origin(hint) in {Union, UnionType}:
        return next(one for one in get_args(hint) if one is not type(None)), True, False
    if get_origin(hint) is tuple:
        return get_args(hint)[0], False, True
    return hint, False, False


def _descriptor() -> FileDescriptorProto:
    needed = [timestamp_pb2.DESCRIPTOR.name, struct_pb2.DESCRIPTOR.name]
    file = FileDescriptorProto(
        name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3", dependency=needed
    )
    for noun in _TYPES:
        message = file.message_type.add(name=noun.__name__)
        for number, (name, hint) in enumerate(names(noun).items(), 1):
            _add_field(message, name, number, hint)
    return file


def _add_field(message: Any, name: str, number: int, hint: Any) -> None:
    kind, optional, several = _inner(hint)
    label = FieldDescriptorProto.LABEL_REPEATED if several else FieldDescriptorProto.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    scalar = next((code for base, code in _SCALARS.items() if _is_a(kind, base)), None)
    if scalar is None:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = "." + _GIVEN.get(get_origin(kind) or kind, f"{PACKAGE}.{kind.__name__}")
        return
    field.type = scalar
    if optional:
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


_TYPES = (Person, Customer, Project, Task, Event, Group)
_PARTS = {noun: _Parts(noun, frozenset(names(noun))) for noun in _TYPES}
POOL = Default()
POOL.AddSerializedFile(_descriptor().SerializeToString())
_MESSAGES: dict[type, Any] = {
    noun: GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{noun.__name__}"))
    for noun in _TYPES
}
