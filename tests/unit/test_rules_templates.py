"""Texts: what they render, what they leave empty, and where they end."""

import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.rules.language.templates import RenderError, template
from service.rules.language.vocabulary import as_values
from tests.harness.tasks import BO, task

DUE = datetime(2026, 3, 6, 22, 0, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "task": as_values(
        task(assignee=BO, due=DUE, tags=("a", "b"), fields={"regions": ["north", "south"]}),
        ZoneInfo("America/New_York"),
    ),
    "now": DUE,
    "zone": ZoneInfo("America/New_York"),
}


def test_a_day_is_shown_without_a_time() -> None:
    """Whatever the format asks for; a day of the account is that day where UTC has the next."""
    night = datetime(2026, 3, 7, 4, 59, 59, tzinfo=UTC)
    one = task(due=night, due_is_day=True, start=night)
    values = {**VALUES, "task": as_values(one, VALUES["zone"])}
    told = {
        "{{ task.due | local }}": "Fri 6 Mar 2026",
        "{{ task.start | local }}": "Fri 6 Mar 2026, 23:59",
        "{{ task.due | local: '%d.%m. %H:%M' }}": "06.03.",
        "{{ task.due | local: '%-I:%M %p, %A' }}": "Friday",
        "{{ task.due | local: '%c' }}": "Fri Mar 6 2026",
        "by {{ task.due | local: '%H:%M' }}": "by ",
        "{{ task.due | local: '100%%H %d' }}": "100%H 06",
        "{{ task.due }}": "2026-03-06",
    }
    for text, shown in told.items():
        made, problems = template(text, ())
        assert made is not None, problems
        assert made.render(values) == shown


def render(text: str) -> str:
    made, problems = template(text, ())
    assert made is not None, problems
    return made.render(VALUES)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("\u202eIda", "\u202eIda\u202c"),
        ("\u2067a \u202bb\u202c", "\u2067a \u202bb\u202c\u2069"),
        ("\u202dIda\u202c", "\u202dIda\u202c"),
        ("\u202cשלם", "\u202cשלם"),
    ],
)
def test_a_value_does_not_turn_the_words_after_it(title: str, shown: str) -> None:
    """A customer whose name begins a direction would turn the time of the visit around: 03:21."""
    made, _ = template("{{ task.title }} at 12:30", ())
    assert made is not None
    text, markup = made.rendered({"task": {"title": title}})
    assert text == f"{shown} at 12:30"
    assert text[slice(*markup)] == " at 12:30"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ task.title }} for {{ task.assignee.name }}", "Smith gutters for Bo"),
        ("{{ task.due | local }}", "Fri 6 Mar 2026, 17:00"),
        ('{{ task.due | local: "%H:%M" }}', "17:00"),
        ("[{{ task.customer.name }}{{ task.start | local }}]", "[]"),
        ('{{ task.customer.name | default: "somebody" }}', "somebody"),
        ("{% for tag in task.tags %}{{ tag }},{% endfor %}", "a,b,"),
        ("{% if task.done %}done{% else %}open{% endif %}", "open"),
        ('{{ task.fields.regions | join: ", " }}', "north, south"),
        ("no values at all }}", "no values at all }}"),
        ("{{ 'a%00b' | url_decode }}", "ab"),
    ],
)
def test_rendering(text: str, rendered: str) -> None:
    """Values, dates on the account's clock, and nothing where there is nothing."""
    assert render(text) == rendered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ task.title", "{{ is not closed by }}"),
        ("{% if task.done %}", "{% endif %} is missing"),
        ("{% include 'x' %}", "there is no tag include"),
        ("{{ 'now' | date: '%Y' }}", "there is no filter date"),
        ("{{ task..title }}", "the text cannot be read: expected end of expression, found '..'"),
    ],
)
def test_faulty_text(text: str, message: str) -> None:
    """Wrong syntax is refused; so is what would read files or the machine's clock."""
    made, (problem,) = template(text, ())
    assert made is None
    assert problem.message == message


GROWING = {
    "loop": "{% for i in (1..999999999) %}x{% endfor %}",
    "loops in loops": "{% for i in (1..900) %}{% for j in (1..900) %}x{% endfor %}{% endfor %}",
    "output": "{% for i in (1..900) %}" + "x" * 900 + "{% endfor %}",
    "doubling": (
        "{% assign s = 'x' %}{% for i in (1..99) %}{% assign s = s | append: s %}{% endfor %}"
    ),
    "replacing": "{{ 'a' | replace: '', '"
    + "a" * 400
    + "' | replace: '', '"
    + "a" * 400
    + "' | size }}",
    "multiplying": "{{ 99999 | times: 99999 | times: 99999 | times: 99999 }}",
    "numbers": (
        "{% assign n = 9999 %}{% for i in (1..99) %}{% assign n = n | times: n %}{% endfor %}"
    ),
}


@pytest.mark.parametrize(
    "text",
    [
        "{{ task.title | base64_decode }}",
        "{{ task.title | sum }}",
        "{{ task.title | round: 'inf' }}",
        "{{ task" + "[task" * 500 + "]" * 500 + " }}",
        "{{ task | compact: 0 }}",
    ],
)
def test_a_value_that_does_not_fit(text: str) -> None:
    """What a task holds can spoil its own message, and nothing that stands beside it."""
    with pytest.raises(RenderError, match="cannot take its values"):
        render(text)


@pytest.mark.parametrize("name", GROWING)
def test_growth_is_limited(name: str) -> None:
    """A text that would grow without end is stopped, in no time."""
    began = time.perf_counter()
    with pytest.raises(RenderError):
        render(GROWING[name])
    assert time.perf_counter() - began < 1
