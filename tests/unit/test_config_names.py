"""What accounts and channels may be called, and a door that stands open."""

from pathlib import Path

import pytest

from service.config import check
from service.domain.system_actions import BUILT_IN

ACCOUNT = '{ system: kickserv, slug: a, base_url: "https://k.test", token: abcdefgh }'
LETTERS = "up to 64 letters, digits, dots, dashes and underscores; first a letter or a digit"
COLON = "write it without a colon; the target comes after the colon"


def said(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\n{text}", encoding="utf-8")
    return [f"{one.line}:{one.column}: {one.message} | {one.hint}" for one in check(file, {})]


@pytest.mark.parametrize("name", ["a/b", "the field", "..", "", "büro", "a:b", "-a", "a" * 65])
def test_a_name_that_no_address_can_hold(name: str, tmp_path: Path) -> None:
    """An account's name stands in the address of its webhooks."""
    problem = f'"{name}" cannot be an account\'s name: it is part of the webhook address'
    assert said(tmp_path, f'accounts:\n  "{name}": {ACCOUNT}\n') == [f"3:3: {problem} | {LETTERS}"]


@pytest.mark.parametrize("name", ["London", "field-2", "a.b_c", "2024", "a" * 64])
def test_a_name_that_an_address_can_hold(name: str, tmp_path: Path) -> None:
    """Letters of either size, digits, dots, dashes and underscores are fine."""
    assert said(tmp_path, f"accounts:\n  {name}: {ACCOUNT}\n") == []


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_channel_called_like_a_built_in_one(name: str, tmp_path: Path) -> None:
    """What rules call `customer` or `create_task` is the system's own."""
    problem = f"{name} is built in: choose another name for your channel"
    text = f"channels:\n  {name}: {{ kind: webhook, url: 'https://h.test' }}\n"
    assert said(tmp_path, text) == [f"3:3: {problem} | None"]


@pytest.mark.parametrize("name", ["account:field", "a:b", ""])
def test_a_channel_that_no_rule_could_call(name: str, tmp_path: Path) -> None:
    """Behind the colon of `notify` stands the target, and lanes of accounts begin with one."""
    problem = f'"{name}" cannot be a channel\'s name: in a rule, it ends at the colon'
    text = f"channels:\n  '{name}': {{ kind: webhook, url: 'https://h.test' }}\n"
    assert said(tmp_path, text) == [f"3:3: {problem} | {COLON}"]


@pytest.mark.parametrize("webhook", ["{}", "{ secret: hunter2hunter2hunter2 }"])
def test_a_door_without_a_word_on_its_lock(webhook: str, tmp_path: Path) -> None:
    """Whoever forgets `verify` has not asked for webhooks without any proof."""
    text = f"accounts:\n  a: {ACCOUNT[:-2]}, webhook: {webhook} }}\n"
    [fault] = said(tmp_path, text)
    assert "verify is missing" in fault
