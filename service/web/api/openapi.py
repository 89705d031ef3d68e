"""The API described as OpenAPI 3.1, generated from the lists that the API itself uses."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from http import HTTPStatus
from typing import Any, TypeAlias

from service.domain.model import DAYS, Cause, Kind, State, Task
from service.domain.overrides import Mode
from service.domain.silences import SCOPES
from service.store.views import api_lists
from service.store.views.api_lists import Listing
from service.web.actions import (
    DELIVERY_ACTIONS,
    LONGEST_REASON,
    RULE_MODES,
    STORM_ACTIONS,
    WEBHOOK_ACTIONS,
)
from service.web.api.silence_body import LONGEST_NAME
from service.web.parameters import DEFAULT_LIMIT, LARGEST_ID, LONGEST, MOST, TEXT

Schema: TypeAlias = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_LINE: Schema = {"type": "string", "pattern": TEXT, "maxLength": LONGEST}
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MOST}
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
    "change": {
        "id": _NUMBER,
        "at": _TIME,
        "by": {**_TEXT, "description": "who did it: a user, or what is known of somebody else"},
        "from_address": {**_TEXT, "description": "empty at the command line"},
        "action": _TEXT,
        "subject": {**_TEXT, "description": "the number or the name of what it was done to"},
        "detail": _TEXT,
    },
    "account": {
        "id": _TEXT,
        "system": _TEXT,
        "state": _one_of(*api_lists.ACCOUNT_STATES),
        "failing_since": _MAYBE_TIME,
        "error": _MAYBE_TEXT,
        "polled_at": _MAYBE_TIME,
        "next_poll_at": {**_MAYBE_TIME, "description": "null while it is paused"},
        "baseline_at": _MAYBE_TIME,
        "webhook_at": {**_MAYBE_TIME, "description": "the last one that had a task in it"},
        "missed": {
            **_NUMBER,
            "description": "changes that polls found and no webhook had reported",
        },
        "missed_at": _MAYBE_TIME,
        "absent": {
            **_NUMBER,
            "description": "tasks that disappeared at once; no messages are sent about them",
        },
        "absent_at": {**_MAYBE_TIME, "description": "since when there are any"},
        "appeared": {
            **_NUMBER,
            "description": "older tasks that appeared at once; no messages were sent about them",
        },
        "appeared_at": {**_MAYBE_TIME, "description": "when; for a day"},
        "unread": {**_NUMBER, "description": "values and rows that could not be read"},
        "unread_example": _MAYBE_TEXT,
        "unread_at": {**_MAYBE_TIME, "description": "since when there are any"},
        "scan_read": {**_MAYBE_NUMBER, "description": "tasks that a read under way has come to"},
        "scan_total": {**_MAYBE_NUMBER, "description": "how many the system says there are"},
        "alone_since": {**_MAYBE_TIME, "description": "since when no worker looks after it"},
        "reread_since": {
            **_MAYBE_TIME,
            "description": "since when all its tasks are to be read again",
        },
        "away_since": {
            **_MAYBE_TIME,
            "description": "since when Taskbell was not running, if that is the reason",
        },
        "alarms_wait_until": {**_MAYBE_TIME, "description": "at the latest, while they wait"},
    },
    "rule": {
        "id": _TEXT,
        "mode": _one_of(*Mode),
        "override": {"anyOf": [{"$ref": "#/components/schemas/override"}, {"type": "null"}]},
    },
    "override": {"mode": _one_of(*Mode), "by": _TEXT, "at": _TIME, "reason": _MAYBE_TEXT},
}

# Each list's path, what it is a list of, and how it is filtered.
_LISTS: Mapping[str, tuple[str, Listing | None]] = {
    "tasks": ("task", api_lists.TASKS),
    "events": ("event", api_lists.EVENTS),
    "decisions": ("decision", api_lists.DECISIONS),
    "deliveries": ("delivery", api_lists.DELIVERIES),
    "receipts": ("receipt", api_lists.RECEIPTS),
    "silences": ("silence", api_lists.SILENCES),
    "storms": ("storm", api_lists.STORMS),
    "changes": ("change", api_lists.CHANGES),
    "accounts": ("account", None),
    "rules": ("rule", None),
}


def describe(*, has_token: bool = True, root: str = "") -> Schema:
    """The whole document; `has_token`: every request needs it; `root` is in front of all paths."""
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": "Taskbell", "version": "1"},
        "servers": [{"url": root or "/"}],
        "paths": _paths(has_token=has_token),
        "components": {
            "schemas": {noun: _object(shape) for noun, shape in SHAPES.items()}
            | {"problem": _PROBLEM},
        },
    }
    if has_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _paths(*, has_token: bool) -> Schema:
    usual = (_GUARDED if has_token else ()) + _ALWAYS
    paths: Schema = {}
    for path, (noun, filtered_by) in _LISTS.items():
        page = _object({"data": {"type": "array", "items": _ref(noun)}, "next": _MAYBE_TEXT})
        about = "/api/v1/" + path
        paths[about] = {
            "get": _operation(page, (*usual, *_ALSO.get(path, ()), 400))
            | {"parameters": _parameters(path, filtered_by)},
        }
        paths[f"{about}/{{id}}"] = {
            "get": _operation(_ref(noun), (*usual, *_ALSO.get(f"{path}/one", ()), 404)),
            "parameters": [_id_of(noun), *_OF_ONE.get(path, ())],
        }
    for path, noun, actions in _ACTIONS:
        for action in actions:
            paths[f"/api/v1/{path}/{{id}}/{action}"] = {
                "post": _action(noun, action, usual),
                "parameters": [_id_of(noun)],
            }
    paths["/api/v1/silences"]["post"] = _new_silence(usual)
    return paths


def _parameter(name: str, schema: Schema, description: str = "") -> Schema:
    said = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **said}


_VERSION = _parameter(
    "version", _LINE, "as they were then: a decision's rules_version; else as they are now"
)
_CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": LONGEST}
# Of the lists that are held whole.
_SHORT: Mapping[str, list[Schema]] = {
    "accounts": [
        _parameter("account", _LINE),
        _parameter("state", _one_of(*api_lists.ACCOUNT_STATES)),
        _parameter("limit", _LIMIT | {"default": MOST}),
    ],
    "rules": [_parameter("rule", _LINE), _parameter("limit", _LIMIT | {"default": MOST}), _VERSION],
}
_OF_ONE: Mapping[str, list[Schema]] = {
    "rules": [_VERSION],
    "tasks": [_parameter("account", _LINE, "where several have a task of this id")],
}
# What may be answered beside 200.
_ALWAYS, _GUARDED = (403, 503), (401, 429)
_ALSO: Mapping[str, tuple[int, ...]] = {"rules": (404,), "tasks/one": (400,)}
_ACTIONS = (
    ("deliveries", "delivery", DELIVERY_ACTIONS),
    ("receipts", "receipt", WEBHOOK_ACTIONS),
    ("rules", "rule", ("mode",)),
    ("silences", "silence", ("expire",)),
    ("storms", "storm", STORM_ACTIONS),
)
_REASON: Schema = {"type": ["string", "null"], "pattern": TEXT, "maxLength": LONGEST_REASON}
_SAID: Mapping[str, Schema] = {
    "retry": {"attempts": {"type": ["integer", "null"], "minimum": 0, "maximum": LARGEST_ID}},
    "cancel": {"reason": _REASON},
    "resolve": {"arrived": _TRUTH},
    "mode": {"mode": _one_of(*RULE_MODES), "reason": _REASON},
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {"type": _TEXT, "title": _TEXT, "status": _NUMBER, "detail": _TEXT},
    "required": ["type", "title", "status"],
}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _ref(noun: str) -> Schema:
    return {"$ref": f"#/components/schemas/{noun}"}


def _id_of(noun: str) -> Schema:
    schema = SHAPES[noun]["id"]
    if schema == _NUMBER:
        schema = _NUMBER | {"minimum": 0, "maximum": LARGEST_ID}
    return {"name": "id", "in": "path", "required": True, "schema": schema}


def _parameters(path: str, filtered_by: Listing | None) -> list[Schema]:
    if filtered_by is None:
        return _SHORT[path]
    return [
        *(_parameter(name, _filter(filtered_by, name)) for name in filtered_by.filters),
        _parameter("limit", _LIMIT | {"default": DEFAULT_LIMIT}),
        _parameter("cursor", _CURSOR, "the `next` of an earlier page, unread"),
    ]


def _filter(filtered_by: Listing, name: str) -> Schema:
    if name == "since":
        return _TIME
    choices = filtered_by.choices.get(name)
    return _LINE if choices is None else _one_of(*choices)


def _operation(schema: Schema, problems: Iterable[int], done: HTTPStatus = HTTPStatus.OK) -> Schema:
    content = {"application/json": {"schema": schema}}
    answers = {f"{done:d}": {"description": done.phrase, "content": content}}
    for status in sorted({*problems}):
        answers[str(status)] = _problem(HTTPStatus(status).phrase)
    return {"responses": answers | {"default": _problem("not a well-formed request")}}


def _problem(description: str) -> Schema:
    content = {"application/problem+json": {"schema": _ref("problem")}}
    return {"description": description, "content": content}


def _new_silence(usual: tuple[int, ...]) -> Schema:
    name = {"type": ["string", "null"], "pattern": TEXT, "maxLength": LONGEST_NAME}
    properties = {
        **dict.fromkeys(SCOPES, name),
        "ends_at": _TIME,
        "reason": _REASON | {"type": "string", "minLength": 1},
        "anyway": {**_TRUTH, "description": "also if a name is unknown"},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": ["ends_at", "reason"],
        "anyOf": [{"required": [scope]} for scope in SCOPES],
        "additionalProperties": False,
    }
    operation = _operation(_ref("silence"), (*usual, 400, 408, 413), HTTPStatus.CREATED)
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation | {"requestBody": body}


def _action(noun: str, action: str, usual: tuple[int, ...]) -> Schema:
    if noun not in {"delivery", "rule"}:
        return _operation(_ref(noun), (*usual, 404, 409))
    properties = _SAID.get(action, {})
    needed = [name for name in properties if name in {"arrived", "mode"}]
    schema = {"type": "object", "properties": dict(properties), "required": needed}
    body = {"required": bool(needed), "content": {"application/json": {"schema": schema}}}
    operation = _operation(_ref(noun), (*usual, 400, 404, 408, 409, 413))
    return operation | {"requestBody": body}
