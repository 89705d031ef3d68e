"""Takes the pictures in docs/pictures from a running demo: `make pictures`."""

import asyncio
import base64
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from playwright.async_api import Browser, Page, async_playwright

from tests.harness.commands import clean_environment, started
from tests.harness.programs import program
from tests.harness.running import free_port
from tests.harness.waiting import eventually
from tests.pictures.png import written
from tests.pictures.screens import FOLDER, SCREENS, WIDTH, Screen

PATIENCE = 180.0  # seconds, until the demo has one of everything
MARGIN = 24  # pixels
# What the pictures show, by filters of the API.
WANTED: Sequence[dict[str, str]] = (
    {"rule": "errand-done", "state": "sent"},
    {"rule": "job-done", "state": "sent"},
    {"rule": "overdue-nudge", "channel": "slack", "state": "sent"},
    {"rule": "on-the-way", "state": "failed"},
    {"rule": "on-the-way", "state": "unknown"},
    {"rule": "moved-visit", "state": "held"},
    {"rule": "moved-visits-in-the-morning", "state": "held"},
)
SILENCE = (
    *("silence", "add", "--until", "3h", "--reason", "they are being called"),
    *("--customer", "Omar Diaz"),
)
# The pixels of a picture, in base64.
_PIXELS = """async (picture) => {
    const image = await createImageBitmap(await (await fetch(picture)).blob());
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    return [image.width, data.toBase64 ? data.toBase64() : btoa(
        Array.from({ length: Math.ceil(data.length / 8192) }, (_, part) =>
            String.fromCharCode(...data.subarray(part * 8192, part * 8192 + 8192))).join(""))];
}"""


@contextmanager
def demo(folder: Path, port: int) -> Iterator[str]:
    """A demo with its files in this folder; its address."""
    with (folder / "said").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "demo"],
            cwd=folder,
            env=clean_environment(PORT=str(port), TZ="UTC"),
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


async def first_message(client: httpx.AsyncClient, about: dict[str, str]) -> dict[str, str] | None:
    """The first message that these filters of the API find."""
    try:
        answer = await client.get("/api/v1/deliveries", params={**about, "limit": "100"})
    except httpx.TransportError:
        return None
    found = answer.json()["data"] if answer.is_success else []
    return found[-1] if found else None


async def has_everything(client: httpx.AsyncClient) -> bool:
    return all([await first_message(client, one) for one in WANTED])


async def address_of(client: httpx.AsyncClient, screen: Screen) -> str:
    message = await first_message(client, screen.about) if screen.about else None
    if message is None:
        return screen.path
    task = f"{message['account']}/{message['task']}"
    return screen.path.format(message=message["id"], task=task)


async def take(page: Page, url: str, screen: Screen) -> None:
    """One picture, into its file."""
    await page.set_viewport_size({"width": WIDTH, "height": screen.height})
    await page.goto(url, wait_until="load")
    if screen.part:
        part = page.locator(screen.part).first
        await part.evaluate("one => { one.open = true; }")
        taken = await part.screenshot()
    else:
        # A heading that an address leads to is not at the edge.
        await page.evaluate("margin => scrollBy(0, -margin)", MARGIN)
        taken = await page.screenshot()
    data = base64.b64encode(taken).decode()
    width, pixels = await page.evaluate(_PIXELS, f"data:image/png;base64,{data}")
    screen.file.write_bytes(written(base64.b64decode(pixels), width))
    print(f"{screen.file.name}: {screen.file.stat().st_size:,} bytes")


async def take_all(browser: Browser, url: str) -> None:
    page = await browser.new_page(
        color_scheme="light",
        locale="en-GB",
        timezone_id="Europe/London",
        reduced_motion="reduce",
        bypass_csp=True,
    )
    async with httpx.AsyncClient(base_url=url) as client:
        await eventually(lambda: has_everything(client), PATIENCE)
        for screen in SCREENS:
            await take(page, url + await address_of(client, screen), screen)


async def main() -> None:
    """Start the demo, wait until it has one of everything, and take each picture."""
    FOLDER.mkdir(exist_ok=True)
    chromium = program("chromium")
    with TemporaryDirectory() as name, demo(Path(name), free_port()) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            await eventually(lambda: has_everything(client), PATIENCE)
        silenced = await started(Path(name), *SILENCE, LOGNAME="ann")
        assert silenced.code == 0, silenced.err
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium)
            await take_all(browser, url)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
