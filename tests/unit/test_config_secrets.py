"""No value that may be a secret is told of a configuration, wherever a slip has put it."""

from dataclasses import asdict
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.config import check
from service.config.root_shape import RootShape
from service.document.redaction import OPEN

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._~+/=", min_size=12, max_size=60)
NAMES = st.sampled_from(
    ["tokn", "pasword", "acess_key", "pin", "base_ulr", "webhok", "user", "notes", "kee", "x-1"]
)
# What is written behind a name; a secret stands in place of §.
VALUES = (
    "§",
    '"§"',
    "'§'",
    '"§',
    "[§, 3]",
    "{ inner: § }",
    "[§",
    "{ § }",
    "*§",
    "!§ x",
    "&§ [",
    "x # §",
    "§: §",
    "Bearer § ${TOKEN}",
    "https://u:§@h.test",
    "|\n      §\n      §",
    "\n      - §\n     - x",
    "\n      §",
    "\t§",
    "“§”",
    "@§",
    "%§",
    "`§`",
    "? §",
    "&§",
    "#§",
    "- #§",
    "${§}",
    "${§",
    "x${y, '§' z }",
)
PARTS = (
    "accounts:\n  a:\n    system: kickserv\n    {}: {}\n",
    "accounts:\n  a:\n    system: kickserv\n    webhook:\n      {}: {}\n",
    "accounts:\n  a:\n    system: nothing\n    {}: {}\n",
    "accounts:\n  a:\n    poll: 5\n    {}: {}\n",
    "channels:\n  a:\n    kind: webhook\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: email\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: slack\n    {}: {}\n",
    "channels:\n  a:\n    kind: teams\n    url: x\n    {}: {}\n",
    "users:\n  a:\n    role: viewer\n    {}: {}\n",
    "users:\n  a:\n    password: x\n    {}: {}\n",
    "users:\n  {}: {}\n",
    "acounts:\n  a:\n    {}: {}\n",
    "chanels:\n    {}: {}\n",
    "credentials:\n    {}: {}\n",
    "accounts: {{ a: {{ system: kickserv, {}: {}, poll: 5 }} }}\n",
    "accounts:\n- {}: {}\n",
    "{}: {}\n",
)


def told(text: str, folder: Path) -> str:
    """Everything that `check` says of a file, in both of its forms."""
    file = folder / "t.yaml"
    file.write_text(text, encoding="utf-8")
    faults = check(file, {"TOKEN": "a-value-out-of-the-environment"})
    said = "\n".join(map(str, faults)) + orjson.dumps([asdict(one) for one in faults]).decode()
    return said.replace(str(file), "t.yaml")


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=WORDS, name=NAMES, value=st.sampled_from(VALUES), part=st.sampled_from(PARTS))
def test_a_slip_gives_no_secret_away(
    secret: str, name: str, value: str, part: str, tmp_path: Path
) -> None:
    """Misspelt names, other values' places, comments, lines that are no YAML."""
    said = told("version: 1\n" + part.format(name, value.replace("§", secret)), tmp_path)
    runs = {secret[at : at + 10] for at in range(len(secret) - 9)}
    assert {run for run in runs if run in said} == set()


@pytest.mark.parametrize("field", ["system", "poll", "per_minute", "slug", "timezone", "webhook"])
def test_a_secret_pasted_behind_another_name(field: str, tmp_path: Path) -> None:
    """What stands behind the wrong name is told without its value, also in the sentence."""
    text = f"version: 1\naccounts:\n  a: {{ system: kickserv, {field}: s3cr3t-9f8e7d6c }}\n"
    said = told(text, tmp_path)
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    "text",
    [
        'rules: [{ id: a, when: task.completed, then: [{ notify: "http://u:s3cr3t@h.test" }] }]',
        'operator: "https://u:s3cr3t@h.test"',
        'network: { allow: ["http://u:s3c@r3t@h.test"] }',
        'rules: [{ id: a, wen: task.completed, then: "see //u:s3cr3t@h.test" }',
        'tests: [{ at: "//u:s3cr3t@h.test" }]',
    ],
)
def test_a_password_in_an_address(text: str, tmp_path: Path) -> None:
    """`user:password@` of an address is masked wherever the address stands."""
    said = told(f"version: 1\n{text}\n", tmp_path)
    assert "t.yaml:2" in said
    assert "s3c" not in said


@pytest.mark.parametrize("between", ["\u2028", "\u2029", "\x85"])
def test_separators_that_end_no_line(between: str, tmp_path: Path) -> None:
    """A text pasted from a web page moves no mask to another line, nor a fault."""
    rule = f"rules: [{{ id: a, when: task.completed, then: [{{ wait: 2h{between}1m }}] }}]"
    account = "accounts:\n  a:\n    system: kickserv\n    tokn: s3cr3t-9f\n    poll: 5x\n"
    said = told(f"version: 1\n{rule}\n{account}", tmp_path)
    assert "t.yaml:7:11: poll" in said
    assert "    poll: 5x" in said
    assert "s3cr3t" not in said


def test_a_line_below_a_value_that_has_ended(tmp_path: Path) -> None:
    """One line of an account that is not indented does not open those below it."""
    text = 'version: 1\naccounts:\n  a:\ntimezone: UTC\n    tokn: "s3cr3t-9f": x\n'
    said = told(text, tmp_path)
    assert "t.yaml:5" in said
    assert "s3cr3t" not in said


def test_an_address_that_was_put_in(tmp_path: Path) -> None:
    """What stands behind the @ of a value is as secret as what stands before it."""
    text = 'version: 1\naccounts:\n  a: { system: kickserv, poll: "${URL}" }\n'
    file = tmp_path / "t.yaml"
    file.write_text(text, encoding="utf-8")
    said = "".join(map(str, check(file, {"URL": "http://u:p@s3cr3t.test"})))
    assert '"${URL}" is not a length of time' in said
    assert "s3cr3t" not in said


def test_what_cannot_be_a_secret_is_shown(tmp_path: Path) -> None:
    """A misspelt system, a number and a length of time are shown in their line."""
    text = "version: 1\naccounts:\n  a: { system: kikserv, poll: 5, per_minute: 0, slug: acme }\n"
    said = told(text, tmp_path)
    assert "{ system: kikserv, poll: 5, per_minute: 0, slug: **** }" in said


def test_every_part_is_known_to_hold_secrets_or_none() -> None:
    """A part that is new in the configuration hides its values until somebody says it need not."""
    assert set(RootShape.model_fields) - OPEN == {"accounts", "channels", "users"}
