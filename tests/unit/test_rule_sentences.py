"""Rules as sentences: every key has words, and every documented rule has a sentence."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service.rules.compiler.defaults import RuleDefaults
from service.rules.compiler.shapes import STEPS, NotifyShape, RuleShape
from service.rules.sentences import Code, sentence
from service.rules.sentences.fields import FIELDS
from service.rules.triggers import CLOCK, KINDS
from service.rules.triggers import FIELDS as OF_TRIGGERS

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {
    "id": "one",
    "when": "task.completed",
    "then": [{"notify": "slack:#office", "text": "Done: {{ task.title }}"}],
}
# One value for each key of a rule, and words that it must bring into the sentence.
KEYS: Mapping[str, tuple[Any, str]] = {
    "when": ({"task.overdue": "2h"}, "2 hours after a task was due, if it is still open, send"),
    "if": ('task.priority == "high"', "and its priority is high, send"),
    "for_each": ("tasks.filter(t, !t.done)", "for each task if it is not done"),
    "settle": ({"quiet": "2m", "max": "1h"}, "not changed for 2 minutes, after 1 hour at the"),
    "for": ("1h", "and this stays so for 1 hour"),
    "group": (
        {"by": "task.customer.id", "wait": "30m", "max": 50},
        "for all such tasks of one customer together (collected for 30 minutes, at most 50 tasks)",
    ),
    "hours": ({"use": "office", "outside": "skip"}, "only in office hours, otherwise not at all"),
    "expires": ("20m", "at most 20 minutes late"),
    "once_per": (["task.customer.id", "date(task.start)"], "per customer and day of the start"),
    "limit": ("5/h", "at most 5 an hour"),
    "muted_by": (
        {"rule": "other", "same": ["task.project.id"]},
        "not while other has acted for the same project",
    ),
    "then": ([{"wait": "2 business hours"}], "wait 2 business hours."),
    "escalate": (
        [{"notify": "slack:#dispatch", "after": "15m", "text": "Still open"}],
        "until someone acknowledges the task or it changes, after 15 minutes send “Still open” to",
    ),
    "until": ("task.done", "cancelled as soon as it is done"),
    "enabled": ("shadow", "on trial in the file"),
    "accounts": (["field", "london"], "is completed in field or london"),
    "together": ("field", "once for all accounts, by the time zone of field"),
    "own_writes": (True, "also for changes that other rules make"),
}
MESSAGE = {"notify": "slack:#office", "text": "Hello"}
STEP_KEYS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "text": ({"text": "Hello there"}, "“Hello there”"),
    "template": ({"notify": "slack:#office", "template": "a.liquid"}, "the text in a.liquid"),
    "subject": ({"subject": "News"}, "send “News”: “Hello” to"),
    "buttons": ({"buttons": ["done", "snooze"]}, "(with buttons: done and snooze)"),
    "attach": ({"attach": "visit"}, "(with the visit for calendars)"),
    "on_undo": ({"on_undo": "thread"}, "(answer it if this is undone)"),
    "repeat": ({"repeat": {"every": "2h", "max": 5}}, "(again every 2 hours, at most 5 times)"),
    "even_if_told": ({"even_if_told": True}, "even if the customer was told"),
    "on_fail": (
        {"on_fail": [{"create_task": {"title": "Call"}}]},
        "(if that fails: create the task “Call”)",
    ),
    "approve": ({"approve": "slack:#boss"}, "ask for approval by Slack #boss and send"),
}
STEP_WORDS: Mapping[str, tuple[Any, str]] = {
    "notify": ("email:{{ task.assignee.email }}", "its assignee's email address by email"),
    "wait": ("90s", "wait 90 seconds"),
    "create_task": ({"title": "Bill", "due": "1 day"}, "task “Bill” (due date 1 day later)"),
    "update_task": ({"priority": "high"}, "set the task's priority to “high”"),
    "complete_task": (True, "complete the task"),
    "reopen_task": (True, "reopen the task"),
    "delete_task": (True, "delete the task"),
}


def said(rule: Mapping[str, Any]) -> str:
    """The sentence, with backquotes around what is shown as it is written."""
    return "".join(f"`{part}`" if isinstance(part, Code) else part for part in sentence(rule))


def examples() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every rule in the documentation, and in the files of the demo."""
    reader = YAML(typ="safe")
    for file in [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *ROOT.glob("service/**/*.yaml"),
    ]:
        text = file.read_text("utf-8")
        blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for block in [text] if file.suffix == ".yaml" else blocks:
            found = reader.load(block)
            rules = found.get("rules", []) if isinstance(found, dict) else found
            said = [one for one in rules or [] if "when" in one]
            # With what the configuration has for all rules: as it is stored.
            values = found.get("defaults", {}) if isinstance(found, dict) else {}
            yield from ((one["id"], one) for one in RuleDefaults(values).filled(said))


@pytest.mark.parametrize(("name", "rule"), [*examples()])
def test_every_example_has_a_sentence(name: str, rule: Mapping[str, Any]) -> None:
    """It is words from beginning to end: no expression and no text of a template is left in it."""
    words = said(rule)
    assert words.endswith("."), name
    assert "`" not in words
    assert not re.search(r"\{|\}|==|&&|None|task\.\w", words)


def test_there_are_many_examples() -> None:
    """The search finds those of the language, the recipes and the demo."""
    assert len({name for name, _ in examples()}) > 60


def test_every_key_of_a_rule_has_words() -> None:
    """A key that is new in the language must be added here, and to the sentence."""
    known = {field.alias or name for name, field in RuleShape.model_fields.items()}
    assert known == {*KEYS, "id"}
    assert {*NotifyShape.model_fields} == {*STEP_KEYS, "notify"}
    assert STEP_WORDS.keys() == STEPS.keys()


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_a_rule_in_words(key: str) -> None:
    """The sentence says what the key does."""
    value, words = KEYS[key]
    base = BASE | {"when": {"schedule": "0 7 * * 1-5"}} if key == "for_each" else BASE
    assert words in said(base | {key: value})
    assert words not in said(base)


@pytest.mark.parametrize("key", STEP_KEYS)
def test_a_key_of_a_message_in_words(key: str) -> None:
    """The sentence says what the key does."""
    values, words = STEP_KEYS[key]
    base = {} if "notify" in values else MESSAGE
    assert words in said(BASE | {"then": [{**base, **values}]})


@pytest.mark.parametrize("key", STEP_WORDS)
def test_a_step_in_words(key: str) -> None:
    """The sentence says what the step does."""
    value, words = STEP_WORDS[key]
    assert words in said(BASE | {"then": [{key: value}]})


@pytest.mark.parametrize("name", [*KINDS, *CLOCK])
def test_every_event_has_words(name: str) -> None:
    """Also with the fields to which it can be limited."""
    when: Any = {name: "1h"} if name in CLOCK else name
    assert re.match(r"(When|1 hour) .*a .*task", said(BASE | {"when": when}))
    for field in OF_TRIGGERS.get(name, ()):
        words = said(BASE | {"when": {name: [field]}})
        assert words.startswith(f"When the {FIELDS[field]} of a task changes, send")


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"before": "task.start", "by": "1 day", "at": "16:00"}, "1 day before a task starts, at"),
        ({"after": "task.created_at", "by": "3 days"}, "3 days after a task was created, send"),
        ({"before": "task.due", "at": "08:00"}, "On the day on which a task is due, at 08:00"),
        (
            {"before": "task.fields.renewal", "by": "2 weeks", "at": "09:00"},
            "2 weeks before the date “renewal” of a task, at 09:00",
        ),
        ("task.overdue", "When a task is overdue, send"),
        ({"signal": "leaving"}, "When the signal “leaving” comes for a task"),
        ({"schedule": "30 7 * * 1-5"}, "Every Monday to Friday at 07:30"),
        ({"schedule": "0 16 * * FRI"}, "Every Friday at 16:00"),
        ({"schedule": "0 8 1 * *"}, "On the 1st of every month at 08:00"),
        ({"schedule": "0 8,17 * * *"}, "Every day at 08:00 and 17:00"),
        ({"schedule": "*/15 * * * *"}, "Every 15 minutes"),
        (
            {"schedule": "0 9-17 * * 1-5"},
            "Every hour from 09:00 to 17:00, every Monday to Friday, send",
        ),
        ({"schedule": "0 8 1 1,7 *"}, "On the 1st of January and July at 08:00"),
        ({"schedule": "1-9 8 1 * 1"}, "By the schedule `1-9 8 1 * 1`"),
    ],
)
def test_a_trigger_in_words(when: Any, words: str) -> None:
    """Alarms with a length or a time of day, signals, and the usual schedules."""
    assert said(BASE | {"when": when}).startswith(words)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("has(task.assignee) && !task.done", "it has an assignee, and it is not done"),
        ('task.type != "on site"', "its type is not “on site”"),
        ('task.title.startsWith("A")', "its title begins with “A”"),
        ('!task.title.contains("A")', "its title does not contain “A”"),
        ('"urgent" in task.tags', "its tags include “urgent”"),
        ('!("urgent" in task.tags)', "its tags do not include “urgent”"),
        ('task.priority in ["high", "highest"]', "its priority is high or highest"),
        ("has(task.due) || has(task.start)", "it has a due date or it has a start"),
        (
            'task.done && (has(task.due) || task.type == "a")',
            "it is done, and (it has a due date or its type is a)",
        ),
        ("date(task.due) == date(now)", "the day of its due date is today"),
        ('task.due < now + duration("48h")', "its due date is earlier than 2 days from now"),
        ("task.due > before.due", "its due date is later than its previous due date"),
        ("has(before.id)", "it was known before"),
        ("!before.archived", "it is not archived before the change"),
        ('"region" in task.fields && task.fields.region == "n"', "its “region” is n"),
        ('"vip" in task.customer.tags', "its customer's tags include “vip”"),
        ('!("north" in task.customer.groups)', "its customer's groups do not include “north”"),
        ('"level" in task.customer.fields', "its customer has the field “level”"),
        ("!has(task.customer.fields.level)", "its customer has no field “level”"),
        (
            'has(task.customer.fields.level) && task.customer.fields.level == "gold"',
            "its customer's “level” is gold",
        ),
        ("task.done == false", "it is not done"),
        ('task.description == ""', "its description is empty"),
        ("size(task.tags) > 2", "`size(task.tags) > 2`"),
        ('task.title.matches("a.*b")', '`task.title.matches("a.*b")`'),
        ("!(task.done || task.archived)", "`!(task.done || task.archived)`"),
        ("task.tags.exists(t, t == 'a')", "`task.tags.exists(t, t == 'a')`"),
    ],
)
def test_a_condition_in_words(condition: str, words: str) -> None:
    """What has no words stays in the sentence as it is written."""
    assert words in said(BASE | {"if": condition})


def test_a_rule_as_a_whole() -> None:
    """Trigger, condition, steps and restrictions come in this order."""
    rule = {
        **BASE,
        "accounts": ["field"],
        "if": 'task.priority == "high"',
        "then": [{"wait": "2h"}, *BASE["then"]],
        "hours": "office",
        "once_per": ["task.customer.id"],
    }
    assert said(rule) == (
        "When a task is completed in field, and its priority is high, wait 2 hours, then send"
        " “Done: …” to Slack #office; only in office hours; once per customer."
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("slack:#office", "to Slack #office."),
        ("slack:@{{ task.assignee.email }}", "to Slack @[its assignee's email address]."),
        ("email:boss@x.test", "to boss@x.test by email."),
        ("email:{{ group.key }}", "to the recipient of this group by email."),
        ("email:{{ task.fields.mail | downcase }}", "to … by email."),
        ("accounting", "to accounting."),
    ],
)
def test_a_receiver_in_words(address: str, words: str) -> None:
    """What is filled in is named."""
    assert said(BASE | {"then": [{"notify": address, "text": "Hello"}]}).endswith(words)


def test_hostile_texts_are_short_and_stay_texts() -> None:
    """A long text is cut off; markup and marks of direction are not interpreted."""
    rule = BASE | {"then": [{"notify": "slack:#office", "text": "<b>\u202e" + "W" * 10_000}]}
    words = said(rule)
    assert "“<b>\u202eWWW" in words
    assert len(words) < 300
