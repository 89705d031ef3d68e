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
    "channels:\n  a:\n    kind: webhook\n    headers:\n      {}: {}\n",
    "channels:\n  a:\n    kind: email\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: apprise\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: discord\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: googlechat\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: ntfy\n    {}: {}\n",
    "channels:\n  a:\n    kind: pagerduty\n    {}: {}\n",
    "channels:\n  a:\n    kind: slack\n    {}: {}\n",
    "channels:\n  a:\n    kind: telegram\n    {}: {}\n",
    "channels:\n  a:\n    kind: teams\n    url: x\n    {}: {}\n",
    "channels:\n  a:\n    kind: twilio\n    {}: {}\n",
    "channels:\n  a:\n    kind: vonage\n    {}: {}\n",
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
    assert '"${URL}" is not a duration' in said
    assert "s3cr3t" not in said


def test_what_cannot_be_a_secret_is_shown(tmp_path: Path) -> None:
    """A misspelt system, a number, a duration and a slug are shown in their line."""
    text = "version: 1\naccounts:\n  a: { system: kikserv, poll: 5, per_minute: 0, slug: acme }\n"
    said = told(text, tmp_path)
    assert "{ system: kikserv, poll: 5, per_minute: 0, slug: acme }" in said


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('base_url: "k.test/api"', 'base_url: "k.test/api"'),
        ('base_url: "ftp://10.0.0.1:80"', 'base_url: "ftp://10.0.0.1:80"'),
        ('base_url: "k.test/x?key=s3cr3t"', "base_url: ****"),
        ('base_url: "https//u:s3cr3t@k.test"', "base_url: ****"),
        ("base_url: s3cr3t-9f8e7d6c.a1b2", "base_url: ********************"),
        ("slug: acme-london, base_url: x", "slug: acme-london,"),
        ("slug: s3cr3t, base_url: x", "slug: ******,"),
        ("account_uuid: s3cr3t, base_url: x", "account_uuid: ******,"),
    ],
)
def test_an_address_of_a_system_is_shown(line: str, shown: str, tmp_path: Path) -> None:
    """If it looks like one, whoever reads the error sees what they wrote; else it may be a key."""
    said = told(f"version: 1\naccounts:\n  a: {{ system: kickserv, {line} }}\n", tmp_path)
    assert shown in said
    assert "s3cr3t" not in said


def test_a_sender_is_shown(tmp_path: Path) -> None:
    """The address that messages come from is no secret; what looks like something else may be."""
    channel = "channels:\n  a: {{ kind: email, url: x, from: {} }}\n"
    said = told("version: 1\n" + channel.format('"Tasks <tasks@example.com>"'), tmp_path)
    assert 'from: "Tasks <tasks@example.com>"' in said
    assert "s3cr3t" not in told("version: 1\n" + channel.format("s3cr3t"), tmp_path)


def test_every_part_is_known_to_hold_secrets_or_none() -> None:
    """A part that is new in the configuration hides its values until somebody says it need not."""
    assert set(RootShape.model_fields) - OPEN == {"accounts", "channels", "users"}


REALISTIC = {
    "SLACK_TOKEN": "xoxb-a1b2job3-example-2business4hours-5task",
    "SMTP": "smtp://office:Example1@mail.example.com:587",
    "HOOK": "https://hooks.mybusiness.example.com/task/completed/text",
}
SYSTEMS = """\
version: 1
accounts:
  a:
    system: kickserv
    slug: acme
    base_url: "https://job.business.example.com"
    token: "${SLACK_TOKEN}"
channels:
  slack: { kind: slack, token: "${SLACK_TOKEN}" }
  email: { kind: email, url: "${SMTP}", from: "a@example.com" }
  hook: { kind: webhook, url: "${HOOK}" }
"""


def answered(text: str, folder: Path) -> str:
    file = folder / "t.yaml"
    file.write_text(text, encoding="utf-8")
    return "\n".join(map(str, check(file, REALISTIC)))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            '{ id: a, when: task.completed, if: task.tags == "job" }',
            'task.tags is a list and "job"',
        ),
        ("{ id: job, when: { task.overdue: business } }", '"business" is not a duration'),
        ("{ id: b1, when: task.completed, settle: soon }", "write for example 30m, 2h or 1 day"),
        ("{ id: 2business, when: task.exampel }", "there is no event task.exampel"),
        ("{ id: e, when: task.completed, expires: example }", '"example" is not a duration'),
        ('{ id: t, when: task.completed, enabled: "text" }', 'shadow, not "text"'),
        ('{ id: "a b!", when: task.completed }', "cannot be the id"),
    ],
)
def test_a_secret_hides_nothing_of_a_rule(rule: str, said: str, tmp_path: Path) -> None:
    """Names and literals of rules are no secrets, even if a token or an address has them in it."""
    then = ', then: [{ notify: "slack:#o", text: x }] }'
    found = answered(f"{SYSTEMS}rules:\n- {rule.removesuffix(' }')}{then}\n", tmp_path)
    assert said in found
    assert "***" not in found
    assert "${" not in found


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("poll: example.com", "write for example 30m, 2h or 1 day"),
        ('poll: "${HOOK}"', 'poll: "${HOOK}" is not a duration'),
        ('poll: "https://a-whole-number.must.be.test"', 'poll: "***" is not a duration'),
        ("per_minute: a-whole-number", 'per_minute must be a whole number, not "***"'),
        ('base_url: "https//address.that.begins"', "must be an address that begins with https://"),
        ('base_url: "ftp://${HOOK}"', "must be an address that begins with https:// or http://"),
        ("lean: true-or-false", "unknown key: lean"),
    ],
)
def test_the_words_of_a_message_are_shown(account: str, said: str, tmp_path: Path) -> None:
    """What Taskbell says itself is no secret, even if the value that it is about has it in it."""
    written = f"version: 1\naccounts:\n  b: {{ system: kickserv, slug: b, token: x, {account} }}\n"
    assert said in answered(written, tmp_path)


PLACES = ("poll", "per_minute", "base_url", "timezone", "webhook", "fields", "kee", "verify")
AROUND = ("{}", "Bearer {}", "x{}y", "a b {} c", "{}{}", "https://u:{}@h", "n-{}-n " + "m" * 30)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=WORDS, place=st.sampled_from(PLACES), around=st.sampled_from(AROUND))
def test_a_value_from_the_environment_is_never_told(
    secret: str, place: str, around: str, tmp_path: Path
) -> None:
    """Neither whole nor in part, wherever it is put in, and also if its text is cut."""
    file = tmp_path / "t.yaml"
    value = around.replace("{}", "${TOKEN}")
    account = f'  a: {{ system: kickserv, slug: b, token: x, {place}: "{value}" }}\n'
    file.write_text(f"version: 1\naccounts:\n{account}", encoding="utf-8")
    faults = check(file, {"TOKEN": secret})
    said = "\n".join(map(str, faults)).replace(str(file), "")
    assert {part for at in range(len(secret) - 7) if (part := secret[at : at + 8]) in said} == set()
