"""The rule editor: what it shows, checks, suggests and tries, and its recipes."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.config import check
from service.domain.model import Kind
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.editor import MORE, PAGE, Firm, faults, firm_in, form_of, opened, press
from tests.harness.history import know, record
from tests.harness.site import CONFIGURATION, Site
from tests.harness.tasks import BO, task

HOSTILE = "</textarea><script>alert(1)</script>\u202e"


@pytest.fixture
def firm(tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey) -> Firm:
    """Sites with a configuration in a folder of its own."""
    return firm_in(tmp_path / "rules", pool, clock, valkey.url)


@pytest.fixture
async def web(firm: Firm) -> AsyncIterator[Site]:
    """A site without a token that may save, open to this machine."""
    async with firm() as running:
        yield running


async def test_it_shows_the_file_as_it_is_written(firm: Firm, monkeypatch: Any) -> None:
    """A reference stays a reference, hostile text is text, and another rule does not hide it."""
    monkeypatch.setenv("PAGE_SECRET", "hunter3hunter3hunter3")
    text = f"# {HOSTILE}\n" + CONFIGURATION.replace("t0ken", '"${PAGE_SECRET}"')
    async with firm(text, environ=dict(os.environ)) as web:
        page = await web.client.get("/rules/edit", headers=PAGE)
        assert form_of(page)["text"] == text
        assert await faults(web, form_of(page)) == await faults(web, form_of(page))
        assert not [one for one in await faults(web, form_of(page)) if one["is_error"]]
        reviewed = await press(web, {**form_of(page), "text": text + MORE}, "review")
    assert "<script>alert" not in page.text + reviewed.text
    assert "hunter3" not in page.text + reviewed.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_a_file_of_a_folder_is_chosen(firm: Firm) -> None:
    """The first is shown without a choice; only files of the configuration are shown."""
    async with firm(extra=f"rules:\n{MORE}") as web:
        assert "overdue-nudge" in (await opened(web, "extra.yaml"))["text"]
        assert "selected>extra.yaml" in (await web.client.get("/rules/edit")).text
        for name in ("none.yaml", "../rules/main.yaml", "/etc/passwd", "main.yaml/", "%00"):
            answer = await web.client.get(f"/rules/edit?file={name}", headers=PAGE)
            assert answer.status_code == HTTPStatus.NOT_FOUND, name
            assert "the configuration has no file" in unescape(answer.text)
            for path in ("", "/check", "/download"):
                sent = {"file": name, "text": "version: 1", "mark": "", "do": "save"}
                answer = await web.client.post(f"/rules/edit{path}", data=sent, headers=PAGE)
                assert answer.status_code == HTTPStatus.NOT_FOUND, (name, path)


async def test_faults_are_those_of_check_at_their_places(firm: Firm, tmp_path: Path) -> None:
    """Of the whole configuration with this text in it; the file on disk stays as it is."""
    folder = tmp_path / "rules"
    async with firm(extra=f"rules:\n{MORE}") as web:
        form = await opened(web, "extra.yaml")
        wrong = form["text"].replace("accounting", "acounting").replace("2h", '"soon"')
        found = await faults(web, {**form, "text": wrong})
        assert (folder / "extra.yaml").read_text() == form["text"]
    (folder / "extra.yaml").write_text(wrong)
    expected = [one for one in check(folder, {}) if one.file.endswith("extra.yaml")]
    assert len(expected) == 2
    ours = [one for one in found if one["is_here"]]
    names = ("line", "column", "message")
    assert [tuple(one[name] for name in names) for one in ours] == [
        tuple(getattr(one, name) for name in names) for one in expected
    ]
    assert ours[-1]["hint"] == "did you mean accounting?"


async def test_faults_of_other_files_are_named(firm: Firm) -> None:
    """They are not of the text that is edited, and come after its own."""
    async with firm(extra=f"rules:\n{MORE}") as web:
        form = await opened(web, "extra.yaml")
        found = await faults(
            web, {**form, "text": form["text"].replace("overdue-nudge", "job-done")}
        )
    assert {one["file"] for one in found if one["is_error"]} <= {"main.yaml", "extra.yaml"}
    assert [one["is_here"] for one in found] == sorted(
        (one["is_here"] for one in found), reverse=True
    )


async def test_without_script_a_button_checks(web: Site) -> None:
    """The text stays, the faults stand below it, and markup in it is text."""
    form = await opened(web)
    wrong = form["text"].replace("task.completed", '"<script>alert(1)</script>"')
    page = await press(web, {**form, "text": wrong}, "check")
    assert form_of(page)["text"] == wrong
    assert "1 error" in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text


async def test_no_secret_is_told_by_a_fault(web: Site, monkeypatch: Any) -> None:
    """Neither the value of a variable nor that of a file is in what the page says."""
    monkeypatch.setenv("PAGE_SECRET", "hunter3hunter3hunter3")
    form = await opened(web)
    text = form["text"].replace("system: kickserv", 'system: "${PAGE_SECRET}"', 1)
    text = text.replace('base_url: "http://127.0.0.1:9"', 'base_url: "${PAGE_SECRET}"', 1)
    page = await press(web, {**form, "text": text}, "check")
    assert "error" in page.text
    assert "hunter3" not in page.text


async def test_what_is_too_large_is_not_read(web: Site) -> None:
    """A file of a configuration has at most 1 MB."""
    form = await opened(web)
    for size in (1_000_001, 4_000_000):
        answer = await web.client.post("/rules/edit/check", data={**form, "text": "#" * size})
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize(
    ("below", "written", "labels"),
    [
        ("", "oper", ["operator"]),
        ("rules:\n- id: x\n", "  wh", ["when"]),
        ("rules:\n- id: x\n", "  when: task.re", ["task.reassigned", "task.reopened"]),
        ("rules:\n- id: x\n", "  then: [{ notify: acc", ["accounting"]),
        ("rules:\n- id: x\n  then:\n", "    - not", ["notify"]),
        ("rules:\n- id: x\n  then:\n  - notify: accounting\n", "    on_un", ["on_undo"]),
        ("hours: { office: 'Mo' }\nrules:\n- id: x\n", "  hours: o", ["office"]),
        ("rules:\n- id: x\n", "  accounts: [lon", ["london"]),
        ("channels:\n  mail:\n    kind: email\n", "    ur", ["url"]),
        ("", "# wh", []),
    ],
)
async def test_it_suggests_what_can_be_written(
    web: Site, below: str, written: str, labels: list[str]
) -> None:
    """Names and fixed words by the schema, and the names that the configuration has."""
    form = await opened(web)
    text = form["text"].partition("rules:")[0] + below + written
    place = {"line": str(text.count("\n")), "column": str(len(written))}
    answer = await web.client.post("/rules/edit/suggestions", data={**form, "text": text, **place})
    found = [one["label"] for one in answer.json()["suggestions"]]
    assert labels == found or set(labels) < set(found), found
    assert bool(found) is bool(labels)


async def test_a_recipe_adds_a_rule_that_is_sound(web: Site, tmp_path: Path) -> None:
    """It stands at the end of the rules, under an id of its own, and is not saved."""
    form = await opened(web)
    fields = {"finished.channel": "accounting", "finished.target": "", "finished.wait": "5m"}
    for name in ("finished", "finished-2"):
        page = await press(web, form, "add:finished", **fields)
        form = form_of(page)
        assert f"\n- id: {name}\n  when: task.completed\n  settle: 5m\n" in form["text"]
        assert "not saved yet" in page.text
        assert not [one for one in await faults(web, form) if one["is_error"]]
    assert form["text"].startswith(CONFIGURATION)
    assert (tmp_path / "rules" / "main.yaml").read_text() == CONFIGURATION


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"the-week.time": "noon"}, "Time: write it as 16:00"),
        ({"the-week.channel": '"}\n- id: x'}, "Channel: at most 200 characters on one line"),
        ({"the-week.channel": 'x" }'}, "Channel: choose one of the list"),
        ({"the-week.account": "nobody"}, "Account: choose one of the list"),
    ],
)
async def test_a_recipe_says_what_is_wrong_in_its_form(
    web: Site, fields: dict[str, str], said: str
) -> None:
    """Nothing is added to the text."""
    form, usual = await opened(web), {"the-week.channel": "accounting", "the-week.time": "16:00"}
    page = await press(web, form, "add:the-week", **(usual | fields))
    assert said in page.text
    assert form_of(page)["text"] == form["text"]


async def test_a_dry_run_tells_what_the_text_would_do(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """By the text, not by the file: each rule, its conditions and messages; nothing is stored."""
    one = task(title="<b>Smith</b> gutters", type="job", assignee=BO)
    done = replace(one, done=True)
    await know(pool, done, at=clock.now())
    await record(pool, done, Kind.COMPLETED, at=clock.now(), before=one)
    form = await opened(web)
    text = form["text"].replace(
        "  then: [{ notify: accounting }]",
        '  if: task.type == "job"\n'
        '  then: [{ notify: accounting, text: "Invoice {{ task.title }}" }]',
    )
    found = await press(web, {**form, "text": text}, "try", q="Smi")
    assert 'name="task" value="london/T1"' in found.text
    tried = await web.client.post(
        "/rules/edit", data={**form, "text": text, "task": "london/T1"}, headers=PAGE
    )
    for page in (tried, await press(web, {**form, "text": text}, "try", q="T1")):
        assert 'class="state sent">acted</span> <b><bdi>job-done' in page.text
        assert "Invoice &lt;b&gt;Smith&lt;/b&gt; gutters" in page.text
        assert "<b>accounting</b> would have been sent" in page.text
        assert unescape(page.text).count('task.type == "job"') > 1
    never = text.replace('"job"', '"call"')
    assert "did not act" in (await press(web, {**form, "text": never}, "try", q="T1")).text
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 0
    assert await pool.fetchval("SELECT count(*) FROM decisions") == 0


async def test_a_dry_run_needs_a_text_without_errors_and_a_task(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The page says which of them is missing."""
    form = await opened(web)
    faulty = {**form, "text": form["text"].replace("accounting }", "nobody }")}
    tried = await web.client.post("/rules/edit", data={**faulty, "task": "london/T1"}, headers=PAGE)
    assert "Correct the errors first" in tried.text
    unknown = {**form, "task": "london/none"}
    tried = await web.client.post("/rules/edit", data=unknown, headers=PAGE)
    assert "There is no such task" in tried.text
    await know(pool, task(), at=clock.now())
    await record(pool, task(), Kind.CREATED, at=clock.now())
    renamed = {**form, "text": form["text"].replace("  london: ", "  paris: "), "task": "london/T1"}
    tried = await web.client.post("/rules/edit", data=renamed, headers=PAGE)
    assert "The text has no account london" in tried.text
    assert "No task was found" in (await press(web, form, "try", q="nobody\n")).text


async def test_a_rule_by_the_clock_is_tried_at_its_time(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Also if nothing like it was recorded, as the rule is new."""
    one = task(due=clock.now() + timedelta(hours=1))
    await know(pool, one, at=clock.now())
    await record(pool, one, Kind.CREATED, at=clock.now())
    form = await opened(web)
    page = await press(web, {**form, "text": form["text"] + MORE}, "try", q="T1")
    assert "acts when its time comes</span> <b><bdi>overdue-nudge" in page.text
    assert "<b>accounting</b> would be sent" in page.text


async def test_what_was_decided_then_does_not_count(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The rule of the file did not act; that of the text would have."""
    done = task(done=True)
    await know(pool, done, at=clock.now())
    event = await record(pool, done, Kind.COMPLETED, at=clock.now(), before=task())
    await pool.execute(
        "INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)"
        " VALUES ($1, 'job-done', 'v', 'not_matched', 'as it was then', $2)",
        event.id,
        clock.now(),
    )
    page = await press(web, await opened(web), "try", q="T1")
    assert 'class="state sent">acted</span> <b><bdi>job-done' in page.text
    assert "as it was then" not in page.text
