"""Takes the pictures of courses, and of the pages on reports, bulletins, images: ``python -m benchmarks.pictures [WORKSPACE]``.

WORKSPACE is one that ``minewatch demo`` made; without it the demo is made first, which takes a minute or two.  The hundred areas
of the bulletin are simulated and scanned once, which takes some minutes, and kept in the cache of the benchmarks.
Needs Chromium, WeasyPrint with Pango, and the packages of the group ``dev``.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor
from pypdfium2 import PdfDocument
from scipy.spatial import cKDTree

from benchmarks import bulletin
from benchmarks.course_pictures import take_course_pictures
from minewatch.alerts.read import read_alerts
from minewatch.alerts.style import AOI_COLOUR
from minewatch.alerts.style import COLOURS as STATUSES
from minewatch.core.workspace import Workspace
from minewatch.operations.demo import NAME, run_demo
from minewatch.products.bulletin.bulletin_facts import BulletinRequest
from minewatch.products.bulletin.drawing import COLOURS as COLOURS_OF_UNITS
from minewatch.products.bulletin.drawing import GROUND_COLOURS
from minewatch.products.bulletin.options import AREA
from minewatch.products.bulletin.period import parse_month
from minewatch.products.bulletin.write import write_bulletin
from minewatch.products.images.dated_image import ImageRequest, make_image
from minewatch.products.report.report_facts import ReportRequest
from minewatch.products.report.write import write_report
from tests.helpers.browser import Visit, open_file, start_browser

ROOT = Path(__file__).resolve().parents[1]

FOLDER = ROOT / "docs" / "images"

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COLOURS = 90
"""Of the palettes: enough for a page, and the files stay small."""

KEPT = (
    *STATUSES.values(),
    *COLOURS_OF_UNITS.values(),
    *GROUND_COLOURS.values(),
    AOI_COLOUR,
    "#ffe14d",
    "#e6550d",
    "#c2410c",
    "#16202a",
    "#4a5763",
    "#0b5394",
    "#8a1c1c",
    "#ffffff",
)
"""Colours that a palette must have, however few pixels have them: they mean something."""

WIDEST = 1200
"""Pixels of the pictures."""

PHONE = {"width": 390, "height": 844, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def main(words: list[str]) -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        workspace = Workspace(Path(words[0]).absolute()) if words else run_demo(work / "demo").workspace
        english = write_report(workspace, ReportRequest(NAME, formats=("html", "pdf")), work / "out").paths
        spanish = write_report(workspace, ReportRequest(NAME, language="es"), work / "out").paths
        with start_browser() as browser:
            _take(browser, english[0], "report-summary", _go_to_top, width=720, height=1290)
            _take(browser, english[0], "report-alert", _go_to_alert, width=1200, height=1300)
            _take(browser, spanish[0], "report-phone", _go_to_alert, **PHONE)
        _print_page(english[1], "Alert 1:", "report-pdf-page")
        _draw_overlays(workspace, work)
        _take_bulletin(work)
        take_course_pictures(work, _shrink)


def _take(browser: Browser, path: Path, name: str, go: Callable[[Visit], None], **options: int) -> None:
    with open_file(browser, path, **options) as visit:
        go(visit)
        shot = path.with_name(f"{name}.png")
        visit.page.screenshot(path=shot, animations="disabled")
    _shrink(Image.open(shot), name)


def _go_to_top(visit: Visit) -> None:
    visit.page.evaluate("scrollTo(0, 0)")


def _go_to_alert(visit: Visit) -> None:
    visit.page.locator("#alert-1").evaluate("(part) => part.scrollIntoView()")
    visit.page.locator("#alert-1 .swipe").first.wait_for()


def _print_page(path: Path, text: str, name: str) -> None:
    """Render the first page of a PDF that has a text."""
    document = PdfDocument(path)
    page = next(page for page in document if text in page.get_textpage().get_text_range())
    picture = page.render(scale=110 / 72).to_pil()
    document.close()
    _shrink(picture, name)


def _take_bulletin(work: Path) -> None:
    """Take the pictures of a bulletin of a hundred areas."""
    cache = ROOT / "benchmarks" / ".cache"
    cache.mkdir(exist_ok=True)
    workspace, month = bulletin.make_workspace(bulletin.TRACT, cache), parse_month(bulletin.MONTH)

    def write(language: str, formats: str) -> Path:
        return write_bulletin(workspace, BulletinRequest(month, AREA, language, (formats,)), work / "out").paths[0]

    english, portuguese = (write(language, "html") for language in ("en", "pt"))
    with start_browser() as browser:
        _take(browser, english, "bulletin-table", _go_to_top, width=1000, height=1250)
        _take(browser, english, "bulletin-units", _go_to_unit, width=1100, height=1000)
        _take(browser, portuguese, "bulletin-phone", _go_to_unit, **PHONE)
    _print_page(write("fr", "pdf"), "Les unités, une par une", "bulletin-pdf-page")


def _go_to_unit(visit: Visit) -> None:
    visit.page.locator("#unit-1").evaluate("(part) => part.scrollIntoView()")


def _draw_overlays(workspace: Workspace, work: Path) -> None:
    """Draw the largest alert with all that can be drawn over it."""
    alerts = read_alerts(workspace.alerts)
    largest = alerts.loc[alerts["area_ha"].idxmax()]
    day: dt.date = largest["as_of"].date() if isinstance(largest["as_of"], dt.datetime) else largest["as_of"]
    drawn = make_image(workspace, ImageRequest(largest["alert_id"], day, folder=work))
    _shrink(Image.open(drawn.files["png"]), "image-overlays")


def _shrink(image: Image.Image, name: str) -> None:
    image = image.convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    path = FOLDER / f"{name}.png"
    _reduce(image).save(path, "PNG", optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def _reduce(image: Image.Image) -> Image.Image:
    """Return an image a palette that has the colours which mean something; each pixel takes the nearest."""
    common = (image.quantize(COLOURS, dither=Image.Dither.NONE).getpalette() or [])[: 3 * COLOURS]
    palette = np.reshape([*common, *(value for colour in KEPT for value in ImageColor.getrgb(colour))], (-1, 3))
    pixels, places = np.unique(np.asarray(image).reshape(-1, 3), axis=0, return_inverse=True)
    nearest = cKDTree(palette).query(pixels)[1].astype(np.uint8)
    reduced = Image.fromarray(nearest[places].reshape(image.height, image.width), "P")
    reduced.putpalette(palette.astype(np.uint8).tobytes())
    return reduced


if __name__ == "__main__":
    main(sys.argv[1:])
