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
    "revision": {**NUMBER, "description": "how much was kept of a task when it was read"},
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
        "task": {**STRING, "description": "empty where a schedule came, which is about none"},
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
        "task": {**STRING, "description": "empty where it is about several tasks, or none"},
        "event": {**MAYBE_NUMBER, "description": "null where it is about the account"},
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
        "number": {**NUMBER, "description": "counts also those before which a check failed"},
        "began_at": TIME,
        "took_ms": {**MAYBE_NUMBER, "description": "milliseconds; null: the worker died meanwhile"},
        "outcome": one_of(*AttemptOutcome),
        "status": {**MAYBE_NUMBER, "description": "of an answer that was an error"},
        "error": MAYBE_TEXT,
    },
    "bulk": {
        "count": {**NUMBER, "description": "deliveries to which it can be done, or was"},
        "customers": {**MAYBE_NUMBER, "description": "of these reach a customer; null once done"},
        "done": TRUTH,
    },
    "receipt": _RECEIPT,
    "whole_receipt": {
        **_RECEIPT,
        "headers": {"type": "object", "description": "those of its headers that are stored"},
        "body": {**STRING, "description": "the JSON that came, without secrets"},
    },
    "storm": {
        "id": NUMBER,
        "account": STRING,
        "rule": {**MAYBE_TEXT, "description": "of others than the account's customers"},
        "receiver": {**MAYBE_TEXT, "description": "null: all that the rule sends"},
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
        "ended_by": {**MAYBE_TEXT, "description": "who released its messages before its end"},
        "held": {**NUMBER, "description": "messages that wait for its end"},
    },
    "contact": {
        "id": NUMBER,
        "kind": one_of(*KeyKind),
        "account": {**MAYBE_TEXT, "description": "that of a customer's id"},
        "value": {**STRING, "description": "id, mail address, or digits of a number"},
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
        "task": {**STRING, "description": "empty where it is about several tasks, or none"},
        "rule": STRING,
        "to": {**STRING, "description": "channel and receiver, as in a rule"},
        "text": STRING,
    },
    "found_task": {
        **dict.fromkeys(("account", "id", "title"), STRING),
        "state": one_of(*STANDINGS),
        **dict.fromkeys(("customer", "assignee"), MAYBE_NOUN),
        "due": MAYBE_TIME,
        "url": {**MAYBE_TEXT, "description": "the task in its system"},
        "seen_at": {**TIME, "description": "when it was last seen there"},
    },
    "explained_task": {
        "task": MAYBE_TASK,
        "deleted_at": MAYBE_TIME,
        "absent_since": {**MAYBE_TIME, "description": "missing, while its deletion is held"},
        "unread": {"type": "object", "description": "values that could not be read, by field"},
        "account_waits": {**MAYBE_TEXT, "description": "why nothing of the account is sent now"},
        "rules_loaded": {**TRUTH, "description": "whether the workers use these rules already"},
        "events": {"type": "array", "items": {"type": "object"}},
        "rules": {"type": "array", "items": {"$ref": "#/components/schemas/explained_rule"}},
    },
    "explained_rule": {
        "rule": STRING,
        "when": {**STRING, "description": "what triggers it"},
        "standing": one_of(*ExplanationStatus),
        "says": {**STRING, "description": "the reason, in a sentence"},
        "heard": {"type": "array", "items": NUMBER, "description": "events that trigger it"},
        "event": {**MAYBE_NUMBER, "description": "for which it was evaluated last"},
        "asked_at": MAYBE_TIME,
        "conditions": {"type": "array", "description": "with the values that they had then"},
        "decision": MAYBE_NOUN,
        "deliveries": {"type": "array"},
        "clock": {**MAYBE_TEXT, "description": "when its alarm or its schedule comes next"},
        "digest": MAYBE_NOUN,
        "schedule": MAYBE_NOUN,
        "notes": {"type": "array", "items": STRING},
    },
    "change": {
        "id": NUMBER,
        "at": TIME,
        "by": {**STRING, "description": "who did it: a user, or what is known of somebody else"},
        "from_address": {**STRING, "description": "empty at the command line"},
        "action": STRING,
        "subject": {**STRING, "description": "the number or the name of what it was done to"},
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
        "webhook_at": {**MAYBE_TIME, "description": "the last one that had a task in it"},
        "missed": {
            **NUMBER,
            "description": "changes that polls found and no webhook had reported",
        },
        "missed_at": MAYBE_TIME,
        "absent": {
            **NUMBER,
            "description": "tasks that disappeared at once; no messages are sent about them",
        },
        "absent_at": {**MAYBE_TIME, "description": "since when there are any"},
        "appeared": {
            **NUMBER,
            "description": "older tasks that appeared at once; no messages were sent about them",
        },
        "appeared_at": {**MAYBE_TIME, "description": "when; for a day"},
        "unread": {**NUMBER, "description": "values and rows that could not be read"},
        "unread_example": MAYBE_TEXT,
        "unread_at": {**MAYBE_TIME, "description": "since when there are any"},
        "scan_read": {**MAYBE_NUMBER, "description": "tasks that a read under way has come to"},
        "scan_total": {**MAYBE_NUMBER, "description": "how many the system says there are"},
        "alone_since": {**MAYBE_TIME, "description": "since when no worker looks after it"},
        "reread_since": {
            **MAYBE_TIME,
            "description": "since when all its tasks are to be read again",
        },
        "away_since": {
            **MAYBE_TIME,
            "description": "since when Taskbell was not running, if that is the reason",
        },
        "alarms_wait_until": {**MAYBE_TIME, "description": "at the latest, while they wait"},
    },
    "rule": {
        "id": STRING,
        "mode": one_of(*Mode),
        "override": {"anyOf": [{"$ref": "#/components/schemas/override"}, {"type": "null"}]},
    },
    "override": {"mode": one_of(*Mode), "by": STRING, "at": TIME, "reason": MAYBE_TEXT},
}
