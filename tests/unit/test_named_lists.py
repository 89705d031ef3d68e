"""`lists`: values from CSV files beside the configuration, in conditions."""

import gc
from pathlib import Path

import orjson
import pytest

from service.config import check, load, past_rules, sketch
from service.rules.language import named_lists
from service.rules.language.named_lists import Column
from tests.harness.rule_files import ENVIRON, HEAD, tried

TOP = "lists: { vip: vip.csv }"
VIPS = """\
E-Mail,Phone Number,Name,1st contract,Größe
Ann@X.test ,+1 555 0100,"Jones, Ann",17,2.5
bo@x.test,,Bo,,
"""


def rule(condition: str) -> str:
    return f"""{{ id: r, when: task.completed, if: '{condition}',
        then: [{{ notify: "slack:#o", text: "{{{{ task.id }}}}" }}] }}"""


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        ("task.customer.email in lists.vip", "AB"),
        ("task.customer.email in lists.vip.e_mail", "AB"),
        ("!(task.customer.email in lists.vip)", "CD"),
        ("task.customer.phone in lists.vip.phone_number", "A"),
        ("task.customer.name   in lists.vip.name || false", "A"),
        ('"x" in task.tags && task.customer.email in lists.vip', "B"),
        ("task.tags.exists(t, t in lists.vip.name)", "C"),
        ('"email" in task.fields && task.fields["email"] in lists.vip', "D"),
        ("has(task.fields.contract) && task.fields.contract in lists.vip._1st_contract", "C"),
        ("has(task.fields.contract) && task.fields.contract in lists.vip.grosse", "D"),
        ('task.title == "it is in lists.vip" || task.customer.email in lists.vip', "AB"),
    ],
)
async def test_what_is_in_a_list(tmp_path: Path, condition: str, chosen: str) -> None:
    """By the first column or another; capitals do not matter, and what is empty is in none."""
    (tmp_path / "vip.csv").write_text(VIPS, encoding="utf-8")
    expected = ", ".join(f'{{ notify: "slack:#o", contains: {one} }}' for one in chosen)
    done = ", ".join(f"{one}: {{ done: true }}" for one in "ABCD")
    result = await tried(
        tmp_path,
        rule(condition),
        top=TOP,
        test=f"""name: It, start: 2026-03-05 12:00, given: [
            {{ id: A, customer: {{ email: ann@x.TEST, phone: "+1 555 0100",
                name: "Jones, Ann" }} }},
            {{ id: B, tags: [x], customer: {{ email: " bo@x.test", phone: "" }} }},
            {{ id: C, tags: [bo], customer: {{ email: cy@x.test }}, fields: {{ contract: 17 }} }},
            {{ id: D, fields: {{ email: bo@x.test, contract: 2.5 }} }}],
            steps: [{{ at: 2026-03-05 13:00, change: {{ {done} }}, expect: [{expected}] }}]""",
    )
    assert result.failures == []


async def test_lists_in_every_condition(tmp_path: Path) -> None:
    """In `for_each`, in a question about all tasks, in `until`, and in the choice of hours."""
    (tmp_path / "vip.csv").write_text("email\nann@x.test\n", encoding="utf-8")
    result = await tried(
        tmp_path,
        """{ id: each, when: { schedule: "0 15 * * *" }, accounts: [field],
            for_each: "tasks.filter(t, t.customer.email in lists.vip)",
            then: [{ notify: "slack:#each", text: "{{ task.id }}" }] }""",
        """{ id: all, when: { schedule: "0 15 * * *" }, accounts: [field],
            if: "size(tasks.filter(t, !(t.customer.email in lists.vip))) == 1",
            then: [{ notify: "slack:#all", text: hi }] }""",
        """{ id: until, when: task.completed, until: task.customer.email in lists.vip,
            hours: [{ if: task.customer.email in lists.vip, use: texting }, office],
            then: [{ wait: 1h }, { notify: "slack:#until", text: "{{ task.id }}" }] }""",
        top=TOP,
        test="""name: It, start: 2026-03-05 12:00, given: [
            { id: A, customer: { email: ann@x.test } }, { id: B, customer: { email: b@x.test } }],
            steps: [
            { at: 2026-03-05 13:00, change: { A: { done: true }, B: { done: true } },
              expect: [{ cancelled: "slack:#until" }] },
            { at: 2026-03-05 14:00, expect: [{ notify: "slack:#until", contains: B }] },
            { at: 2026-03-05 15:00, expect: [{ notify: "slack:#each", contains: A },
                                             { notify: "slack:#all" }] }]""",
    )
    assert result.failures == []


def test_a_changed_file_is_another_version_of_the_rules(tmp_path: Path) -> None:
    """The version that decided earlier keeps its list, though the file is gone."""
    file, vips = tmp_path / "taskbell.yaml", tmp_path / "vip.csv"
    condition = "task.customer.email in lists.vip"
    file.write_text(f"{HEAD}{TOP}\nrules:\n- {rule(condition)}\n", encoding="utf-8")
    vips.write_text(VIPS, encoding="utf-8")
    first = load(file, ENVIRON)
    vips.write_text(VIPS.replace("bo@", "cy@"), encoding="utf-8")
    assert load(file, ENVIRON).rules.version != first.rules.version
    then = past_rules(first.text, sketch(file, {}))
    vips.unlink()
    assert orjson.loads(first.text)["templates"] == {"vip.csv": VIPS}
    [expression] = next(iter(then)).conditions
    assert expression.lists.lists["vip"][""].values == {"ann@x.test", "bo@x.test"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "vip.csv:1:1: the file is empty"),
        ("email,Email\na,b\n", "vip.csv:1:1: two columns are called email"),
        ("email,\na,b\n", "vip.csv:1:1: column 2 has no name"),
        ("ann@x.test\nbo@x.test\n", "vip.csv:1:1: ann@x.test is not the name of a column"),
        ("email,name\na,b\nc\n", "vip.csv:3:1: there are 1 value for 2 columns"),
        ("email\n\n\na,b\n", "vip.csv:4:1: there are 2 values for 1 columns"),
        ('email,name\n"a"b,c\n', "vip.csv:2:1: this line cannot be read"),
        (
            "email\n" + "a\n" * 20_001,
            "vip.csv:20002:1: this line cannot be read: a list has at most",
        ),
        ("email\n", "warning: vip.csv has only the names of its columns"),
    ],
)
def test_a_file_that_is_no_list(tmp_path: Path, text: str, said: str) -> None:
    """Each error has the file and the line."""
    (tmp_path / "vip.csv").write_text(text, encoding="utf-8")
    file = tmp_path / "taskbell.yaml"
    written = f"{HEAD}{TOP}\nrules:\n- {rule('task.customer.email in lists.vip')}\n"
    file.write_text(written, encoding="utf-8")
    faults = [str(one).replace(f"{tmp_path}/", "") for one in check(file, ENVIRON)]
    assert any(said in one for one in faults), faults
    assert len(faults) == 1


@pytest.mark.parametrize(
    "condition",
    [
        "task.customer.groups in lists.vip",
        "task.assignee in lists.vip.name",
        "task.done in lists.vip",
        "task.title in lists.vip && task.tags in lists.vip",
    ],
)
def test_what_can_be_in_no_list(tmp_path: Path, condition: str) -> None:
    """It is said when the rule is written, and not at its first task."""
    (tmp_path / "vip.csv").write_text(VIPS, encoding="utf-8")
    file = tmp_path / "taskbell.yaml"
    file.write_text(f"{HEAD}{TOP}\nrules:\n- {rule(condition)}\n", encoding="utf-8")
    [fault] = check(file, ENVIRON)
    assert "only a text or a number can be in a list" in str(fault)
    pointed_at, mark, *_ = str(fault).splitlines()[1:]
    assert pointed_at[mark.index("^") :].startswith(condition.rpartition("&& ")[2])


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_list_as_excel_saves_it(tmp_path: Path, encoding: str) -> None:
    """What to do is said with what is wrong."""
    (tmp_path / "vip.csv").write_text("email\nmüller@x.test\n", encoding=encoding)
    file = tmp_path / "taskbell.yaml"
    text = f"{HEAD}{TOP}\nrules:\n- {rule('task.customer.email in lists.vip')}\n"
    file.write_text(text, encoding="utf-8")
    [fault] = check(file, ENVIRON)
    assert "is not UTF-8" in str(fault)
    assert "save the file with the encoding UTF-8" in str(fault)


def test_columns_are_freed_with_their_rules() -> None:
    """A list that was replaced stays in memory no longer than the rules that read it."""
    column = Column.of(frozenset({"a"}))
    key = column.key
    assert named_lists.is_listed(" A", key)
    del column
    with pytest.raises(KeyError):
        named_lists.is_listed("a", key)


def test_a_list_outlives_another_with_the_same_values() -> None:
    """A configuration is read again, and the copy is thrown away: the rules that run go on."""
    kept = Column.of(frozenset({"a", "b"}))
    again = Column.of(frozenset({"b", "a"}))
    assert again is kept
    del again
    gc.collect()
    assert named_lists.is_listed("A ", kept.key)
