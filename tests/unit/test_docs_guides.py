"""The how-to guides are held to what Taskbell is: its commands, Slack's methods, mail servers."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML
from typer.core import TyperGroup

from service.channels.email.server import MailServer
from service.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
# What Slack asks for each method (docs.slack.dev/reference/methods), for all that Taskbell does.
SCOPES = {
    "auth.test": set[str](),
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.delete": {"chat:write"},
    "users.lookupByEmail": {"users:read", "users:read.email"},
    "users.info": {"users:read", "users:read.email"},
    "conversations.list": {"channels:read", "groups:read"},
    "conversations.history": {"channels:history", "groups:history", "im:history"},
    "conversations.replies": {"channels:history", "groups:history", "im:history"},
    "conversations.open": {"im:write"},
}
_FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(
    r"(?:^|[;&|] ?|-- )(?:[A-Z_]+=\S+ )*(?:/\S+/)?taskbell (?P<words>(?:(?! #)[^;&|>\n])+)",
    re.MULTILINE,
)


def blocks(page: Path, kind: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [found["text"] for found in _FENCE.finditer(text) if found["kind"].startswith(kind)]


def commands() -> Iterator[tuple[str, str]]:
    """Each `taskbell …` in a block of shell, with its page."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for found in _COMMAND.finditer(block):
                yield page.name, found["words"].strip()


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that they name, and what is left of them; a group if they name none of it."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        found = command.get_command(command.context_class(command), words[0] if words else "")
        if found is None:
            break
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize(("page", "said"), sorted(set(commands())))
def test_every_command_of_a_page_exists(page: str, said: str) -> None:
    """Its name, and each option that it is given."""
    command, left = resolved(shlex.split(said))
    is_command = not isinstance(command, TyperGroup) or not left or left[0].startswith("-")
    assert is_command, f"{page}: there is no taskbell {said}"
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    given = {word.partition("=")[0] for word in left if word.startswith("--")}
    assert given <= known, page


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(blocks(DOCS / "set-up-slack.md", "yaml slack")[0])
    return found


def test_the_app_may_do_what_taskbell_does() -> None:
    """The scopes of Slack's app are those of the methods that the channel calls, and no others."""
    code = (ROOT / "service" / "channels" / "slack.py").read_text(encoding="utf-8")
    called = set(re.findall(r'"((?:api|auth|chat|conversations|users)\.\w+)"', code))
    assert called == SCOPES.keys()
    needed = set().union(*SCOPES.values())
    scopes = manifest()["oauth_config"]["scopes"]
    assert scopes.keys() == {"bot"}
    assert sorted(scopes["bot"]) == sorted(needed)
    table = (DOCS / "set-up-slack.md").read_text("utf-8").partition("| scope |")[2]
    explained = re.findall(r"`([a-z]+:[a-z.]+)`", table.partition("\n\n")[0])
    assert set(explained) == needed


def test_the_manifest_has_what_slack_knows() -> None:
    """The keys of Slack's reference of manifests, as far as they are used; names within limits."""
    app_of = manifest()
    assert app_of.keys() == {"display_information", "features", "oauth_config", "settings"}
    assert app_of["display_information"].keys() == {"name", "description"}
    assert len(app_of["display_information"]["name"]) <= 35
    assert len(app_of["display_information"]["description"]) <= 140
    assert app_of["features"].keys() == {"bot_user"}
    assert app_of["features"]["bot_user"].keys() == {"display_name", "always_online"}
    assert app_of["settings"] == dict.fromkeys(
        ("org_deploy_enabled", "socket_mode_enabled", "token_rotation_enabled"), False
    )


def test_mail_servers_are_written_as_taskbell_reads_them() -> None:
    """An address as a user needs no escapes, and the servers are reached as they want it."""
    urls = re.findall(r'url: "(smtps?://[^"]+)"', (DOCS / "set-up-mail.md").read_text("utf-8"))
    found = [MailServer.parse(url) for url in urls]
    assert [(one.host, one.port, one.user) for one in found] == [
        ("smtp.gmail.com", 587, "tasks@example.com"),
        ("smtp.office365.com", 587, "tasks@example.com"),
        ("relay.example.com", 25, ""),
    ]
    assert [one.start_tls(None) for one in found[:2]] == [True, True]


def test_units_and_the_guide_agree() -> None:
    """The guide copies both units, and puts things where they look for them."""
    guide = (DOCS / "install-on-a-server.md").read_text(encoding="utf-8")
    for unit in sorted((ROOT / "infra" / "systemd").glob("*.service")):
        assert f"infra/systemd/{unit.name}" in guide
        text = unit.read_text(encoding="utf-8")
        places = re.findall(r"(?:^EnvironmentFile=|TASKBELL_CONFIG=)(\S+)", text, re.MULTILINE)
        assert len(places) == 2
        assert [one for one in places if one not in guide] == []
        [program] = re.findall(r"^ExecStart=(/opt/\w+)/bin/", text, re.MULTILINE)
        assert f"-m venv {program}\n" in guide
