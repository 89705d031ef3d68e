"""What an editor says of each word of the configuration while it is written."""

import re
from typing import Any, TypeAlias

from pydantic import BaseModel

Json: TypeAlias = dict[str, Any]

WORDS = {
    "RootShape": {
        "version": "The version of this format: 1.",
        "accounts": "The connections to your systems, by names that you choose.",
        "channels": "The ways out, by names that you choose.",
        "network": "Which private addresses may be called.",
        "operator": "Whom Taskbell tells when an account fails, such as slack:#ops.",
        "timezone": "The zone of accounts that have none, such as Europe/London; else UTC.",
        "hours": 'Opening hours by names that you choose, such as "Mo-Fr 08:00-17:00; PH off".',
        "holidays": "Whose public holidays (PH) count.",
        "rules": "When something happens, if it matters, then tell somebody.",
        "tests": "Tests of the rules, on a clock of their own: taskbell test.",
    },
    "NetworkShape": {
        "allow": "Networks such as 10.0.0.0/8; all others that are private are refused."
    },
    "HolidaysShape": {"country": "An ISO country code, such as US or GB."},
    "HookOptions": {
        "verify": "How a sender proves itself; none lets anybody post.",
        "secret": "With what; a list of two while one is being replaced.",
    },
    "RuleShape": {
        "id": "The rule's name, once in all files.",
        "when": "The event that it listens to.",
        "if": "A condition in CEL, or a list of which all must hold.",
        "for_each": "The tasks for which a schedule has the rule asked: tasks.filter(t, …).",
        "group": "Tell of several tasks at once, in one message for each value of by.",
        "settle": "Wait until the task has been quiet for so long, and look at the net change.",
        "for": "How long the condition must have been true without a break.",
        "hours": "The opening hours outside of which nothing goes out.",
        "limit": "How many messages may go out: 2/m, 5/h or 20/d.",
        "expires": "How late it may go out at most, counted from the event.",
        "once_per": "What must not be announced twice, such as [task.id, task.due].",
        "then": "The steps, one after the other.",
        "until": "Once this is true of the task, what is still waiting is withdrawn.",
        "enabled": "false switches the rule off; shadow tries it, and nothing is sent.",
        "accounts": "Only for these accounts; without it, for all.",
        "own_writes": "true: also hear of changes that other rules made.",
    },
    "SettleShape": {
        "quiet": "How long the task must have been quiet.",
        "max": "How long restless tasks may put it off; a day, if not given.",
    },
    "GroupShape": {
        "by": "What they have in common, in CEL, such as task.assignee.email.",
        "wait": "How long they are gathered, counted from the first.",
        "max": "As many are told of at once; more make another message.",
    },
    "HoursShape": {
        "use": "The name of the opening hours.",
        "outside": "hold it until they open, skip it, or ignore them.",
    },
    "NotifyShape": {
        "notify": "CHANNEL:TARGET, such as slack:#office, or customer:on_the_way.",
        "text": "What it says: a Liquid template.",
        "template": "A file beside the configuration that holds the text.",
        "subject": "The subject of a mail: a Liquid template.",
        "on_undo": "What becomes of the message when its cause is undone.",
        "repeat": "Say it again and again, until the rule's until is true or the task is done.",
        "on_fail": "Steps to take instead when the message has failed for good.",
    },
    "RepeatShape": {
        "every": "How long after the one before it; at least 1m.",
        "max": "How often after the first message, up to 100.",
    },
    "WaitShape": {"wait": "How much later the steps behind it come."},
    "CreateShape": {"create_task": "Make a task in the system of the task at hand."},
    "UpdateShape": {"update_task": "Change the task at hand."},
    "CompleteShape": {"complete_task": "Mark the task at hand done."},
    "TrialShape": {
        "name": "What the test shows.",
        "start": "When it begins, in the zone of the configuration.",
        "rules": "The rules that take part, also if off; without it, all that are on.",
        "account": "Whose tasks these are; without it, the first account's.",
        "given": "The tasks as they are at the beginning.",
        "silences": "What nobody is sent for a while, as by `taskbell silence`.",
        "steps": "What happens, moment after moment, and what is expected.",
    },
    "SilenceShape": {
        "from": "Since when; without it, since the test begins.",
        "until": "Until when, in the zone of the configuration.",
        "reason": "Why; it stands beside what it hides.",
        "rule": "Only what this rule sends.",
        "person": "Only what goes to this address.",
        "customer": "Only what is about a task for this customer, by id or name.",
        "project": "Only what is about a task of this project, by id or name.",
        "account": "Only what is about a task in this account.",
    },
    "TaskShape": {
        "title": "What is to be done.",
        "done": "Whether it is done.",
        "priority": "low, normal, high or highest.",
        "due": "When it is due, in the zone of the configuration.",
        "start": "When it begins, in the zone of the configuration.",
        "end": "When it ends, in the zone of the configuration.",
        "assignee": "Who does it.",
        "customer": "Whom it is done for.",
        "project": "The job, case or deal that it belongs to.",
        "fields": "The account's own custom fields.",
    },
    "GivenShape": {"id": "What it is called in this test, such as T1."},
    "StepShape": {
        "at": "The moment, no earlier than the one before.",
        "change": "Tasks by their ids, with what changes about them, or deleted.",
        "signal": "Signals, by the ids of their tasks.",
        "fails": "Channels or addresses by which nothing can be sent since the step before.",
        "expect": "All that has gone out since the step before; [] is nothing.",
    },
    "Account": {
        "system": "Which system it is.",
        "base_url": "Where the system answers, without a path behind it.",
        "token": "What lets Taskbell in; best as ${NAME} from the environment.",
        "timezone": "The zone of its dates, days and opening hours.",
        "poll": "How often it is asked what changed; from 1s.",
        "full_scan": "How often everything is read, and absences are looked into.",
        "stretch": "How many times as long as poll polls may be apart while webhooks come.",
        "per_minute": "How many calls are made at most in a minute.",
        "timeout": "How long one call may take.",
        "max_pages": "Where reading an endless list is given up.",
        "webhook": "How its webhooks are proved genuine.",
    },
    "ChannelOptions": {
        "kind": "Which kind of channel it is.",
        "timeout": "How long one attempt may take.",
    },
}
_SENTENCE = re.compile(r"(?<=\.)\s+")


def described(shape: type[BaseModel], made: Json, definitions: Json) -> None:
    """Add the words for each property of a shape, and of the shapes inside it."""
    _describe(shape, made)
    for field in shape.model_fields.values():
        for inner in _shapes_in(field.annotation):
            if inner.__name__ in definitions:
                described(inner, definitions[inner.__name__], definitions)


def _describe(shape: type[BaseModel], made: Json) -> None:
    made.pop("title", None)
    made["description"] = _sentences(shape)[0]
    for name, value in made["properties"].items():
        value.pop("title", None)
        value["description"] = _word(shape, name)


def _word(shape: type[BaseModel], name: str) -> str:
    """The words for a property: written down here, or else what its class says of it."""
    line = [one for one in shape.__mro__ if issubclass(one, BaseModel)]
    written = (WORDS.get(one.__name__, {}).get(name) for one in line)
    if found := next(filter(None, written), None):
        return found
    said = [one for owner in line for one in _sentences(owner) if f"`{name}`" in one]
    return said[0] if said else f"{name}: {_sentences(shape)[0]}"


def _sentences(shape: type[BaseModel]) -> list[str]:
    text = " ".join((shape.__doc__ or shape.__name__).split())
    return _SENTENCE.split(text)


def _shapes_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in getattr(annotation, "__args__", ()) for one in _shapes_in(part)]
