"""The report on paper: its pages are rendered to pictures, and these are measured."""

from __future__ import annotations

import ctypes
import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
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
from tests.helpers.small import NAME, make_scanned

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

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


def test_pages_are_full_and_ids_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No page but the last is half empty, with several alerts too; DATE-HASH of an id and a SHA-256 stand on one line."""
    workspace, _ = make_scanned(tmp_path_factory)
    facts = gather_facts(workspace, ReportRequest(NAME))
    many = tuple(replace(alert, number=number) for number, alert in enumerate(facts.alerts * 4, 1))
    with open_paper(render_page(replace(facts, alerts=many))) as document:
        for number in range(len(document) - 1):
            ink = render(document, number, 50).min(axis=-1) < 200
            body = ink[round(0.05 * len(ink)) : round(0.94 * len(ink))]
            assert np.flatnonzero(body.any(axis=1)).max() > 0.55 * len(body), f"page {number + 1} is half empty"
        lines = "\n".join(read(document)).splitlines()
    for alert in facts.alerts:
        whole = [line for line in lines if alert.row["alert_id"] in line]
        assert len(whole) >= 4 * 3, "in the table, over its section, and beside it"
        assert alert.evidence is not None
        assert any(alert.evidence.manifests[alert.evidence.name] in line for line in lines)


def test_the_pdf_is_tagged(facts: ReportFacts) -> None:
    """A screen reader finds headings and tables, and hears what images show."""
    request = replace(facts.request, language="es", author="Ana Quispe")
    with open_paper(render_page(replace(facts, request=request))) as document:
        assert document.is_tagged()
        assert document.get_metadata_value("Author") == "Ana Quispe"
        parts = [part for page in document for part in list_parts(page)]
    kinds = {kind for kind, _ in parts}
    assert {"H1", "H2", "H3", "Table", "TH", "TD", "Figure"} <= kinds
    spoken = [words for kind, words in parts if kind == "Figure"]
    assert all(spoken), "every figure is described"
    assert any(words.startswith("Antes: imagen de satélite de la alerta") for words in spoken)


def list_parts(page: PdfPage) -> list[tuple[str, str]]:
    """Return type and alternative text of every element in the structure of a page."""
    raw = importlib.import_module("pypdfium2.raw")

    def read_text(reader: Any, element: Any) -> str:
        buffer = ctypes.create_string_buffer(2000)
        length = reader(element, buffer, 2000)
        return buffer.raw[:length].decode("utf-16-le").rstrip("\0")

    def walk(element: Any) -> Iterator[tuple[str, str]]:
        yield read_text(raw.FPDF_StructElement_GetType, element), read_text(raw.FPDF_StructElement_GetAltText, element)
        for number in range(raw.FPDF_StructElement_CountChildren(element)):
            if child := raw.FPDF_StructElement_GetChildAtIndex(element, number):
                yield from walk(child)

    tree = raw.FPDF_StructTree_GetForPage(page.raw)
    roots = [raw.FPDF_StructTree_GetChildAtIndex(tree, number) for number in range(raw.FPDF_StructTree_CountChildren(tree))]
    return [part for root in roots if root for part in walk(root)]


# --- pictures are right ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maps(document: PdfDocument) -> list[Picture]:
    """The four maps of the alert, cut out of the pictures of their pages: 470 m to each side of the mine's middle."""
    return [cut(render(document, number), *part) for number, part in find_maps(document)]


@pytest.fixture(scope="module")
def bare_maps(document: PdfDocument, facts: ReportFacts) -> list[Picture]:
    """The same pieces of the same page, printed without its outlines."""
    parts = find_maps(document)
    text, count = re.subn(r'<path (class="outline" )?d="[^"]*" fill="none"[^>]*/>', "", render_page(facts))
    assert count >= 10
    with open_paper(text) as printed:
        return [cut(render(printed, number), *part) for number, part in parts]


def find_maps(document: PdfDocument) -> list[tuple[int, tuple[float, float, float]]]:
    """Return page and place of the alert's maps: its section begins on a page and may go on on the next."""
    first = find_page(document, "Alert 1:")
    found = [(number, part) for number in (first, first + 1) for part in find_outlines(render(document, number))]
    assert len(found) == 4, "before and after in two composites"
    return found


def find_outlines(page: Picture) -> list[tuple[float, float, float]]:
    """Return middle (x, y) and side of each outline of the mine, in rows from the top, from the left in a row."""
    parts = regionprops(label(find_colour(page, COLOURS["confirmed"], 70), connectivity=2))
    found = []
    for part in parts:
        top, left, bottom, right = part.bbox
        if bottom - top > 60 and abs((bottom - top) / (right - left) - 1) < 0.05:
            found.append(((left + right) / 2, (top + bottom) / 2, (right - left + bottom - top) / 2))
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
    first = find_page(document, "Alert 1:")
    said = re.findall(r"^(\d+) m\s*$", "\n".join(read(document)[first : first + 2]), re.MULTILINE)
    assert len(said) == 4
    assert metres == pytest.approx(float(said[1]), rel=0.02)


def test_the_rose_on_paper_points_to_true_north(maps: list[Picture]) -> None:
    for picture in maps:
        corner = picture[: len(picture) // 4, -len(picture) // 4 :]
        assert find_tilt(find_colour(corner, NEEDLE, 40)) == pytest.approx(-squares.CONVERGENCE, abs=1.5)
