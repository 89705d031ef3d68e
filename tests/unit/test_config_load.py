"""What a sound configuration becomes, and what a hostile one is stopped by."""

import time
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.config import check, load
from service.config.operator import Operator
from service.diagnostics import Severity
from service.errors import ConfigError
from tests.harness.rule_files import ENVIRON, HEAD, configured

ONE_RULE = '- { id: r, when: task.created, then: [{ notify: "slack:#o", text: hi }] }\n'


def said(file: Path, environ: dict[str, str] | None = None) -> str:
    return "\n".join(str(fault) for fault in check(file, ENVIRON if environ is None else environ))


def test_accounts_and_channels_get_their_own_classes(tmp_path: Path) -> None:
    """Each account and channel is an object of its system's or kind's own options."""
    config = configured(tmp_path, ONE_RULE)
    assert type(config.accounts["field"]).__name__ == "KickservAccount"
    assert config.accounts["field"].token.get_secret_value() == "s3cr3t-value"
    assert type(config.channels["slack"]).__name__ == "SlackOptions"
    assert config.timezone == ZoneInfo("America/New_York")


def test_the_operator_is_a_channel_and_a_target(tmp_path: Path) -> None:
    """Written as in a rule's `notify`; without it nobody is told."""
    config = configured(tmp_path, f'{ONE_RULE}operator: "slack:#ops"\n')
    assert config.operator == Operator("slack", "#ops")
    assert configured(tmp_path, ONE_RULE).operator is None
    assert config.text == configured(tmp_path, ONE_RULE).text


@pytest.mark.parametrize(
    ("system", "options", "zone"),
    [
        ("kickserv", "slug: a", "America/New_York"),
        ("kickserv", "slug: a, timezone: Asia/Tokyo", "Asia/Tokyo"),
        ("rolodex", "path: /user-api/v1", "America/New_York"),
        ("letsligo", "lean_lists: true", "America/New_York"),
        ("plannr", "account_uuid: x", "Europe/London"),
    ],
)
def test_an_account_reads_dates_in_its_own_zone_or_the_configurations(
    system: str, options: str, zone: str, tmp_path: Path
) -> None:
    """A system that is always in one place keeps to that, unless the account says otherwise."""
    account = f"system: {system}, {options}, base_url: https://k.test, token: abcd"
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\ntimezone: America/New_York\naccounts: {{ a: {{ {account} }} }}\n")
    config = load(file, {})
    assert config.accounts["a"].timezone == ZoneInfo(zone) == config.zones["a"]


def test_lengths_of_time_and_networks(tmp_path: Path) -> None:
    """`poll: 2m` is two minutes; networks are networks."""
    file = tmp_path / "t.yaml"
    file.write_text(
        "version: 1\n"
        'network: { allow: ["10.0.0.0/8", "fd00::/8"] }\n'
        "accounts:\n"
        "  a: { system: kickserv, slug: a, base_url: https://k.test, token: abcd, poll: 2m }\n"
    )
    config = load(file, {})
    assert config.accounts["a"].poll == timedelta(minutes=2)
    assert config.allow == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_folder_is_one_configuration(tmp_path: Path) -> None:
    """Files of a folder are joined: names beside names, rules behind rules."""
    (tmp_path / "a.yaml").write_text(HEAD)
    (tmp_path / "b.yml").write_text(
        "version: 1\naccounts:\n"
        "  third: { system: kickserv, slug: b, base_url: https://k.test, token: abcd }\n"
        f"rules:\n{ONE_RULE}"
    )
    (tmp_path / "notes.txt").write_text("not: [yaml")
    config = load(tmp_path, ENVIRON)
    assert set(config.accounts) == {"field", "london", "third"}
    assert "task.created" in config.text


def test_name_in_two_files_of_a_folder(tmp_path: Path) -> None:
    """The same account in two files is a fault of the second that names the first."""
    (tmp_path / "a.yaml").write_text(HEAD)
    (tmp_path / "b.yaml").write_text("version: 1\naccounts:\n  field: { system: kickserv }\n")
    (fault,) = check(tmp_path, ENVIRON)
    assert (Path(fault.file).name, fault.line) == ("b.yaml", 3)
    assert fault.message == f"field is set twice; the first is in {tmp_path / 'a.yaml'}:4"


def test_secret_from_a_file(tmp_path: Path) -> None:
    """`${file:/path}` is the file's text without the line's end."""
    (tmp_path / "token").write_text("from-a-file\n")
    file = tmp_path / "t.yaml"
    file.write_text(
        "version: 1\nchannels:\n"
        f'  slack: {{ kind: slack, token: "${{file:{tmp_path / "token"}}}" }}\n'
    )
    token = load(file, {}).channels["slack"].model_dump()["token"]
    assert token.get_secret_value() == "from-a-file"


@pytest.mark.parametrize(
    "account",
    [
        'token: "${API_TOKEN}", poll: "${API_TOKEN}"',
        "token: s3cr3t-value, pol: 2m",
        "tokn: s3cr3t-value",
        "token: [s3cr3t-value, 3]",
        "token: t, webhook: { verify: github, secret: [s3cr3t-value], x: 1 }",
        'token: "s3cr3t-value, slug: 3',
    ],
)
def test_no_secret_in_a_fault(account: str, tmp_path: Path) -> None:
    """Neither a value put in nor one that stands in the file is shown in a fault."""
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\naccounts:\n  a: {{ system: kickserv, {account} }}\n")
    words = said(file)
    assert words
    assert "s3cr3t" not in words


def test_no_secret_in_the_text(tmp_path: Path) -> None:
    """What is kept of a configuration for replaying has no account, no channel and no secret."""
    config = configured(tmp_path, ONE_RULE)
    assert "s3cr3t" not in config.text
    assert "API_TOKEN" not in config.text
    assert "Mo-Fr 08:00-17:00" in config.text


def test_version_is_about_meaning(tmp_path: Path) -> None:
    """A comment leaves the rules' version as it was; another word in a rule changes it."""
    version = configured(tmp_path, ONE_RULE).rules.version
    assert configured(tmp_path, f"# new\n{ONE_RULE}").rules.version == version
    assert configured(tmp_path, ONE_RULE.replace("hi", "ho")).rules.version != version


def test_all_or_nothing(tmp_path: Path) -> None:
    """One fault anywhere, and nothing is loaded; the error carries it."""
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, f"{ONE_RULE}- id: s\n")
    assert [fault.message for fault in caught.value.faults] == [
        "when is missing",
        "then is missing",
    ]


def test_one_rule_with_faults_of_every_sort(tmp_path: Path) -> None:
    """An unknown word in a rule does not keep its expressions and texts from being checked."""
    with pytest.raises(ConfigError) as caught:
        configured(
            tmp_path,
            "- id: r\n"
            "  when: task.created\n"
            "  wehn: x\n"
            "  if: task.titel == 'x'\n"
            "  group: { by: x, wait: 1h }\n"
            '  then: [{ notify: "slakc:#o", text: "{{ task.title" }]\n',
        )
    assert [(fault.line - 12, fault.message) for fault in caught.value.faults] == [
        (3, "unknown key: wehn"),
        (4, "a task has no titel"),
        (5, "unknown name: x"),
        (6, "there is no channel slakc"),
        (6, "{{ is not closed by }}"),
    ]


def test_warnings_do_not_prevent(tmp_path: Path) -> None:
    """A rule that is sound and careless loads, with warnings that say what may be meant."""
    config = configured(
        tmp_path,
        "- id: careless\n"
        "  when: { task.starting_soon: 30m }\n  accounts: [field]\n"
        '  then: [{ notify: customer:details }, { notify: "slack:#o", text: "{{ task.tags }}" }]\n',
    )
    assert [(one.severity, one.message) for one in config.warnings] == [
        (Severity.WARNING, "customers may get this at night"),
        (Severity.WARNING, "customers may get this more than once"),
        (Severity.WARNING, "these customers are not told if the visit is rescheduled later"),
        (
            Severity.WARNING,
            "this shows nothing: task.tags is always empty in field (kickserv)",
        ),
    ]


def test_holidays_of_nowhere(tmp_path: Path) -> None:
    """Hours that speak of public holidays need a country to have any."""
    file = tmp_path / "t.yaml"
    file.write_text('version: 1\nhours: { office: "Mo-Fr 08:00-17:00; PH off" }\n')
    (warning,) = check(file, {})
    assert (warning.severity, warning.message) == (
        Severity.WARNING,
        "PH has no effect, because no country is set for public holidays",
    )


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_is_no_value(empty: str, tmp_path: Path) -> None:
    """A token that somebody forgot to fill in, in the environment or in a file."""
    (tmp_path / "token").write_text(empty)
    file = tmp_path / "t.yaml"
    file.write_text(
        "version: 1\nchannels:\n"
        '  one: { kind: slack, token: "${SLACK_TOKEN}" }\n'
        f'  two: {{ kind: slack, token: "${{file:{tmp_path}/token}}" }}\n'
    )
    first, second = [one.message for one in check(file, {"SLACK_TOKEN": empty})]
    assert first == "SLACK_TOKEN is set, but empty"
    assert second == f"the file {tmp_path}/token is empty"


def test_missing_file(tmp_path: Path) -> None:
    """A path with nothing there is a fault that names it, and says how to begin."""
    assert "none.yaml:1:1: there is no such file\n  write one" in said(tmp_path / "none.yaml")


HOSTILE = {
    "nested dashes": (b"- " * 5_000, "nested more than 40 levels deep"),
    "alias to itself": (b"rules: &a [*a]", "*a refers to nothing before it"),
    "not UTF-8": (b"version: 1\nrules: \xff", "t.yaml:2:8: the byte 0xff is not UTF-8"),
    "NUL": (b"version: 1\nrules: \0", "t.yaml:2:8: there is a NUL character here"),
    "control": (b"version: 1\nrules: \x07", "this is not text"),
    "tag": (b"version: !!python/object:os.system x", "cannot be used here"),
    "huge number": (b"version: " + b"9" * 5_000, "version must be 1"),
    "surrogate": (b'rules: ["\\ud800"]', "t.yaml:1:9: this text contains a character"),
    "escaped NUL": (b'rules: ["\\0"]', "t.yaml:1:9: this text contains a character"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file(name: str, tmp_path: Path) -> None:
    """A file made to harm is refused quickly, with a fault and no trace."""
    raw, expected = HOSTILE[name]
    file = tmp_path / "t.yaml"
    file.write_bytes(raw)
    began = time.perf_counter()
    assert expected in said(file)
    assert time.perf_counter() - began < 2


def test_aliases_that_help(tmp_path: Path) -> None:
    """An ordinary alias saves writing the same steps twice."""
    config = configured(
        tmp_path,
        '- { id: a, when: task.created, then: &tell [{ notify: "slack:#o", text: hi }] }\n'
        "- { id: b, when: task.deleted, then: *tell }\n",
    )
    assert config.text.count("slack:#o") == 2
