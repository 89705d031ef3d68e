"""The API described for programs: OpenAPI 3.1, made from the very lists that it describes."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from service.model import DAYS, Cause, Kind, State, Task
from service.silence import SCOPES
from service.store import listing
from service.store.listing import Listing
from service.web.parameters import DEFAULT_LIMIT, MOST
from service.web.rulings import RULINGS, STORM_RULINGS, WEBHOOK_RULINGS

Schema: TypeAlias = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "integer"}
_MAYBE_NUMBER: Schema = {"type": ["integer", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_TRUTH: Schema = {"type": "boolean"}
_MAYBE_NOUN: Schema = {"type": ["object", "null"]}
_MAYBE_TASK: Schema = {"anyOf": [{"$ref": "#/components/schemas/task"}, {"type": "null"}]}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": sorted(words)}


_TASK_FIELDS: Mapping[str, Schema] = {
    **dict.fromkeys(("done", "archived", "not_started", *DAYS.values()), _TRUTH),
    **dict.fromkeys(("assignee", "author", "completed_by", "customer", "project"), _MAYBE_NOUN),
    "assignees": {"type": "array"},
    "contacts": {"type": "array"},
    "revision": {**_NUMBER, "description": "how much was kept of a task when it was read"},
    "tags": {"type": "array", "items": _TEXT},
    "fields": {"type": "object"},
    "id": _TEXT,
    "account": _TEXT,
    "system": _TEXT,
    "title": _TEXT,
    **dict.fromkeys(
        ("due", "start", "end", "created_at", "updated_at", "completed_at"), _MAYBE_TIME
    ),
}

SHAPES: Mapping[str, Mapping[str, Schema]] = {
    "task": {one.name: _TASK_FIELDS.get(one.name, _MAYBE_TEXT) for one in fields(Task)},
    "event": {
        "id": _NUMBER,
        "account": _TEXT,
        "task": {**_TEXT, "description": "empty where a schedule came, which is about none"},
        "kind": _one_of(*Kind),
        "at": _TIME,
        "cause": _one_of(*Cause),
        "before": _MAYBE_TASK,
        "after": _MAYBE_TASK,
    },
    "decision": {
        "id": _NUMBER,
        "event": _NUMBER,
        "rule": _TEXT,
        "rules_version": _TEXT,
        "outcome": _TEXT,
        "reason": _TEXT,
    },
    "delivery": {
        "id": _NUMBER,
        "account": _TEXT,
        "task": {**_TEXT, "description": "empty where it is about several tasks, or none"},
        "event": {**_MAYBE_NUMBER, "description": "null where it is about the account"},
        "rule": _TEXT,
        "channel": _TEXT,
        "target": _TEXT,
        "state": _one_of(*State),
        "reason": _MAYBE_TEXT,
        "attempts": _NUMBER,
        "text": _TEXT,
        "created_at": _TIME,
        "next_attempt_at": _MAYBE_TIME,
        "settled_at": _MAYBE_TIME,
    },
    "receipt": {
        "id": _NUMBER,
        "account": _TEXT,
        "state": _one_of("pending", "done", "poison"),
        "reason": _MAYBE_TEXT,
        "repeats": _NUMBER,
        "size": {**_NUMBER, "description": "bytes"},
        "received_at": _TIME,
        "settled_at": _MAYBE_TIME,
        "acknowledged_at": _MAYBE_TIME,
    },
    "storm": {
        "id": _NUMBER,
        "account": _TEXT,
        "rule": {**_MAYBE_TEXT, "description": "of others than the account's customers"},
        "receiver": {**_MAYBE_TEXT, "description": "null: all that the rule sends"},
        "reason": _TEXT,
        "began_at": _TIME,
        "ended_at": _MAYBE_TIME,
        "ended_by": _MAYBE_TEXT,
        "held": {**_NUMBER, "description": "messages that wait for a decision"},
    },
    "silence": {
        "id": _NUMBER,
        **dict.fromkeys(SCOPES, _MAYBE_TEXT),
        "created_at": _TIME,
        "ends_at": _TIME,
        "reason": _TEXT,
        "created_by": _TEXT,
    },
    "account": {
        "id": _TEXT,
        "system": _TEXT,
        "state": _one_of("ok", "failing", "paused", "baseline"),
        "failing_since": _MAYBE_TIME,
        "error": _MAYBE_TEXT,
        "polled_at": _MAYBE_TIME,
        "next_poll_at": _TIME,
        "baseline_at": _MAYBE_TIME,
        "webhook_at": {**_MAYBE_TIME, "description": "the last one that told of a task"},
        "missed": {**_NUMBER, "description": "changes that polls found and no webhook told"},
        "missed_at": _MAYBE_TIME,
        "absent": {**_NUMBER, "description": "tasks gone all at once, of which nothing is told"},
        "absent_at": {**_MAYBE_TIME, "description": "since when there are any"},
        "appeared": {**_NUMBER, "description": "tasks that came into sight at once: told of none"},
        "appeared_at": {**_MAYBE_TIME, "description": "when; for a day"},
        "unread": {**_NUMBER, "description": "values and rows that could not be read"},
        "unread_example": _MAYBE_TEXT,
        "unread_at": {**_MAYBE_TIME, "description": "since when there are any"},
        "scan_read": {**_MAYBE_NUMBER, "description": "tasks that a read under way has come to"},
        "scan_total": {**_MAYBE_NUMBER, "description": "how many the system says there are"},
        "alone_since": {**_MAYBE_TIME, "description": "since when no worker looks after it"},
        "reread_since": {**_MAYBE_TIME, "description": "since when it is to be read anew"},
        "away_since": {**_MAYBE_TIME, "description": "where that is because Taskbell was away"},
        "alarms_wait_until": {**_MAYBE_TIME, "description": "at the latest, while they wait"},
    },
    "rule": {"id": _TEXT},
}

# Each list's path, what it is a list of, and how it is filtered.
_LISTS: Mapping[str, tuple[str, Listing | None]] = {
    "tasks": ("task", listing.TASKS),
    "events": ("event", listing.EVENTS),
    "decisions": ("decision", listing.DECISIONS),
    "deliveries": ("delivery", listing.DELIVERIES),
    "receipts": ("receipt", listing.RECEIPTS),
    "silences": ("silence", listing.SILENCES),
    "storms": ("storm", listing.STORMS),
    "accounts": ("account", None),
    "rules": ("rule", None),
}


def describe() -> Schema:
    """The whole document."""
    paths: Schema = {}
    for path, (noun, filtered_by) in _LISTS.items():
        paths[f"/api/v1/{path}"] = {"get": _list_of(noun, filtered_by)}
        paths[f"/api/v1/{path}/{{id}}"] = {"get": _one(noun), "parameters": [_ID]}
    paths["/api/v1/rules"]["parameters"] = [_VERSION]
    paths["/api/v1/rules/{id}"]["parameters"] = [_ID, _VERSION]
    for ruling in RULINGS:
        paths[f"/api/v1/deliveries/{{id}}/{ruling}"] = {
            "post": _one("delivery") | {"requestBody": _said(ruling)},
            "parameters": [_ID],
        }
    for ruling in WEBHOOK_RULINGS:
        paths[f"/api/v1/receipts/{{id}}/{ruling}"] = {"post": _one("receipt"), "parameters": [_ID]}
    paths["/api/v1/silences/{id}/expire"] = {"post": _one("silence"), "parameters": [_ID]}
    for ruling in STORM_RULINGS:
        paths[f"/api/v1/storms/{{id}}/{ruling}"] = {"post": _one("storm"), "parameters": [_ID]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Taskbell", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {noun: _object(shape) for noun, shape in SHAPES.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
_VERSION: Schema = {
    "name": "version",
    "in": "query",
    "schema": _TEXT,
    "description": "as they were then: a decision's rules_version; else as they are now",
}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _list_of(noun: str, filtered_by: Listing | None) -> Schema:
    page = _object(
        {
            "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{noun}"}},
            "next": _MAYBE_TEXT,
        }
    )
    return {"parameters": _parameters(filtered_by), "responses": _responses(page)}


def _one(noun: str) -> Schema:
    return {"responses": _responses({"$ref": f"#/components/schemas/{noun}"})}


def _parameters(filtered_by: Listing | None) -> list[Schema]:
    if filtered_by is None:
        return []
    schemas = {name: _filter(filtered_by, name) for name in filtered_by.filters}
    schemas["limit"] = _NUMBER | {"minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT}
    schemas["cursor"] = _TEXT
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


def _filter(filtered_by: Listing, name: str) -> Schema:
    if name == "since":
        return _TIME
    choices = filtered_by.choices.get(name)
    return _TEXT if choices is None else _one_of(*choices)


def _responses(schema: Schema) -> Schema:
    problem = {"content": {"application/problem+json": {}}, "description": "RFC 9457"}
    return {
        "200": {"description": "OK", "content": {"application/json": {"schema": schema}}},
        "default": problem,
    }


def _said(ruling: str) -> Schema:
    properties: Mapping[str, Schema] = {
        "retry": {},
        "cancel": {"reason": _TEXT},
        "resolve": {"arrived": {"type": "boolean"}},
        "approve": {},
        "decline": {},
    }[ruling]
    schema = {"type": "object", "properties": properties}
    return {"content": {"application/json": {"schema": schema}}}
