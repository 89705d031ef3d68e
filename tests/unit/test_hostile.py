"""Rules made to harm: each is refused when it is read, or stopped when it is asked, at once."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scanner import Scanner

from service.config import check, load
from service.document.scanner import OrderedScanner
from service.domain.model import Cause, Event, Kind, Task
from service.rules.language.expressions import UTC_ZONE, EvaluationError, condition
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import lasting
from service.rules.language.templates import RenderError, template
from tests.harness.rule_files import ENVIRON, HEAD, configured
from tests.harness.tasks import task

SECOND = 1.0  # of its own work: how long the machine takes to give it memory is not its fault
NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
TEN = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
ENOUGH = "task.tags.all(t, task.tags.all(u, {}))"
LOOP = "{{% for i in (1..999) %}}{}{{% endfor %}}"
SORTING = "{% assign x = task.description | split: ' ' | sort_natural | uniq | join: ' ' %}"


def large() -> Task:
    """A task that has much of everything."""
    tags = tuple(f"tag {number}" for number in range(1000))
    return task(title="a" * 40_000 + "!", description="ab " * 13_000, tags=tags)


def timed(work: Callable[[], str]) -> str:
    """What came of it, in less than a second."""
    began = worked()
    said = work()
    assert worked() - began < SECOND
    return said


def worked() -> float:
    """For how many seconds a processor has worked for this process, the system's part left out."""
    return getrusage(RUSAGE_SELF).ru_utime


FILES = {
    "lists in lists": ("[" * 100_000, "nested more than 40 levels deep"),
    "groups in groups": ("{a: " * 100_000, "nested more than 40 levels deep"),
    "ten megabytes": ("x" * 10_000_000, "the file is over 1 MB"),
    "a list without end": ("[" + "a," * 400_000 + "]", "more than 10000 entries"),
    "names without end": ("{" + "".join(f"a{n}: 1," for n in range(90_000)), "5000 names"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_refused(name: str, tmp_path: Path) -> None:
    """Depth, size and number are bounded before anything is made of them."""
    rules, expected = FILES[name]
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\nrules: {rules}\n")
    assert expected in timed(lambda: "\n".join(map(str, check(file, ENVIRON))))


@given(st.text(alphabet="[]{},:'ab \n-&*", max_size=60))
def test_what_bounds_the_scanner_changes_nothing(text: str) -> None:
    """The same tokens stand in the same places, and the same faults, as where it takes its time."""
    assert scanned(text, OrderedScanner) == scanned(text, Scanner)


def scanned(text: str, scanner: type[Scanner]) -> list[str]:
    """The tokens of a text and where they stand, and what is wrong with it."""
    reader = YAML(typ="safe", pure=True)
    reader.Scanner = scanner
    found: list[str] = []
    try:
        found.extend(f"{one} {one.start_mark} {one.end_mark}" for one in reader.scan(text))
    except YAMLError as error:
        found.append(str(error))
    return found


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    """A billion laughs are counted while they are unfolded."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    file = tmp_path / "t.yaml"
    file.write_text("\n".join(lines))
    assert "expands to more than 300000 values" in timed(
        lambda: "\n".join(map(str, check(file, ENVIRON)))
    )


REFUSED_CONDITIONS = {
    "brackets": ("(" * 1_900 + "true" + ")" * 1_900, "nested too deeply"),
    "lists": ("[" * 1_900 + "1" + "]" * 1_900 + " == []", "nested too deeply"),
    "a chain": ("task" + ".a" * 1_900, "nested too deeply"),
    "length": ("task.done || " * 400 + "true", "longer than 4000 characters"),
    "loops in loops": (f"{TEN}.all(a, {TEN}.all(b, {TEN}.all(c, true)))", "more than 2 deep"),
    "a large pattern": ('task.title.matches("((a{100}){100}){100}")', "pattern is too large"),
    "a repeated pattern": (f'task.title.matches("{"(a?){500}" * 20}")', "pattern is too large"),
    "a pattern from outside": ("task.title.matches(task.description)", "must be written as text"),
}


@pytest.mark.parametrize("name", REFUSED_CONDITIONS)
def test_a_condition_is_refused(name: str) -> None:
    """What could only go wrong, or on, is a fault of the file."""
    text, expected = REFUSED_CONDITIONS[name]

    def said() -> str:
        _, problems = condition(text, ("if",))
        return problems[0].message

    assert expected in timed(said)


STOPPED_CONDITIONS = {
    "a loop": (ENOUGH.format("true"), "takes too many steps"),
    "a loop that searches": (
        ENOUGH.format(f'!task.description.contains("{"ab " * 20}c")'),
        "takes too many steps",
    ),
    "a loop that joins": (
        ENOUGH.format("(task.title + task.description).size() > 1"),
        "takes too many steps",
    ),
    "a loop that keeps": (
        "task.tags.map(t, task.tags.map(u, task.tags)).size() > 1",
        "takes too many steps",
    ),
    "a pattern that elsewhere takes for ever": ('task.title.matches("^(a+)+b$")', "False"),
    "such a pattern in a loop": (
        ENOUGH.format('!task.title.matches("^(a|aa|aaa)+b$")'),
        "takes too many steps",
    ),
}


@pytest.mark.parametrize("name", STOPPED_CONDITIONS)
def test_a_condition_is_stopped(name: str) -> None:
    """Loops have a budget, patterns are RE2's, and only the beginning of a text counts."""
    text, expected = STOPPED_CONDITIONS[name]
    asked, problems = condition(text, ("if",))
    assert asked is not None, problems
    activation = lasting(large(), NOW, by_noun([asked.reads]))

    def answer() -> str:
        try:
            return str(asked.test(activation, UTC_ZONE))
        except EvaluationError as error:
            return str(error)

    assert expected in timed(answer)


REFUSED_TEXTS = {
    "nested ifs": ("{% if task.done %}" * 300 + "{% endif %}" * 300, "block nesting limit"),
    "braces": ("{" * 9_900, "{{ is not closed by }}"),
    "open values": ("{{ " * 3_300, "{{ is not closed by }}"),
    "blanks": ("{{ " + " " * 9_000 + " }}", "more than 100 spaces in a row"),
    "length": ("{{ task.title }}" * 700, "longer than 10000 characters"),
    "a range as a text": ("{{ (1..1000000000) | join: ',' }}", "only be used in a loop"),
    "a range in a name": (
        "{% assign a = (1..1000000000) %}{{ a | size }}",
        "only be used in a loop",
    ),
    "a range in a question": (
        "{% for i in (1..3) %}{% if (1..1000000000) contains 'x' %}x{% endif %}{% endfor %}",
        "only be used in a loop",
    ),
}


@pytest.mark.parametrize("name", REFUSED_TEXTS)
def test_a_text_is_refused(name: str) -> None:
    """What the library would take too long to read, or to unfold, it is not given."""
    text, expected = REFUSED_TEXTS[name]

    def said() -> str:
        _, problems = template(text, ("text",))
        return problems[0].message

    assert expected in timed(said)


STOPPED_TEXTS = {
    "a loop without end": (
        "{% for i in (1..1000000000) %}x{% endfor %}",
        "loop iteration limit reached",
    ),
    "loops in loops": (LOOP.format(LOOP.format("x")), "loop iteration limit reached"),
    "a text that doubles": (
        "{% assign a = 'xxxxxxxx' %}" + "{% assign a = a | append: a %}" * 60,
        "append: the result is too long",
    ),
    "a text that is caught and doubled": (
        "{% assign a = 'xxxxxxxx' %}" + "{% capture a %}{{ a }}{{ a }}{% endcapture %}" * 60,
        "output stream limit reached",
    ),
    "a text that is told again and again": ("{{ task.title }}" * 500, "output stream limit"),
    "a number that grows": (
        "{% assign a = 9 %}" + "{% assign a = a | times: a %}" * 60,
        "times: the result is too long",
    ),
    "work without end": (LOOP.format(SORTING * 50), "the filters have too much to do"),
    "a date of any width": ("{{ now | local: '" + "%c" * 4_000 + "' }}", "the result is too long"),
}


@pytest.mark.parametrize("name", STOPPED_TEXTS)
def test_a_text_is_stopped(name: str) -> None:
    """Loops, results, and what filters are given together are bounded in each rendering."""
    text, expected = STOPPED_TEXTS[name]
    made, problems = template(text, ("text",))
    assert made is not None, problems
    values = {"task": {"title": large().title, "description": large().description}}

    def rendered() -> str:
        try:
            return made.render({**values, "now": NOW, "zone": UTC_ZONE})
        except RenderError as error:
            return str(error)

    assert expected in timed(rendered)


def test_the_bounds_leave_room(tmp_path: Path) -> None:
    """A thousand tags, each shown twice, are no attack."""
    listing = "{% for tag in task.tags %}{{ tag | upcase }}, {{ tag | truncate: 5 }}{% endfor %}"
    config = configured(
        tmp_path,
        "- id: digest\n  when: task.created\n"
        f'  then: [{{ notify: "slack:#o", text: "{listing}" }}]\n',
    )
    event = Event(1, "field", "1", Kind.CREATED, NOW, Cause.POLL, None, large())
    [verdict] = config.rules.decide(event, NOW, UTC_ZONE)
    assert verdict.plans[0].text.startswith("TAG 0, ta...")


def test_a_rule_that_is_stopped_says_why(tmp_path: Path) -> None:
    """The decision is kept with the reason, and other rules go on."""
    config = configured(
        tmp_path,
        f"- {{ id: r, when: task.created, if: '{ENOUGH.format('true')}',"
        " then: [{ notify: accounting }] }\n"
        "- { id: s, when: task.created, then: [{ notify: accounting }] }\n",
    )
    event = Event(1, "field", "1", Kind.CREATED, NOW, Cause.POLL, None, large())
    stopped, other = config.rules.decide(event, NOW, UTC_ZONE)
    assert (stopped.outcome, other.outcome) == ("failed", "matched")
    assert "takes too many steps" in stopped.reason


MINUTES = "; ".join(f"Mo-Su {n % 24:02}:{n % 60:02}-{n % 24:02}:{n % 60 + 1:02}" for n in range(59))
REFUSED_RULES = {
    "a wait of ten years": ("{ wait: 3661 business hours }", "more than 3660 business hours"),
    "more messages than anybody reads": (
        ", ".join(["{ notify: accounting, repeat: { every: 1m, max: 100 } }"] * 3),
        "for one event the rule would send more than 250 messages",
    ),
    "something instead of each": (
        "{ notify: accounting, repeat: { every: 1m, max: 100 }, on_fail: ["
        + ", ".join(["{ notify: accounting }"] * 2_000)
        + "] }",
        "for one event the rule would send more than 250 messages",
    ),
}


def written(steps: str, hours: str = "Mo-Fr 08:00-17:00") -> str:
    return (
        HEAD.replace("Mo-Fr 08:00-17:00; PH off", hours)
        + f"rules:\n- {{ id: r, when: task.created, hours: office, then: [{steps}] }}\n"
    )


@pytest.mark.parametrize("name", REFUSED_RULES)
def test_a_rule_is_refused(name: str, tmp_path: Path) -> None:
    """What one event may bring about is bounded by what people want."""
    steps, expected = REFUSED_RULES[name]
    file = tmp_path / "t.yaml"
    file.write_text(written(steps))
    assert expected in timed(lambda: "\n".join(map(str, check(file, ENVIRON))))


def test_opening_hours_without_end_are_refused(tmp_path: Path) -> None:
    """They are gone through for every message."""
    file = tmp_path / "t.yaml"
    file.write_text(written("{ notify: accounting }", MINUTES))
    faults = timed(lambda: "\n".join(map(str, check(file, ENVIRON))))
    assert "the opening hours have more than 1000 characters" in faults


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("Feb 29 Mo 08:00-08:01", "too few open hours in the next ten years"),
        (MINUTES[:990].rpartition(";")[0], "matched"),
    ],
)
def test_business_days_are_counted_at_once(hours: str, expected: str, tmp_path: Path) -> None:
    """Also by hours that come once in a generation, or that open and close all day."""
    file = tmp_path / "t.yaml"
    repeat = "repeat: { every: 20 business days, max: 100 }"
    file.write_text(
        written(f"{{ wait: 366 business days }}, {{ notify: accounting, {repeat} }}", hours)
    )
    config = load(file, ENVIRON)
    event = Event(1, "field", "1", Kind.CREATED, NOW, Cause.POLL, None, task())

    def decided() -> str:
        [verdict] = config.rules.decide(event, NOW, UTC_ZONE)
        return f"{verdict.outcome} {verdict.reason}"

    assert expected in timed(decided)
