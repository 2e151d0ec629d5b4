"""A real Chromium without a window, driven by Playwright; the fixture ``browser`` in conftest.py hands it out.

    browser -> Browser                                one process for the tests of a module
    open_file(browser, path, width=…) -> Visit        a page from file://, offline; .page, .requests, .complaints

Types for annotations: `from browser import Browser, Visit, open_file, shoot`.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.helpers.measures import Picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")

QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
"""Keeps the browser's own errands away from the network; no name can be looked up either."""


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def explain_missing_browser() -> str | None:
    """Say what keeps the browser from starting; None where nothing does."""
    if importlib.util.find_spec("playwright") is None:
        return "the package playwright is not installed"
    return None if find_chromium() else "no Chromium is installed"


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Start Chromium with a profile of its own, and end it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may be missing

    with sync_playwright() as driver:
        # Root in a container cannot have Chromium's sandbox; pages are our own, and there is no network.
        chromium = driver.chromium.launch(executable_path=find_chromium(), args=list(QUIET), chromium_sandbox=False)
        try:
            yield chromium
        finally:
            chromium.close()


@dataclass(frozen=True)
class Visit:
    """A page that is open, and what was seen of it since its first byte."""

    page: Page
    requests: list[str]
    """Addresses that were asked for, without the content of data: addresses."""
    complaints: list[str]
    """Warnings and errors of the console, among them those of the content-security policy, and errors of scripts."""

    def measure(self, script: str, argument: Any = None) -> Any:
        """Run a function of JavaScript on the page."""
        return self.page.evaluate(script, argument)


@contextmanager
def open_file(browser: Browser, path: Path, width: int = 1280, height: int = 900, **options: Any) -> Iterator[Visit]:
    """Open a file in a fresh context without network; sizes are in CSS pixels."""
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
    context.set_default_timeout(20_000)
    requests: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: requests.append(request.url.split(",")[0]))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    try:
        page = context.new_page()
        page.goto(path.absolute().as_uri())
        yield Visit(page, requests, complaints)
    finally:
        context.close()


def shoot(part: Locator | Page) -> Picture:
    """Take a picture of a page or of a part of it, as a person sees it."""
    with Image.open(io.BytesIO(part.screenshot(animations="disabled"))) as image:
        return np.asarray(image.convert("RGB"), np.float64)
