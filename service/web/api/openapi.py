"""The API described as OpenAPI 3.1, generated from the lists that the API itself uses."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from service.domain.operators.silences import SCOPES
from service.outbox.operator_actions import MOST_AT_ONCE, BulkAction
from service.store.views import api_lists, task_search
from service.store.views.listing import Listing
from service.web.actions import (
    ACCOUNT_ACTIONS,
    DELIVERY_ACTIONS,
    LONGEST_REASON,
    RULE_ACTIONS,
    STORM_ACTIONS,
    WEBHOOK_ACTIONS,
)
from service.web.api import bulk_body, contacts
from service.web.api.schemas import (
    LIMIT,
    LINE,
    MAYBE_TEXT,
    MAYBE_TIME,
    NUMBER,
    SHAPES,
    STRING,
    TIME,
    TRUTH,
    Schema,
    one_of,
)
from service.web.api.silence_body import LONGEST_NAME
from service.web.parameters import DEFAULT_LIMIT, LARGEST_ID, LONGEST, MOST, TEXT

# Each list's path, what it is a list of, and how it is filtered.
_LISTS: Mapping[str, tuple[str, Listing | None]] = {
    "tasks": ("task", api_lists.TASKS),
    "events": ("event", api_lists.EVENTS),
    "decisions": ("decision", api_lists.DECISIONS),
    "deliveries": ("delivery", api_lists.DELIVERIES),
    "receipts": ("receipt", api_lists.RECEIPTS),
    "silences": ("silence", api_lists.SILENCES),
    "storms": ("storm", api_lists.STORMS),
    "holds": ("hold", api_lists.HOLDS),
    "contacts": ("contact", api_lists.CONTACTS),
    "audit": ("change", api_lists.CHANGES),
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
        about = "/api/v1/" + path
        paths[about] = {
            "get": _operation(_page_of(noun), (*usual, *_ALSO.get(path, ()), 400, 404))
            | {"parameters": _parameters(path, filtered_by)},
        }
        paths[f"{about}/{{id}}"] = {
            "get": _operation(
                _ref(_WHOLE.get(path, noun)), (*usual, *_ALSO.get(f"{path}/one", ()), 404)
            ),
            "parameters": [_id_of(noun), *_OF_ONE.get(path, ())],
        }
    for path, noun, actions in _ACTIONS:
        for action in actions:
            paths[f"/api/v1/{path}/{{id}}/{action}"] = {
                "post": _action(noun, action, usual),
                "parameters": [_id_of(noun)],
            }
    paths["/api/v1/acknowledgements"] = {"post": _about_task(usual)}
    paths["/api/v1/assignments"] = {"post": _about_task(usual, "assignee")}
    paths["/api/v1/completions"] = {"post": _about_task(usual)}
    paths["/api/v1/silences"]["post"] = _new_silence(usual)
    paths["/api/v1/holds"]["post"] = _new_hold(usual)
    for way in contacts.WAYS:
        paths[f"/api/v1/contacts/{way}"] = {"post": _new_choice(usual)}
    paths["/api/v1/deliveries/bulk"] = {"post": _bulk(usual)}
    paths["/api/v1/deliveries/{id}/attempts"] = {
        "get": _operation(_page_of("attempt"), (*usual, 400, 404)) | {"parameters": _PAGE},
        "parameters": [_id_of("delivery")],
    }
    return paths | _computed(usual)


def _computed(usual: tuple[int, ...]) -> Schema:
    """The paths whose answers are computed for each request."""
    coming = _page_of("coming")
    until = {**TIME, "description": "the end of the computed time"}
    coming["properties"]["until"] = until
    coming["required"].append("until")
    task = _parameter(
        "task", LINE | {"minLength": 1}, "its id, or its title if only one has it"
    ) | {"required": True}
    account, rule = _parameter("account", LINE), _parameter("rule", LINE, "only this one")
    asked: Mapping[str, tuple[Schema, list[Schema], tuple[int, ...]]] = {
        "next": (coming, [_parameter("within", _LENGTH, "up to 7d"), *_PAGE], (400, 404)),
        "explain": (_ref("explained_task"), [task, account, rule], (400, 404)),
        "search": (_page_of("found_task"), _parameters("search", task_search.TASKS), (400, 404)),
    }
    return {
        f"/api/v1/{path}": {"get": _operation(answer, (*usual, *also)) | {"parameters": parameters}}
        for path, (answer, parameters, also) in asked.items()
    }


def _parameter(name: str, schema: Schema, description: str = "") -> Schema:
    said = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **said}


_VERSION = _parameter(
    "version",
    LINE,
    "a decision's rules_version: the rules of that time; default: the current rules",
)
_CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": LONGEST}
_LENGTH = {
    "type": "string",
    "pattern": "^([1-9]h|[1-9][0-9]h|1[0-5][0-9]h|16[0-8]h|[1-7]d)$",
    "maxLength": LONGEST,
    "default": "24h",
}
_PAGE: list[Schema] = [
    _parameter("limit", LIMIT | {"default": DEFAULT_LIMIT}),
    _parameter("cursor", _CURSOR, "the `next` of an earlier page, unchanged"),
]
# Of the lists that are held whole.
_SHORT: Mapping[str, list[Schema]] = {
    "accounts": [
        _parameter("account", LINE),
        _parameter("state", one_of(*api_lists.ACCOUNT_STATES)),
        _parameter("limit", LIMIT | {"default": MOST}),
    ],
    "rules": [_parameter("rule", LINE), _parameter("limit", LIMIT | {"default": MOST}), _VERSION],
}
_OF_ONE: Mapping[str, list[Schema]] = {
    "rules": [_VERSION],
    "tasks": [_parameter("account", LINE, "needed if several accounts have a task with this id")],
}
# What is more by itself than in its list.
_WHOLE: Mapping[str, str] = {"receipts": "whole_receipt"}
# What may be answered beside 200.
_ALWAYS, _GUARDED = (403, 503), (401, 429)
_ALSO: Mapping[str, tuple[int, ...]] = {"rules": (404,), "tasks/one": (400,)}
_ACTIONS = (
    ("accounts", "account", ACCOUNT_ACTIONS),
    ("deliveries", "delivery", (*DELIVERY_ACTIONS, "snooze")),
    ("receipts", "receipt", WEBHOOK_ACTIONS),
    ("rules", "rule", tuple(RULE_ACTIONS)),
    ("silences", "silence", ("expire",)),
    ("holds", "hold", ("release",)),
    ("storms", "storm", STORM_ACTIONS),
)
_REASON: Schema = {"type": ["string", "null"], "pattern": TEXT, "maxLength": LONGEST_REASON}
_ATTEMPTS: Schema = {"type": ["integer", "null"], "minimum": 0, "maximum": LARGEST_ID}
_BELIEVE = {**TRUTH, "description": "treat all missing tasks as deleted"}
_SAID: Mapping[tuple[str, str], Schema] = {
    ("delivery", "retry"): {"attempts": _ATTEMPTS},
    ("delivery", "cancel"): {"reason": _REASON},
    ("delivery", "decline"): {"reason": _REASON},
    ("delivery", "resolve"): {"arrived": TRUTH, "reason": _REASON},
    ("delivery", "snooze"): {"until": TIME},
    ("account", "sync"): {"believe": _BELIEVE},
    **{("rule", action): {"reason": _REASON} for action in RULE_ACTIONS},
}
_NEEDED = frozenset({"arrived", "until"})
_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {"type": STRING, "title": STRING, "status": NUMBER, "detail": STRING},
    "required": ["type", "title", "status"],
}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _ref(noun: str) -> Schema:
    return {"$ref": f"#/components/schemas/{noun}"}


def _page_of(noun: str) -> Schema:
    return _object({"data": {"type": "array", "items": _ref(noun)}, "next": MAYBE_TEXT})


def _id_of(noun: str) -> Schema:
    schema = SHAPES[noun]["id"]
    if schema == NUMBER:
        schema = NUMBER | {"minimum": 0, "maximum": LARGEST_ID}
    return {"name": "id", "in": "path", "required": True, "schema": schema}


def _parameters(path: str, filtered_by: Listing | None) -> list[Schema]:
    if filtered_by is None:
        return _SHORT[path]
    return [
        *(_parameter(name, _filter(filtered_by, name)) for name in filtered_by.filters),
        *_PAGE,
    ]


def _filter(filtered_by: Listing, name: str) -> Schema:
    if name == "since":
        return TIME
    choices = filtered_by.choices.get(name)
    return LINE if choices is None else one_of(*choices)


def _operation(schema: Schema, problems: Iterable[int], done: HTTPStatus = HTTPStatus.OK) -> Schema:
    content = {"application/json": {"schema": schema}}
    answers = {f"{done:d}": {"description": done.phrase, "content": content}}
    for status in sorted({*problems}):
        answers[str(status)] = _problem(HTTPStatus(status).phrase)
    return {"responses": answers | {"default": _problem("not a well-formed request")}}


def _problem(description: str) -> Schema:
    content = {"application/problem+json": {"schema": _ref("problem")}}
    return {"description": description, "content": content}


def _not_blank(*types: str) -> Schema:
    """A text on one line with something to see in it."""
    return {"type": list(types), "allOf": [{"pattern": TEXT}, {"pattern": "\\S"}]}


def _new_silence(usual: tuple[int, ...]) -> Schema:
    name = _not_blank("string", "null") | {"maxLength": LONGEST_NAME}
    properties = {
        **dict.fromkeys(SCOPES, name),
        "ends_at": TIME,
        "reason": _not_blank("string") | {"maxLength": LONGEST_REASON},
        "anyway": {**TRUTH, "description": "accept unknown names"},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": ["ends_at", "reason"],
        "anyOf": [
            {"required": [scope], "properties": {scope: {"type": "string"}}} for scope in SCOPES
        ],
        "additionalProperties": False,
    }
    return _created("silence", schema, usual)


def _new_hold(usual: tuple[int, ...]) -> Schema:
    reason = _not_blank("string") | {"maxLength": LONGEST_REASON}
    properties = {"ends_at": TIME, "reason": reason}
    return _created("hold", _object(properties) | {"additionalProperties": False}, usual)


def _new_choice(usual: tuple[int, ...]) -> Schema:
    name = _not_blank("string") | {"maxLength": contacts.LONGEST_NAME}
    schema = {
        "oneOf": [
            {
                "type": "object",
                "properties": {**dict.fromkeys(names, name), "note": _REASON},
                "required": list(names),
                "additionalProperties": False,
            }
            for names in contacts.WHO
        ]
    }
    operation = _operation(_ref("contact"), (*usual, 400, 408, 409, 413))
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation | {"requestBody": body}


def _created(noun: str, schema: Schema, usual: tuple[int, ...]) -> Schema:
    operation = _operation(_ref(noun), (*usual, 400, 408, 409, 413), HTTPStatus.CREATED)
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation | {"requestBody": body}


def _about_task(usual: tuple[int, ...], *needed: str) -> Schema:
    """What is said about one task, with further words that it needs."""
    words = dict.fromkeys(("task", *needed), LINE)
    properties = {**words, "account": {"anyOf": [LINE, {"type": "null"}]}}
    schema = {"type": "object", "properties": properties, "required": [*words]}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return _operation(_ref("task"), (*usual, 400, 404, 408, 409, 413)) | {"requestBody": body}


def _bulk(usual: tuple[int, ...]) -> Schema:
    name = _not_blank("string", "null") | {"maxLength": bulk_body.LONGEST_NAME}
    count = {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_AT_ONCE}
    properties = {
        "action": one_of(*BulkAction),
        "state": one_of(*bulk_body.STATES),
        **dict.fromkeys(bulk_body.NAMES, name),
        **dict.fromkeys(bulk_body.TIMES, MAYBE_TIME),
        "count": {**count, "description": "the count of an earlier answer; null: only count"},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": ["action", "state"],
        "additionalProperties": False,
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return _operation(_ref("bulk"), (*usual, 400, 408, 409, 413)) | {"requestBody": body}


def _action(noun: str, action: str, usual: tuple[int, ...]) -> Schema:
    if noun != "delivery" and (noun, action) not in _SAID:
        return _operation(_ref(noun), (*usual, 404, 409))
    properties = _SAID.get((noun, action), {})
    needed = [name for name in properties if name in _NEEDED]
    schema = {"type": "object", "properties": dict(properties), "required": needed}
    body = {"required": bool(needed), "content": {"application/json": {"schema": schema}}}
    operation = _operation(_ref(noun), (*usual, 400, 404, 408, 409, 413))
    return operation | {"requestBody": body}
