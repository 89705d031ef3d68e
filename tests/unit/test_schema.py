"""The JSON Schema: what loads is valid, what is misspelt is not, and every word is explained."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.channels import kinds
from service.cli.app import app
from service.config.json_schema import schema
from service.document.reading import Document
from service.sources import systems
from tests.e2e.test_docs import EXAMPLE, completed, examples
from tests.harness.corridor import HEAD as CORRIDOR
from tests.harness.corridor import firm
from tests.harness.faulty_files import Case, cases
from tests.harness.json_schema import faults
from tests.harness.rule_files import HEAD
from tests.unit.test_rules_examples import EXAMPLES

SOON = "- { id: soon, when: { task.due_soon: 1h }, then: [{ notify: accounting }] }"
ROOT = Path(__file__).parents[2]
DEMO = ROOT / "service" / "sandbox" / "demo.yaml"
SCHEMA = schema()

GOOD = {
    **{str(example): completed(example.text) for example in examples("yaml")},
    "the example to copy": EXAMPLE.read_text("utf-8"),
    "the demo": DEMO.read_text("utf-8"),
    "the rules of the tests": f"{HEAD}rules:\n{EXAMPLES}",
}
UNKNOWN = re.compile(r"^taskbell\.yaml:\d+:\d+: (unknown key|there is no (step|event|kind|system))")
MISSPELT = [case for case in cases() if UNKNOWN.match(case.expected)]


def said(text: str) -> list[str]:
    return list(faults(Document([("t.yaml", text)]).data, SCHEMA, SCHEMA))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_shown_is_valid(name: str) -> None:
    """Every configuration of the documentation, the demo and the tests."""
    assert said(GOOD[name]) == []


@pytest.mark.parametrize("case", MISSPELT, ids=str)
def test_what_is_misspelt_is_not(case: Case) -> None:
    """Every unknown name of the table of faults: keys, events, steps, kinds and systems."""
    assert said(case.text) != []


def test_a_valid_file_may_be_warned_of() -> None:
    """The schema knows names and shapes, and has nothing against what may be meant."""
    warned = [case for case in cases() if case.page == "10-warnings"]
    assert [(str(case), said(case.text)) for case in warned if said(case.text)] == []


@pytest.mark.parametrize("text", ["30m", "1 day", "2 weeks", "4h"])
def test_lengths_of_time(text: str) -> None:
    """The schema takes each of the spellings of a duration."""
    rule = f"{{ id: r, when: task.created, expires: {text}, then: [{{ wait: 1 business day }}] }}"
    assert said(f"version: 1\nrules: [{rule}]\n") == []


def every(part: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each property of a schema, where it is."""
    for name, value in part.get("properties", {}).items():
        yield f"{at}.{name}", value
    for name, value in part.get("$defs", {}).items():
        yield from every(value, name)


def test_every_word_is_explained() -> None:
    """An editor says of each what it is, in words of its own and not in those of its group."""
    assert [at for at, value in every(SCHEMA) if len(value.get("description", "")) < 10] == []


def test_every_system_and_channel_is_there() -> None:
    """A new file brings its options into the schema by itself."""
    words = {value.get("const") for _, value in every(SCHEMA)}
    assert {*systems(), *kinds()} <= words


def test_secrets_are_no_matter_of_the_schema() -> None:
    """What `${NAME}` stands for may be anywhere in an account or a channel."""
    account = '{ system: kickserv, slug: "${S}", base_url: "${B}", token: "${T}", poll: "${P}" }'
    assert said(f"version: 1\naccounts:\n  a: {account}\n") == []


def test_the_command_prints_it() -> None:
    """`taskbell schema` prints the schema and nothing else, so that it can be put into a file."""
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    assert result.stdout.startswith(
        '{\n  "$schema": "https://json-schema.org/draft/2020-12/schema"'
    )


def test_the_corridor_is_valid() -> None:
    """The configuration that the integration tests run on."""
    address = "http://127.0.0.1:9"
    text = CORRIDOR.format(
        zone="UTC",
        accounts=firm(address),
        slack=address,
        accounting=address,
        accounting_options="rate: 30/m, burst: 2, concurrency: 8",
        slack_options="",
        smtp="9",
        more_channels="",
        rules=SOON,
    )
    assert said(text) == []
