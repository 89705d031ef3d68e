"""The shapes of what the API answers, as JSON Schema."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from service.domain.contacts import KeyKind
from service.domain.model import DAYS, Cause, Kind, State, Task
from service.domain.operators.overrides import Mode
from service.domain.operators.silences import SCOPES
from service.explain import ExplanationStatus
from service.outbox.claims import AttemptOutcome
from service.store.operators.contact_choices import Through
from service.store.views import api_lists
from service.store.views.task_search import STANDINGS
from service.web.parameters import LONGEST, MOST, TEXT

Schema: TypeAlias = dict[str, Any]

STRING: Schema = {"type": "string"}
LINE: Schema = {"type": "string", "pattern": TEXT, "maxLength": LONGEST}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MOST}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "integer"}
MAYBE_NUMBER: Schema = {"type": ["integer", "null"]}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
TRUTH: Schema = {"type": "boolean"}
MAYBE_NOUN: Schema = {"type": ["object", "null"]}
MAYBE_TASK: Schema = {"anyOf": [{"$ref": "#/components/schemas/task"}, {"type": "null"}]}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": sorted(words)}


TASK_FIELDS: Mapping[str, Schema] = {
    **dict.fromkeys(("done", "archived", "not_started", "acknowledged", *DAYS.values()), TRUTH),
    **dict.fromkeys(
        ("assignee", "author", "completed_by", "acknowledged_by", "customer", "project"), MAYBE_NOUN
    ),
    "assignees": {"type": "array"},
    "contacts": {"type": "array"},
    "revision": {**NUMBER, "description": "which set of fields was stored when it was read"},
    "tags": {"type": "array", "items": STRING},
    "fields": {"type": "object"},
    "id": STRING,
    "account": STRING,
    "system": STRING,
    "title": STRING,
    **dict.fromkeys(
        ("due", "start", "end", "created_at", "updated_at", "completed_at"), MAYBE_TIME
    ),
}

_RECEIPT: Mapping[str, Schema] = {
    "id": NUMBER,
    "account": STRING,
    "state": one_of("pending", "done", "poison"),
    "reason": MAYBE_TEXT,
    "repeats": NUMBER,
    "size": {**NUMBER, "description": "bytes"},
    "received_at": TIME,
    "settled_at": MAYBE_TIME,
    "acknowledged_at": MAYBE_TIME,
}

SHAPES: Mapping[str, Mapping[str, Schema]] = {
    "task": {one.name: TASK_FIELDS.get(one.name, MAYBE_TEXT) for one in fields(Task)},
    "event": {
        "id": NUMBER,
        "account": STRING,
        "task": {**STRING, "description": "empty for a schedule"},
        "kind": one_of(*Kind),
        "at": TIME,
        "cause": one_of(*Cause),
        "before": MAYBE_TASK,
        "after": MAYBE_TASK,
    },
    "decision": {
        "id": NUMBER,
        "event": NUMBER,
        "rule": STRING,
        "rules_version": STRING,
        "outcome": STRING,
        "reason": STRING,
    },
    "delivery": {
        "id": NUMBER,
        "account": STRING,
        "task": {**STRING, "description": "empty if it is about several tasks, or none"},
        "event": {**MAYBE_NUMBER, "description": "null if it is about the account"},
        "rule": STRING,
        "channel": STRING,
        "target": STRING,
        "state": one_of(*State),
        "reason": MAYBE_TEXT,
        "attempts": NUMBER,
        "text": STRING,
        "created_at": TIME,
        "next_attempt_at": MAYBE_TIME,
        "settled_at": MAYBE_TIME,
    },
    "attempt": {
        "number": {**NUMBER, "description": "also counts attempts that a check stopped"},
        "began_at": TIME,
        "took_ms": {**MAYBE_NUMBER, "description": "milliseconds; null: the worker was killed"},
        "outcome": one_of(*AttemptOutcome),
        "status": {**MAYBE_NUMBER, "description": "the HTTP status, if it was an error"},
        "error": MAYBE_TEXT,
    },
    "bulk": {
        "count": {**NUMBER, "description": "deliveries that match, or were changed"},
        "customers": {**MAYBE_NUMBER, "description": "how many reach a customer; null if done"},
        "done": TRUTH,
    },
    "receipt": _RECEIPT,
    "whole_receipt": {
        **_RECEIPT,
        "headers": {"type": "object", "description": "the headers that Taskbell stores"},
        "body": {**STRING, "description": "the JSON as received, without secrets"},
    },
    "storm": {
        "id": NUMBER,
        "account": STRING,
        "rule": {**MAYBE_TEXT, "description": "null: messages to customers"},
        "receiver": {**MAYBE_TEXT, "description": "null: all receivers"},
        "reason": STRING,
        "began_at": TIME,
        "ended_at": MAYBE_TIME,
        "ended_by": MAYBE_TEXT,
        "held": {**NUMBER, "description": "messages that wait for a decision"},
    },
    "hold": {
        "id": NUMBER,
        "created_at": TIME,
        "ends_at": TIME,
        "reason": STRING,
        "created_by": STRING,
        "ended_by": {**MAYBE_TEXT, "description": "who released the messages early"},
        "held": {**NUMBER, "description": "messages that wait"},
    },
    "contact": {
        "id": NUMBER,
        "kind": one_of(*KeyKind),
        "account": {**MAYBE_TEXT, "description": "the account of a customer's id"},
        "value": {**STRING, "description": "an id, a mail address, or the digits of a number"},
        "state": one_of("opted_out", "opted_in"),
        "at": TIME,
        "made_by": STRING,
        "made_through": one_of(*Through),
        "note": STRING,
    },
    "silence": {
        "id": NUMBER,
        **dict.fromkeys(SCOPES, MAYBE_TEXT),
        "created_at": TIME,
        "ends_at": TIME,
        "reason": STRING,
        "created_by": STRING,
    },
    "coming": {
        "at": {**TIME, "description": "when it will be sent"},
        "account": STRING,
        "task": {**STRING, "description": "empty if it is about several tasks, or none"},
        "rule": STRING,
        "to": {**STRING, "description": "channel and target, as in a rule"},
        "text": STRING,
    },
    "found_task": {
        **dict.fromkeys(("account", "id", "title"), STRING),
        "state": one_of(*STANDINGS),
        **dict.fromkeys(("customer", "assignee"), MAYBE_NOUN),
        "due": MAYBE_TIME,
        "url": {**MAYBE_TEXT, "description": "the task in its system"},
        "seen_at": {**TIME, "description": "when Taskbell last saw it there"},
    },
    "explained_task": {
        "task": MAYBE_TASK,
        "deleted_at": MAYBE_TIME,
        "absent_since": {**MAYBE_TIME, "description": "since when the system has not shown it"},
        "unread": {"type": "object", "description": "values that could not be read, by field"},
        "account_waits": {**MAYBE_TEXT, "description": "why the account's messages wait"},
        "rules_loaded": {**TRUTH, "description": "whether the workers already use these rules"},
        "events": {"type": "array", "items": {"type": "object"}},
        "rules": {"type": "array", "items": {"$ref": "#/components/schemas/explained_rule"}},
    },
    "explained_rule": {
        "rule": STRING,
        "when": {**STRING, "description": "what triggers it"},
        "standing": one_of(*ExplanationStatus),
        "says": {**STRING, "description": "the reason, in a sentence"},
        "heard": {"type": "array", "items": NUMBER, "description": "events that trigger it"},
        "event": {**MAYBE_NUMBER, "description": "the event for which it was last evaluated"},
        "asked_at": MAYBE_TIME,
        "conditions": {"type": "array", "description": "each with its value at that time"},
        "decision": MAYBE_NOUN,
        "deliveries": {"type": "array"},
        "clock": {**MAYBE_TEXT, "description": "when its alarm or schedule fires next"},
        "digest": MAYBE_NOUN,
        "schedule": MAYBE_NOUN,
        "notes": {"type": "array", "items": STRING},
    },
    "change": {
        "id": NUMBER,
        "at": TIME,
        "by": {**STRING, "description": "who did it: a user, or what is known of anyone else"},
        "from_address": {**STRING, "description": "empty at the command line"},
        "action": STRING,
        "subject": {**STRING, "description": "the number or name of the changed object"},
        "detail": STRING,
    },
    "account": {
        "id": STRING,
        "system": STRING,
        "state": one_of(*api_lists.ACCOUNT_STATES),
        "failing_since": MAYBE_TIME,
        "error": MAYBE_TEXT,
        "polled_at": MAYBE_TIME,
        "next_poll_at": {**MAYBE_TIME, "description": "null while it is paused"},
        "baseline_at": MAYBE_TIME,
        "webhook_at": {**MAYBE_TIME, "description": "the last one that contained a task"},
        "missed": {
            **NUMBER,
            "description": "changes that a poll found and no webhook reported",
        },
        "missed_at": MAYBE_TIME,
        "absent": {
            **NUMBER,
            "description": "tasks that disappeared at once; no messages are sent about them",
        },
        "absent_at": {**MAYBE_TIME, "description": "since when"},
        "appeared": {
            **NUMBER,
            "description": "older tasks that appeared at once; no messages were sent about them",
        },
        "appeared_at": {**MAYBE_TIME, "description": "when; cleared after a day"},
        "unread": {**NUMBER, "description": "values and rows that could not be read"},
        "unread_example": MAYBE_TEXT,
        "unread_at": {**MAYBE_TIME, "description": "since when"},
        "scan_read": {**MAYBE_NUMBER, "description": "tasks read so far, if a read is running"},
        "scan_total": {**MAYBE_NUMBER, "description": "how many tasks the system says it has"},
        "alone_since": {**MAYBE_TIME, "description": "since when no worker processes it"},
        "reread_since": {
            **MAYBE_TIME,
            "description": "since when all its tasks must be read again",
        },
        "away_since": {
            **MAYBE_TIME,
            "description": "since when Taskbell was not running, if that is the reason",
        },
        "alarms_wait_until": {
            **MAYBE_TIME,
            "description": "the latest time; null if they do not wait",
        },
    },
    "rule": {
        "id": STRING,
        "mode": one_of(*Mode),
        "override": {"anyOf": [{"$ref": "#/components/schemas/override"}, {"type": "null"}]},
    },
    "override": {"mode": one_of(*Mode), "by": STRING, "at": TIME, "reason": MAYBE_TEXT},
}
