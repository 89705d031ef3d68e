"""`template:` texts in files of their own, beside the configuration."""

from pathlib import Path

import pytest

from service.config import Config, RulesConfig, past_rules
from service.errors import ConfigError
from tests.harness.rule_files import configured

RULE = """\
- id: r
  when: task.completed
  then: [{ notify: "slack:#o", template: TEMPLATE }]
"""
LIST = """\
- id: morning-list
  when: { schedule: "30 7 * * 1-5" }
  for_each: tasks.filter(t, !t.done && has(t.due) && t.due < now + duration("24h"))
  group: { by: task.assignee.email }
  then:
    - notify: "email:{{ group.key }}"
      subject: "Today: {{ group.tasks | size }}"
      template: morning-list.liquid
"""


def loaded(folder: Path, text: str, name: str = "done.liquid") -> Config:
    (folder / "done.liquid").write_text(text, encoding="utf-8")
    return configured(folder, RULE.replace("TEMPLATE", name))


def refusal(folder: Path, text: str, name: str = "done.liquid") -> str:
    """The first fault, as it is shown, without the folder."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, name)
    return str(caught.value.faults[0]).replace(f"{folder}/", "")


def test_the_text_comes_from_the_file(tmp_path: Path) -> None:
    """A rule with `template: FILE` loads without a warning where the file is a sound template."""
    assert loaded(tmp_path, "{{ task.title }}\nis done\n").warnings == ()


def test_the_morning_list_is_written_as_one_would(tmp_path: Path) -> None:
    """The rule of the language's own description, with a loop in its file."""
    text = "{% for task in group.tasks %}{{ task.due | local }} {{ task.title }}\n{% endfor %}"
    (tmp_path / "morning-list.liquid").write_text(text, encoding="utf-8")
    assert configured(tmp_path, LIST).warnings == ()


def test_the_text_is_part_of_the_version(tmp_path: Path) -> None:
    """Another text is another set of rules; and what was kept can decide once more."""
    one, other = loaded(tmp_path, "done"), loaded(tmp_path, "is done")
    assert one.rules.version != other.rules.version
    (tmp_path / "done.liquid").unlink()
    sketch = RulesConfig(
        other.rules, other.timezone, {}, {"field": "kickserv"}, other.kinds, trials=()
    )
    assert past_rules(other.text, sketch).version == other.rules.version


def test_faults_inside_of_the_file_have_its_name(tmp_path: Path) -> None:
    """Line and column are of the file that has to be mended."""
    assert refusal(tmp_path, "Hi\n  {{ task.due | locl }}\n") == (
        "done.liquid:2:17: there is no filter locl\n"
        "    {{ task.due | locl }}\n"
        "                  ^\n"
        "  did you mean local?"
    )


def test_a_warning_inside_of_the_file_has_its_name(tmp_path: Path) -> None:
    """What no account fills renders as nothing; it is told, and prevents nothing."""
    [warning] = loaded(tmp_path, "Hi\n{{ task.url }}").warnings
    assert (Path(warning.file).name, warning.line, warning.column) == ("done.liquid", 2, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dnoe.liquid", "15:42: there is no file dnoe.liquid beside the configuration"),
        ("../done.liquid", "15:42: ../done.liquid is outside the configuration's folder"),
        ("/etc/hostname", "15:42: /etc/hostname is outside the configuration's folder"),
        ("link.liquid", "15:42: link.liquid is outside the configuration's folder"),
        (".", "15:42: . cannot be read: Is a directory"),
        ("done.liquid, text: hi", "15:42: text and template cannot be combined"),
        ("raw.liquid", "15:42: raw.liquid cannot be read: the byte 0xff is not UTF-8"),
    ],
)
def test_what_is_no_file_beside_it_is_told_where_it_is_named(
    name: str, message: str, tmp_path: Path
) -> None:
    """Missing, elsewhere, also by a link, not text, or beside another text."""
    (tmp_path / "link.liquid").symlink_to("/etc/hostname")
    (tmp_path / "raw.liquid").write_bytes(b"\xff")
    assert refusal(tmp_path, "hi", name).splitlines()[0] == f"taskbell.yaml:{message}"
