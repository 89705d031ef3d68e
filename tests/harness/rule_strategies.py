"""Rules as Hypothesis makes them: sound, and of every part of the language."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

TRIGGERS: list[Any] = [
    "task.created",
    "task.completed",
    "task.reopened",
    "task.rescheduled",
    "task.reassigned",
    "task.changed",
    "task.deleted",
    "task.restored",
    {"task.changed": ["priority", "due"]},
    {"task.due_soon": "2h"},
    "task.overdue",
    {"task.overdue": "3h"},
    {"task.starting_soon": "30m"},
    {"before": "task.start", "by": "1 day", "at": "16:00"},
    {"after": "task.due", "by": "1h"},
    {"signal": "leaving"},
]
CONDITIONS = [
    'task.title != ""',
    "has(task.assignee)",
    '!has(task.priority) || task.priority == "high"',
    "has(task.due) && task.due > now",
    "has(before.due) && has(task.due) && task.due > before.due",
    "size(task.tags) < 2",
    "1 / size(task.title) == 1",  # has no value for a task without a title
]
ONCE = ["task.id", "task.title", "has(task.due) ? date(task.due) : ''"]
NOTIFY = [
    {"notify": "slack:#office", "text": "{{ task.title }} {{ event.kind }}"},
    {"notify": "slack:#office", "text": "again: {{ task.title }}", "on_undo": "update"},
    {"notify": "slack:#o", "text": "{{ task.title }}", "on_undo": "retract"},
    {"notify": "email:a@b.test", "text": "{{ task.title }}", "on_undo": "thread"},
    {"notify": "email:{{ task.assignee.email }}", "subject": "S", "text": "{{ task.due | local }}"},
    {"notify": "email:{{ task.customer.email }}", "text": "{{ task.title }} {{ task.due }}"},
    {"notify": "accounting"},
    {"notify": "accounting", "repeat": {"every": "2h", "max": 3}},
    {"notify": "slack:#o", "text": "x", "repeat": {"every": "3 business hours", "max": 2}},
    {"notify": "customer:details"},
    {
        "notify": "accounting",
        "on_fail": [
            {"notify": "slack:#o", "text": "{{ task.title }}: {{ failure }}"},
            {"create_task": {"title": "Call {{ task.customer.name }}", "due": "1 day"}},
        ],
    },
    {"notify": "customer:on_the_way"},
    {"notify": "slack:#office", "template": "task.liquid"},
    {"update_task": {"title": "later", "due": "1 business day"}},
]
APPROVE = [None, None, None, "slack:#dispatch", "email:{{ task.assignee.email }}"]
WAITS = [{"wait": "45m"}, {"wait": "2 business hours"}, {"wait": "1 business day"}]
UNTIL = ["task.done", 'task.title == "end"', "now > timestamp('2026-03-07T00:00:00Z')"]
GROUP_BY = ["task.assignee.email", "'all'", "date(now)", "'x' + string(1 / size(task.title))"]
TELL = [
    {
        "notify": "slack:#office",
        "text": "{{ group.size }} of {{ group.key }}:"
        "{% for task in group.tasks %} {{ task.id }} {{ task.title }}{% endfor %}",
    },
    {"notify": "email:{{ group.key }}", "subject": "{{ group.tasks | size }}", "text": "x"},
    {"wait": "45m"},
    {"create_task": {"title": "Look at {{ group.size }}", "due": "1 day"}},
    {"notify": "accounting"},
    {"notify": "slack:#office", "template": "digest.liquid"},
]
ONCE_A_DIGEST = ["group.key", "date(now)", "string(group.size)"]
SCHEDULES = [
    {"schedule": "30 7 * * *"},
    {"schedule": "0 */9 * * 1-5"},
    {"schedule": "30 2 8 3 *"},  # in an hour that New York leaves out in that night
]
CHOICES = [
    "tasks.filter(t, !t.done)",
    "tasks.filter(t, has(t.due) && t.due < now)",
    "tasks.filter(t, 1 / size(t.title) == 1)",  # has no value for a task without a title
]
REMIND = {"notify": "slack:#office", "text": "{{ event.at | local }} {{ now | local }}"}

TEMPLATES = {
    "task.liquid": "{{ task.title }} {{ now | local }}",
    "digest.liquid": "{{ group.tasks | map: 'title' | join: ', ' }}",
}

actions = st.builds(
    lambda action, approve: (
        action if approve is None or "repeat" in action else {**action, "approve": approve}
    ),
    st.sampled_from(NOTIFY),
    st.sampled_from(APPROVE),
)
steps = st.lists(
    st.tuples(st.none() | st.sampled_from(WAITS), actions), min_size=1, max_size=3
).map(lambda pairs: [step for pair in pairs for step in pair if step is not None])

_optional = {
    "if": st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2),
    "settle": st.sampled_from(["20m", {"quiet": "30m", "max": "1h"}]),
    "for": st.sampled_from(["20m", "2h"]),
    "hours": st.sampled_from(
        ["office", *({"use": "texting", "outside": outside} for outside in ("skip", "ignore"))]
    ),
    "expires": st.sampled_from(["20m", "5h"]),
    "once_per": st.lists(st.sampled_from(ONCE), min_size=1, max_size=2),
    "until": st.sampled_from(UNTIL),
    "limit": st.sampled_from(["1/d", "2/d", "1/h"]),
    "accounts": st.sampled_from([["field"], ["field", "london"]]),
    "enabled": st.sampled_from([True, "shadow"]),
}
_shapes = st.fixed_dictionaries(
    {"when": st.sampled_from(TRIGGERS), "then": steps}, optional=_optional
)


# Rules that speak often, so that what bounds them is reached.
_eager = st.fixed_dictionaries(
    {"when": st.sampled_from(["task.created", "task.changed"]), "then": steps},
    optional={
        "once_per": st.just(["task.title"]),
        "if": st.just(['task.title != "end"', "size(task.title) > 0 || has(before.due)"]),
        "for": st.sampled_from(["20m", "2h"]),
        "limit": st.sampled_from(["1/d", "2/d"]),
        "enabled": st.just("shadow"),
    },
)


def _sound(rule: dict[str, Any]) -> dict[str, Any]:
    """Without what the language refuses.

    The clock has no change to wait for the end of, nobody waits in two ways at once, and what is
    gone stays so.
    """
    by_clock = rule["when"] == "task.overdue" or (
        isinstance(rule["when"], dict) and "task.changed" not in rule["when"]
    )
    refused = {"settle"} if by_clock or "for" in rule else set()
    refused |= {"for"} if rule["when"] == "task.deleted" else set()
    return {name: value for name, value in rule.items() if name not in refused}


def _muted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last rule is muted by the first, where that is one that the clock ends."""
    first = found[0]["when"]
    is_about_one = "group" not in found[0] and "group" not in found[-1]
    is_about_one &= "schedule" not in found[-1]["when"] or "for_each" in found[-1]
    if len(found) > 1 and is_about_one and "task.overdue" in first:
        found[-1]["muted_by"] = {"rule": "r0", "same": ["task.customer.id"]}
    return found


_digests = st.fixed_dictionaries(
    {
        "when": st.sampled_from([one for one in TRIGGERS if one != "task.deleted"]),
        "group": st.fixed_dictionaries(
            {"by": st.sampled_from(GROUP_BY), "wait": st.sampled_from(["15m", "2h"])},
            optional={"max": st.sampled_from([1, 2])},
        ),
        "then": st.lists(st.sampled_from(TELL), min_size=1, max_size=3),
    },
    optional=_optional | {"once_per": st.sampled_from(ONCE_A_DIGEST)},
).map(_sound)
_for_each = st.fixed_dictionaries(
    {
        "when": st.sampled_from(SCHEDULES),
        "for_each": st.sampled_from(CHOICES),
        "then": steps,
    },
    optional={name: one for name, one in _optional.items() if name not in {"settle", "for", "if"}}
    | {"if": st.sampled_from(["has(task.assignee)", "1 / size(task.title) == 1"])},
)
_lists = st.fixed_dictionaries(
    {
        "when": st.sampled_from(SCHEDULES),
        "for_each": st.sampled_from(CHOICES),
        "group": st.fixed_dictionaries({"by": st.sampled_from(GROUP_BY)}),
        "then": st.lists(st.sampled_from(TELL), min_size=1, max_size=2),
    },
    optional={
        "if": st.just("has(task.assignee)"),
        "hours": _optional["hours"],
        "expires": _optional["expires"],
        "once_per": st.sampled_from(ONCE_A_DIGEST),
        "until": _optional["until"],
    },
)
_reminders = st.fixed_dictionaries(
    {"when": st.sampled_from(SCHEDULES), "then": st.just([REMIND])},
    optional={"hours": _optional["hours"], "expires": _optional["expires"]},
)

rules = st.lists(
    st.one_of(_shapes.map(_sound), _eager.map(_sound), _digests, _for_each, _lists, _reminders),
    min_size=1,
    max_size=4,
).map(lambda found: _muted([{"id": f"r{number}", **rule} for number, rule in enumerate(found)]))

storms = st.sampled_from(
    [
        "storm: { messages: 1, within: 1 day }",
        "storm: { messages: 2 }",
        "storm: { per_target: 1, within: 2h }",
        "",
    ]
)


def write_templates(folder: Path) -> None:
    """Put the files that rules name beside their configuration."""
    for name, text in TEMPLATES.items():
        (folder / name).write_text(text)
