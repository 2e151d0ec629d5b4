"""The report on paper: its pages are rendered to pictures, and these are measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage.measure import label, regionprops

from minewatch.alerts.style import COLOURS
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.html_page import render_page
from minewatch.products.report.pdf import print_page
from minewatch.products.report.report_facts import ReportFacts, ReportRequest
from tests.helpers import squares
from tests.helpers.measures import BAR, NEEDLE, Picture, find_colour, find_edges, find_run, find_tilt, measure_sides

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

DPI = 200

MARGIN = round(10 / 25.4 * DPI)
"""Pixels at the edges of a page that stay white, but for its number at the foot: 10 mm."""

MIDDLE = 0.3
"""The mine is that far from the edges of a piece, as a share of its side; rose and scale bar are nearer."""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ReportFacts:
    return gather_facts(squares.make_square(tmp_path_factory), ReportRequest(squares.NAME))


@pytest.fixture(scope="module")
def document(facts: ReportFacts) -> Iterator[PdfDocument]:
    with open_paper(render_page(facts)) as document:
        yield document


def open_paper(page: str) -> PdfDocument:
    pytest.importorskip("weasyprint", reason="WeasyPrint is not installed", exc_type=(ImportError, OSError))
    pdfium = pytest.importorskip("pypdfium2")
    return pdfium.PdfDocument(print_page(page))


def render(document: PdfDocument, number: int, dpi: int = DPI) -> Picture:
    image = document[number].render(scale=dpi / 72).to_pil().convert("RGB")
    return np.asarray(image, np.float64)


def read(document: PdfDocument) -> list[str]:
    return [page.get_textpage().get_text_range() for page in document]


def find_page(document: PdfDocument, words: str) -> int:
    return next(number for number, text in enumerate(read(document)) if words in text)


def test_every_page_holds_something_and_nothing_runs_over_its_edge(document: PdfDocument) -> None:
    for number in range(len(document)):
        ink = render(document, number, 100).min(axis=-1) < 200
        margin = MARGIN // 2
        assert ink[margin:-margin, margin:-margin].mean() > 0.001, f"page {number + 1} is empty"
        assert not ink[:, :margin].any()
        assert not ink[:, -margin:].any()
        assert ink[-round(18 / 25.4 * 100) :].any(), "the number of the page"


def test_everything_of_the_page_is_on_paper(document: PdfDocument, facts: ReportFacts) -> None:
    text = re.sub(r"\s+", " ", " ".join(read(document)))
    row = facts.alerts[0].row
    for words in ("Summary", "Overview map", "Growth over time", "Method", "Limitations", "Copernicus", "Confidential", "4.00"):
        assert words in text
    for look in facts.looks:
        assert f"{look.date}" in text, "what is folded on a screen is open on paper"
    assert row["alert_id"].replace("-", "") in re.sub(r"[\s\W]", "", text)
    assert f"{facts.alerts[0].position.lat:.6f}" in text
    lon, lat = facts.alerts[0].outline.geoms[0].exterior.coords[0]
    assert f"{lat:.6f}" in text
    assert f"{lon:.6f}" in text
    assert "Drag to compare" not in text


def test_the_pdf_asks_for_nothing_and_runs_nothing(document: PdfDocument, facts: ReportFacts) -> None:
    data = print_page(render_page(facts))
    for word in (b"/JavaScript", b"/JS ", b"/Launch", b"/URI", b"/EmbeddedFile", b"file://"):
        assert word not in data
    assert document.get_metadata_value("Title") == "Report on area square"


# --- pictures are right ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maps(document: PdfDocument) -> list[Picture]:
    """The four maps of the alert, cut out of the picture of their page: 470 m to each side of the mine's middle."""
    page = render(document, find_page(document, "Alert 1:"))
    return [cut(page, *part) for part in find_outlines(page)]


@pytest.fixture(scope="module")
def bare_maps(document: PdfDocument, facts: ReportFacts) -> list[Picture]:
    """The same pieces of the same page, printed without its outlines."""
    parts = find_outlines(render(document, find_page(document, "Alert 1:")))
    text, count = re.subn(r'<path (class="outline" )?d="[^"]*" fill="none"[^>]*/>', "", render_page(facts))
    assert count >= 10
    with open_paper(text) as printed:
        page = render(printed, find_page(printed, "Alert 1:"))
    return [cut(page, *part) for part in parts]


def find_outlines(page: Picture) -> list[tuple[float, float, float]]:
    """Return middle (x, y) and side of each outline of the mine, in rows from the top, from the left in a row."""
    parts = regionprops(label(find_colour(page, COLOURS["confirmed"], 70), connectivity=2))
    found = []
    for part in parts:
        top, left, bottom, right = part.bbox
        if bottom - top > 60 and abs((bottom - top) / (right - left) - 1) < 0.05:
            found.append(((left + right) / 2, (top + bottom) / 2, (right - left + bottom - top) / 2))
    assert len(found) == 4, "before and after in two composites"
    return sorted(found, key=lambda part: (round(part[1] / 50), part[0]))


def cut(page: Picture, x: float, y: float, side: float) -> Picture:
    reach = round(470 / 200 * side)
    return page[round(y) - reach : round(y) + reach, round(x) - reach : round(x) + reach]


def test_before_and_after_are_what_they_are_called(maps: list[Picture]) -> None:
    before, after = (picture[len(picture) // 2, len(picture) // 2] for picture in maps[:2])
    assert before[1] > before[0] + 20, "forest is green"
    assert after.min() > 200, "bare ground is nearly white"


@pytest.mark.parametrize("number", [1, 3])
def test_outline_and_image_line_up_on_paper(maps: list[Picture], bare_maps: list[Picture], number: int) -> None:
    drawn = np.array(measure_sides(find_colour(maps[number], COLOURS["confirmed"], 70), MIDDLE))
    shown = np.array(find_edges(bare_maps[number], MIDDLE))
    pixel = (shown[2] - shown[0]) / 20
    assert pixel > 3, "a pixel of the image is some pixels of the picture"
    assert np.abs(drawn - shown).max() / pixel < 0.5


def test_the_scale_bar_on_paper_is_as_long_as_it_says(maps: list[Picture], bare_maps: list[Picture], document: Any) -> None:
    left, top, right, _ = find_edges(bare_maps[1], MIDDLE)
    size = 200 / (right - left)
    dark = find_colour(maps[1], BAR, 60)
    dark[: round(0.8 * len(dark))], dark[:, len(dark) // 2 :] = False, False
    row, column, length = find_run(dark)
    metres = squares.measure_distance((column - left) * size, (row - top) * size, length * size)
    said = re.findall(r"^(\d+) m\s*$", read(document)[find_page(document, "Alert 1:")], re.MULTILINE)
    assert len(said) == 4
    assert metres == pytest.approx(float(said[1]), rel=0.02)


def test_the_rose_on_paper_points_to_true_north(maps: list[Picture]) -> None:
    for picture in maps:
        corner = picture[: len(picture) // 4, -len(picture) // 4 :]
        assert find_tilt(find_colour(corner, NEEDLE, 40)) == pytest.approx(-squares.CONVERGENCE, abs=1.5)
