"""The documentation is held to the code: what it shows loads, runs, exists and is complete."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service import metrics
from service.channels import kinds
from service.config import Config, load
from service.config.root_shape import RootShape
from service.domain.model import Kind, State
from service.rules.compiler.shapes import STEPS, NewTaskShape, RuleShape
from service.sandbox.faults import FaultKind
from service.sandbox.system import Quirks
from service.settings import Settings
from service.sources import systems
from service.sources.account import HookOptions
from service.web.api.openapi import describe
from tests.unit.test_cli_help import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLE = ROOT / "infra" / "taskbell.example.yaml"
SETTINGS = DOCS / "settings-file.md"

# Stands for every ${NAME}: a text that is base64 as well, which some secrets have to be; and for
# every ${NAME_URL}, one that looks like Discord's, which is checked.
SECRET = "whsec_dGFza2JlbGwgdGFza2JlbGw="
SECRET_ADDRESS = "https://example.com/api/webhooks/1/secret"

# What an example that shows only a part is completed by, unless it brings that part itself.
HEAD = {
    "timezone": "timezone: America/New_York\n",
    "accounts": """\
accounts:
  london: { system: plannr, base_url: "https://p.test", account_uuid: u, token: t0ken }
  field: { system: kickserv, base_url: "https://k.test", slug: acme, token: t0ken, \
task_types: { "1": job } }
""",
    "channels": """\
channels:
  slack: { kind: slack, token: xoxb-nothing }
  email: { kind: email, url: "smtp://mail.test:25", from: tasks@example.com }
  accounting: { kind: webhook, url: "https://accounting.test/" }
""",
    "hours": """\
hours: { office: "Mo-Fr 08:00-17:00; PH off", texting: "Mo-Sa 08:00-20:00" }
holidays: { country: US }
""",
}

_FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_REFERENCE = re.compile(r"\$\{(\w+)\}")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True, slots=True)
class Example:
    """A block of code on a page, and what its fence calls it."""

    page: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def examples(kind: str) -> list[Example]:
    """Every block of this kind, in the order of the pages."""
    return [example for page in PAGES for example in _on(page) if example.kind == kind]


def _on(page: Path) -> Iterator[Example]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Example(page, line, found["kind"], found["text"])


def completed(text: str) -> str:
    """A whole configuration out of an example that may be only a part of one."""
    if re.search(r"^version:", text, re.MULTILINE):
        return text
    if text.lstrip().startswith("- "):
        text = f"rules:\n{text}"
    missing = [
        part for name, part in HEAD.items() if not re.search(f"^{name}:", text, re.MULTILINE)
    ]
    return "version: 1\n" + "".join(missing) + text


def loaded(folder: Path, text: str) -> Config:
    file = folder / "taskbell.yaml"
    file.write_text(text, encoding="utf-8")
    for page in PAGES:
        for one in _on(page):
            if one.kind.startswith("csv "):
                (folder / one.kind.removeprefix("csv ")).write_text(one.text, encoding="utf-8")
    names = _REFERENCE.findall(text)
    references = {one: SECRET_ADDRESS if one.endswith("_URL") else SECRET for one in names}
    return load(file, {**references, "TASKBELL_URL": "https://tasks.example.com"})


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def configurations() -> list[Example]:
    """Every YAML example; recipes have a head of their own, by which test_recipes.py loads them."""
    return [one for one in examples("yaml") if one.page.name != "recipes.md"]


@pytest.mark.parametrize("example", configurations(), ids=str)
def test_every_configuration_loads(example: Example, tmp_path: Path) -> None:
    """Each YAML example is sound, and gives no warning either."""
    assert loaded(tmp_path, completed(example.text)).warnings == ()


def test_example_configuration_loads(tmp_path: Path) -> None:
    """The configuration to begin from is sound, and its secrets stand in .env.example."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert loaded(tmp_path, text).warnings == ()
    settings = (ROOT / "infra" / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(\w+)=$", settings, re.MULTILINE))
    assert set(_REFERENCE.findall(text)) <= named


@pytest.mark.parametrize("example", examples("sh runnable"), ids=str)
def test_every_runnable_command_runs(example: Example, tmp_path: Path) -> None:
    """A command that needs nothing running ends well beside its page's own configuration."""
    whole = next(one.text for one in examples("yaml") if one.page == example.page)
    (tmp_path / "taskbell.yaml").write_text(whole, encoding="utf-8")
    run(tmp_path, example.text, **dict.fromkeys(_REFERENCE.findall(whole), SECRET))


def test_a_shell_reads_the_settings_file(tmp_path: Path) -> None:
    """As docs/settings-file.md does it, with the example's names filled in."""
    settings = (ROOT / "infra" / ".env.example").read_text(encoding="utf-8")
    settings = settings.replace("TASKBELL_URL=\n", "TASKBELL_URL=https://tasks.example.com\n")
    filled = re.sub(r"^(\w+)=$", rf"\1={SECRET}", settings, flags=re.MULTILINE)
    (tmp_path / ".env").write_text(filled, encoding="utf-8")
    (tmp_path / "taskbell.yaml").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    [block] = [one.text for one in examples("sh") if "set -a" in one.text and one.page == SETTINGS]
    run(tmp_path, block)


def run(folder: Path, commands: str, **environ: str) -> None:
    """Run commands of a page in a folder, as a reader does; none of them may fail."""
    taskbell = folder / "taskbell"
    taskbell.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n', encoding="utf-8")
    taskbell.chmod(taskbell.stat().st_mode | stat.S_IXUSR)
    path = f"{folder}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["/bin/sh", "-e", "-c", commands],
        cwd=folder,
        env={**os.environ, **environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """What a page links to in the repository is there."""
    found = _LINK.findall(page.read_text("utf-8"))
    links = [link for link in found if "://" not in link and "{{" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def code_words(page: str) -> set[str]:
    """What a page sets as code, and the words inside of it."""
    text = (DOCS / page).read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", text)
    return {*spans, *(word for span in spans for word in re.findall(r"[\w.]+", span))}


def test_every_option_is_explained() -> None:
    """Each key of the configuration, each system and channel, and each of their keys."""
    shapes: list[Any] = [RootShape, HookOptions]
    shapes += [source.options for source in systems().values()]
    shapes += [channel.options for channel in kinds().values()]
    keys = {field.alias or name for one in shapes for name, field in one.model_fields.items()}
    keys |= {*systems(), *kinds()}
    assert keys - {"name"} - code_words("configuration.md") == set()


def test_every_word_of_the_rule_language_is_explained() -> None:
    """Each trigger, each key of a rule, each step and each field that can be written."""
    keys = {field.alias or name for name, field in RuleShape.model_fields.items()}
    keys |= {f"task.{kind}" for kind in {*Kind} - {Kind.REMINDER, Kind.SIGNAL}} | {"signal"}
    keys |= {*STEPS, *NewTaskShape.model_fields}
    assert keys - code_words("rules.md") == set()


def test_every_switch_of_the_sandbox_is_explained() -> None:
    """docs/sandbox.md explains each fault and each quirk that can be switched on."""
    switches = {*FaultKind, *Quirks.__slots__}
    assert switches - code_words("sandbox.md") == set()


def test_every_route_of_the_api_is_explained() -> None:
    """docs/api.md explains each path of the OpenAPI description."""
    assert set(describe()["paths"]) - code_words("api.md") == set()


def test_every_command_is_listed() -> None:
    """docs/commands.md names each command, and each command of a group."""
    groups = {words[0] for words in COMMANDS if len(words) > 1}
    names = {" ".join(words) for words in COMMANDS if words and words not in {(g,) for g in groups}}
    spans = re.findall(r"`([^`\n]+)`", (DOCS / "commands.md").read_text(encoding="utf-8"))
    assert names - {*spans} == set()


def test_every_state_and_metric_is_explained() -> None:
    """Each state that a delivery can have, and each number that is counted."""
    assert {*State, *metric_names()} - code_words("operations.md") == set()


def test_every_setting_is_explained() -> None:
    """Each variable of the environment stands in the README's table."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {
        word
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for word in re.findall(r"`(\w+)`", row)
    }
    assert {name.upper() for name in Settings.model_fields} - named == set()


def metric_names() -> set[str]:
    """The names under which Prometheus finds the metrics of service.metrics."""
    counted = {
        f"{one.name}{suffix}"
        for one in metrics.registry.collect()
        for suffix in (["_total"] if one.type == "counter" else ["_count", "_sum"])
    }
    gauges = {
        "taskbell_oldest_unprocessed_seconds",
        "taskbell_clock_lag_seconds",
        "taskbell_config_faults",
        "taskbell_database_up",
        "taskbell_account_failing_seconds",
        "taskbell_unsettled_deliveries",
    }
    return counted | gauges


def test_alerts_use_metrics_that_exist() -> None:
    """Each alert asks for known metrics, and says in operations.md what to do."""
    rules = [
        rule
        for group in yaml(ROOT / "infra" / "prometheus" / "alerts.yaml")["groups"]
        for rule in group["rules"]
    ]
    used = {name for rule in rules for name in re.findall(r"taskbell_\w+", rule["expr"])}
    assert used - metric_names() == set()
    assert {rule["alert"] for rule in rules} - code_words("operations.md") == set()


def test_dashboard_uses_metrics_that_exist() -> None:
    """Each panel asks for known metrics, and no two panels lie upon each other."""
    board = json.loads((ROOT / "infra" / "grafana" / "taskbell.json").read_text("utf-8"))
    targets = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    used = {name for expr in targets for name in re.findall(r"taskbell_\w+", expr)}
    assert used - metric_names() == set()
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


def test_compose_runs_what_the_procfile_runs() -> None:
    """The services are there, wait for each other, and start processes of the Procfile."""
    compose = yaml(ROOT / "infra" / "compose.yaml")
    services = compose["services"]
    assert set(services) == {"postgres", "valkey", "migrate", "web", "worker"}
    waits = {name: set(one.get("depends_on", ())) for name, one in services.items()}
    assert waits["web"] == waits["worker"] == {"migrate", "valkey"}
    procfile = (ROOT / "Procfile").read_text(encoding="utf-8")
    assert " ".join(services["worker"]["command"]) in procfile
    assert services["worker"]["deploy"]["replicas"] == f"${{WORKERS:-{Settings().workers}}}"
    image = (ROOT / "infra" / "Dockerfile").read_text(encoding="utf-8")
    assert 'CMD ["taskbell", "web"]' in image
