"""The rule editor: who may use it, and how it saves."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from service.clock import VirtualClock
from service.config import load
from service.doorbell import Doorbell
from service.processes.embedded import EmbeddedValkey
from service.reload import ConfigSnapshot, LoadedConfig
from service.store import Pool
from service.web.live_updates import LiveUpdates
from service.web.server import AppSwitch
from tests.harness.editor import MORE, PAGE, Firm, deeds, faults, firm_in, form_of, opened, press
from tests.harness.people import sign_in, users
from tests.harness.site import CONFIGURATION, Site
from tests.harness.waiting import eventually

TOKEN = "s3cret-of-the-page"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def firm(tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey) -> Firm:
    """Sites with a configuration in a folder of its own."""
    return firm_in(tmp_path / "rules", pool, clock, valkey.url)


@pytest.fixture
async def web(firm: Firm) -> AsyncIterator[Site]:
    """A site without a token that may save, open to this machine."""
    async with firm() as running:
        yield running


async def test_saving_shows_the_effects_first(web: Site, tmp_path: Path) -> None:
    """The difference, and what is new, before anything is stored."""
    form = await opened(web)
    page = await press(web, {**form, "text": form["text"] + MORE}, "review")
    assert "+- id: overdue-nudge" in page.text
    assert "<b><bdi>overdue-nudge</bdi></b>: new" in page.text
    assert 'value="save"' in page.text
    assert (tmp_path / "rules" / "main.yaml").read_text() == CONFIGURATION


async def test_a_text_is_saved_as_a_whole_and_recorded(
    web: Site, pool: Pool, tmp_path: Path
) -> None:
    """Mode, line ends and mark of the file stay; no other file is left beside it."""
    file = tmp_path / "rules" / "main.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + CONFIGURATION.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    form = await opened(web)
    answer = await press(web, {**form, "text": form["text"] + MORE}, "save")
    assert answer.status_code == HTTPStatus.SEE_OTHER, answer.text
    page = await web.client.get(answer.headers["location"])
    assert "Saved." in page.text
    assert (
        file.read_bytes() == b"\xef\xbb\xbf" + (CONFIGURATION + MORE).replace("\n", "\r\n").encode()
    )
    assert file.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in file.parent.iterdir()] == ["main.yaml"]
    assert await deeds(pool) == [
        ("someone on this machine", "file.saved", "main.yaml", "lines added: 3, removed: 0")
    ]
    log = (await web.client.get("/audit")).text
    assert 'saved <a href="/rules/edit?file=main.yaml"><bdi>the file main.yaml</bdi>' in log


async def test_with_errors_nothing_is_saved(web: Site, pool: Pool, tmp_path: Path) -> None:
    """The text stays in the page."""
    form = await opened(web)
    wrong = {**form, "text": form["text"].replace("task.completed", "task.complet")}
    for do in ("review", "save"):
        answer = await press(web, wrong, do)
        assert "Correct the errors first. Nothing was saved." in answer.text
        assert form_of(answer)["text"] == wrong["text"]
        assert 'value="save"' not in answer.text
    assert (tmp_path / "rules" / "main.yaml").read_text() == CONFIGURATION
    assert await deeds(pool) == []


async def test_what_changed_on_disk_is_not_overwritten(
    web: Site, pool: Pool, tmp_path: Path
) -> None:
    """The difference is shown and the text is kept; who has seen it can save over it."""
    file = tmp_path / "rules" / "main.yaml"
    form = await opened(web)
    file.write_text(CONFIGURATION + "# by another\n")
    mine = {**form, "text": form["text"] + MORE}
    answer = await press(web, mine, "save")
    assert answer.status_code == HTTPStatus.CONFLICT
    assert "has changed on disk" in answer.text
    assert "-# by another" in answer.text
    assert form_of(answer)["text"] == mine["text"]
    assert file.read_text() == CONFIGURATION + "# by another\n"
    assert await deeds(pool) == []
    assert (await press(web, form_of(answer), "save")).status_code == HTTPStatus.SEE_OTHER
    assert file.read_text() == CONFIGURATION + MORE


async def test_no_link_leads_out_of_the_folder(firm: Firm, tmp_path: Path) -> None:
    """What a link outside points to stays as it is; a file in the folder can be linked."""
    outside = tmp_path / "outside.yaml"
    outside.write_text(f"rules:\n{MORE}")
    folder = tmp_path / "rules"
    (folder / "inner").mkdir()
    (folder / "inner" / "real").write_text("# nothing\n")
    (folder / "out.yaml").symlink_to(outside)
    (folder / "in.yaml").symlink_to(folder / "inner" / "real")
    async with firm() as web:
        form = await opened(web, "out.yaml")
        answer = await press(web, {**form, "text": form["text"] + "# more\n"}, "save")
        assert "is a link to a file outside of its folder" in answer.text
        assert outside.read_text() == f"rules:\n{MORE}"
        form = await opened(web, "in.yaml")
        answer = await press(web, {**form, "text": form["text"] + "# more\n"}, "save")
        assert answer.status_code == HTTPStatus.SEE_OTHER, answer.text
    assert (folder / "in.yaml").is_symlink()
    assert (folder / "inner" / "real").read_text() == "# nothing\n# more\n"


async def test_a_folder_that_cannot_be_written_says_so(
    web: Site, pool: Pool, monkeypatch: Any
) -> None:
    """Nothing is recorded that was not done."""

    def refused(*_args: Any, **_more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("service.document.saving.mkstemp", refused)
    form = await opened(web)
    answer = await press(web, {**form, "text": form["text"] + MORE}, "save")
    assert "main.yaml cannot be replaced, or its owner kept: Permission denied" in answer.text
    assert await deeds(pool) == []


async def test_unless_the_operator_allows_it_nothing_is_saved(
    firm: Firm, pool: Pool, tmp_path: Path
) -> None:
    """There is no button, a forged press does nothing, and the text can be downloaded."""
    async with firm(edit="off") as web:
        form = await opened(web)
        page = (await web.client.get("/rules/edit")).text
        assert 'value="review"' not in page
        mine = {**form, "text": form["text"] + MORE}
        assert 'value="save"' not in (await press(web, mine, "review")).text
        answer = await press(web, mine, "save")
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert "TASKBELL_EDIT is not on" in answer.text
        file = await web.client.post("/rules/edit/download", data=mine)
        assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''main.yaml"
        assert file.text == mine["text"]
    assert (tmp_path / "rules" / "main.yaml").read_text() == CONFIGURATION
    assert await deeds(pool) == []


@pytest.mark.parametrize("name", ["", "Bo", "anna", "cy"])
async def test_only_an_admin_sees_and_saves(
    firm: Firm, pool: Pool, tmp_path: Path, name: str
) -> None:
    """A stranger, a viewer and an operator can do neither, and no link leads them there."""
    async with firm(CONFIGURATION + users(), token=TOKEN) as web:
        form = form_of(await web.client.get("/rules/edit", headers={**PAGE, **BEARER}))
        if name:
            await sign_in(web, name)
        page = await web.client.get("/rules/edit", headers=PAGE)
        rules = await web.client.get("/rules", headers=PAGE)
        saved = await press(web, {**form, "text": form["text"] + "# mine\n"}, "save")
        seen = await web.client.post("/rules/edit/check", data=form)
    is_admin = name == "cy"
    assert ("<textarea" in page.text) is is_admin
    assert ('href="/rules/edit"' in rules.text) is is_admin
    assert (seen.status_code == HTTPStatus.OK) is is_admin
    assert saved.status_code == (HTTPStatus.FORBIDDEN if name in ("Bo", "anna") else 303)
    text = (tmp_path / "rules" / "main.yaml").read_text()
    assert ("# mine" in text) is is_admin
    assert ([one[0] for one in await deeds(pool) if one[1] == "file.saved"] == ["cy"]) is is_admin


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
async def test_a_page_of_another_site_can_do_nothing(
    web: Site, tmp_path: Path, headers: dict[str, str]
) -> None:
    """Neither save nor have a text checked, also in the browser of an admin."""
    form = await opened(web)
    for path in ("", "/check", "/suggestions", "/download"):
        sent = {**form, "text": form["text"] + MORE, "do": "save"}
        answer = await web.client.post(f"/rules/edit{path}", data=sent, headers=headers)
        assert answer.status_code == HTTPStatus.FORBIDDEN
    assert (tmp_path / "rules" / "main.yaml").read_text() == CONFIGURATION


async def test_typing_does_not_refresh_other_pages(web: Site, valkey: EmbeddedValkey) -> None:
    """Saving does."""
    doorbell = Doorbell(valkey.url)
    before, form = await doorbell.changes(), await opened(web)
    await faults(web, form)
    await asyncio.sleep(0.2)
    assert await doorbell.changes() == before
    await press(web, form, "save")

    async def is_told() -> bool:
        return await doorbell.changes() != before

    await eventually(is_told)
    await doorbell.close()


async def test_a_configuration_that_is_not_there_says_so(firm: Firm, tmp_path: Path) -> None:
    """As in a demo whose files were removed meanwhile."""
    async with firm() as web:
        (tmp_path / "rules" / "main.yaml").unlink()
        answer = await web.client.get("/rules/edit", headers=PAGE)
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "has no .yaml file" in answer.text


async def test_values_of_a_changed_configuration_are_known(
    tmp_path: Path, valkey: EmbeddedValkey
) -> None:
    """Under `taskbell serve` they come with it, as the web process does not have them itself."""
    (tmp_path / "taskbell.yaml").write_text(CONFIGURATION)
    config, values = load(tmp_path, {}), {"OLD": "kept"}
    doorbell = Doorbell(valkey.url)

    async def readings() -> AsyncIterator[LoadedConfig]:
        yield LoadedConfig(ConfigSnapshot(values={"NEW": "value"}), config)

    def made(**_: Any) -> Starlette:
        return Starlette()

    front = AppSwitch(made, config, LiveUpdates(doorbell), values)
    await front.follow_files(readings())
    await doorbell.close()
    assert values == {"OLD": "kept", "NEW": "value"}
