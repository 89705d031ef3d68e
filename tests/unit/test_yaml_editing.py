"""Unfinished YAML: where a place stands, what can be written there, and adding to a list."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.json_schema.completion import suggestions
from service.document.saving import FileChanged, mark_of, replace_text
from service.document.yaml_append import appended
from service.document.yaml_place import ENTRY, names_in, place_of

TEXT = """\
version: 1
channels:
  slack: { kind: slack, token: "x: {" }
  mail:
    kind: email   # by our own server

rules:
# the first
- id: one
  when: { task.overdue: 2h }
  then:
    - notify: slack
      text: a
    - notify: mail
- id: two
  then: [{ notify: slack, text: "a, b" }]
"""

pieces = st.sampled_from([*"{}[],:#-\"' \n\t", "a", "id: ", "- ", "rules:", "é", "\U0001f514"])


@pytest.mark.parametrize(
    ("whole", "cut", "path", "begun", "beside"),
    [
        ("version: 1", "vers", (), "vers", {"channels", "rules"}),
        ("kind: email   # by", "kind: em", ("channels", "mail", "kind"), "em", set()),
        ("    kind: email   # by", "    ki", ("channels", "mail"), "ki", set()),
        ("kind: slack, token", "kind: sl", ("channels", "slack", "kind"), "sl", set()),
        ('token: "x: {" }', "tok", ("channels", "slack"), "tok", {"kind"}),
        ("- id: one", "- i", ("rules", ENTRY), "i", {"when", "then"}),
        ("2h }", "2h, b", ("rules", ENTRY, "when"), "b", {"task.overdue"}),
        ("- notify: slack\n", "- not", ("rules", ENTRY, "then", ENTRY), "not", {"text"}),
        ("text: a\n", "te", ("rules", ENTRY, "then", ENTRY), "te", {"notify"}),
        ("notify: mail", "notify: ", ("rules", ENTRY, "then", ENTRY, "notify"), "", set()),
        ('"a, b" }]', '"a, b", on', ("rules", ENTRY, "then", ENTRY), "on", {"notify", "text"}),
    ],
)
def test_a_place_has_its_names_above_and_beside(
    whole: str, cut: str, path: tuple[str | int, ...], begun: str, beside: set[str]
) -> None:
    """Through lists and brackets; what stands in comments, quotes or other groups is no name."""
    before, found, after = TEXT.partition(whole)
    assert found
    text = f"{before}{cut}\n{after.partition(chr(10))[2] if chr(10) not in whole else after}"
    start = before + cut
    place = place_of(text, start.count("\n"), len(start) - start.rfind("\n") - 1)
    assert place is not None
    assert (place.path, place.begun, set(place.beside)) == (path, begun, beside)


@given(st.lists(pieces, max_size=40).map("".join), st.integers(-1, 12), st.integers(-1, 30))
def test_no_text_is_too_broken(text: str, line: int, column: int) -> None:
    """Whatever somebody has typed so far, suggestions come or do not, and nothing fails."""
    suggestions(text, line, column)
    names_in(text, "rules")


def test_in_a_comment_nothing_is_suggested() -> None:
    """But a hash in quotes, or in the middle of a word, begins none."""
    assert place_of("rules: # a", 0, 10) is None
    assert place_of("rules:\n- then: 'slack: #a", 1, 21) is not None
    assert place_of("rules:\n- then: slack:#a", 1, 18) is not None


def test_the_names_of_a_section_are_found() -> None:
    """One below the other, or in brackets."""
    assert names_in(TEXT, "channels") == ["slack", "mail"]
    assert names_in("hours: { office: 'Mo', night: x }\nrules:\n", "hours") == ["office", "night"]
    assert names_in(TEXT, "nothing") == []


def test_what_is_there_already_narrows_what_can_follow() -> None:
    """The options are those of the kind that is named, and none is suggested twice."""
    text = "channels:\n  mail:\n    kind: email\n    "
    labels = {one.label for one in suggestions(text, 3, 4)[1]}
    assert "from" in labels
    assert labels.isdisjoint({"kind", "webhook_url", "secret"})


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", "rules:\n  - id: x\n"),
        ("version: 1\n", "version: 1\n\nrules:\n  - id: x\n"),
        ("rules: []   # none\ntests: []\n", "rules:   # none\n  - id: x\ntests: []\n"),
        (
            "rules:\n- id: a\n  b: 1\n# end\ntests:\n",
            "rules:\n- id: a\n  b: 1\n- id: x\n# end\ntests:\n",
        ),
        ("rules:\n  - a\n\n  - b\n", "rules:\n  - a\n\n  - b\n\n  - id: x\n"),
        ("rules: [{ id: a }]\n", None),
    ],
)
def test_an_entry_is_added_at_the_end_of_its_list(text: str, result: str | None) -> None:
    """In the columns and with the blank lines that the others have; the rest stays."""
    assert appended(text, "rules", "- id: x\n") == result


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    """Whoever reads it sees the old text or the new one; who read another text replaces nothing."""
    file = tmp_path / "taskbell.yaml"
    file.write_text("old\n")
    file.chmod(0o604)
    with file.open() as reader:
        replace_text(file, "new\n", mark_of(b"old\n"))
        assert reader.read() == "old\n"
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    with pytest.raises(FileChanged):
        replace_text(file, "newer\n", mark_of(b"old\n"))
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_of_a_file_that_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its owner cannot be kept, it stays as it is."""

    def refused(*_: int) -> None:
        raise PermissionError

    file = tmp_path / "taskbell.yaml"
    file.write_text("old\n")
    monkeypatch.setattr("service.document.saving.os.fchown", refused)
    with pytest.raises(PermissionError):
        replace_text(file, "new\n", mark_of(b"old\n"))
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "old\n"
