"""The report as a person meets it: opened from a file in a real Chromium, looked at, used, and printed."""

from __future__ import annotations

import datetime as dt
import io
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from minewatch.alerts.history import HistoryEvent
from minewatch.alerts.style import COLOURS
from minewatch.areas.coordinates import make_position
from minewatch.products.bulletin.bulletin_facts import BulletinRequest
from minewatch.products.bulletin.gather import gather_bulletin
from minewatch.products.bulletin.page import render_bulletin
from minewatch.products.bulletin.period import parse_month
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.html_page import render_page
from minewatch.products.report.report_facts import AlertFacts, ReportFacts, ReportRequest
from tests.helpers import squares
from tests.helpers.browser import Visit, open_file, shoot
from tests.helpers.measures import BAR, NEEDLE, Picture, find_colour, find_edges, find_run, find_tilt, measure_sides

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.server

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=\"document.title='owned'\">&amp;{{7*7}}${7*7}"

STATUSES = ("confirmed", "provisional", "confirmed", "closed", "dismissed")
AREAS = (100.25, 9.1, 10.5, 0.31, 0.4)
DAYS = (dt.date(2021, 6, 21), dt.date(2020, 12, 3), dt.date(2021, 6, 1), dt.date(2019, 7, 9), dt.date(2021, 2, 10))
"""Of the alerts of the page with several; sorted as words they would come in another order."""

PHONE = {"width": 390, "height": 844, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}

LEAST_LETTER, LEAST_TARGET = 12, 24
"""CSS pixels: of letters, and of what a finger must meet (WCAG 2.2, 2.5.8)."""


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ReportFacts:
    return gather_facts(squares.make_square(tmp_path_factory), ReportRequest(squares.NAME))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name has what people put into names."""
    return tmp_path_factory.mktemp("expediente ñ 7 #1 ")


@pytest.fixture(scope="module")
def path(facts: ReportFacts, folder: Path) -> Path:
    """The report on a square mine."""
    return save(facts, folder / "square report.html")


@pytest.fixture(scope="module")
def several(facts: ReportFacts) -> ReportFacts:
    """A report on alerts of every status, all of them the same ground, with the texts of hostile strangers."""
    return replace(facts, alerts=tuple(vary(facts.alerts[0], number) for number in range(len(STATUSES))))


@pytest.fixture(scope="module")
def several_path(several: ReportFacts, folder: Path) -> Path:
    return save(several, folder / "several.html")


def vary(alert: AlertFacts, number: int) -> AlertFacts:
    told = ("confirmed", "provisional", "closed")
    words = dict.fromkeys(("concession", "admin_unit", "witnesses", "scene_before", "review_note", "reviewed_by"), HOSTILE)
    row = alert.row | words | {"concession_ha": 0.5, "concession_pct": 12.5, "review": "needs-visit", "legal_status": "outside"}
    row |= {"status": STATUSES[number], "area_ha": AREAS[number], "first_seen": DAYS[number], "river_m": 1234.5}
    row |= {"alert_id": f"square-{DAYS[number]:%Y%m%d}-00000{number}", "confirmed_on": None if number == 1 else DAYS[number]}
    images = alert.images
    assert images is not None
    overpasses = {when: replace(overpass, scenes=(HOSTILE,)) for when, overpass in images.overpasses.items()}
    if number == 2:
        images = replace(images, overpasses={"after": overpasses["after"]}, missing={"before": "missing_no_look"})
    elif number == 3:
        images = replace(images, overpasses={}, missing=dict.fromkeys(("before", "after"), "missing_no_source"))
    else:
        images = replace(images, overpasses=overpasses)
    events = (HistoryEvent("spot", HOSTILE, HOSTILE, as_of=DAYS[number]),)
    shown = images if STATUSES[number] in told else None
    return replace(alert, number=number + 1, row=row, images=shown, events=events, is_new=number == 1)


def save(facts: ReportFacts, path: Path) -> Path:
    path.write_text(render_page(facts), "utf-8")
    return path


@pytest.fixture
def visit(browser: Browser, path: Path) -> Iterator[Visit]:
    with open_file(browser, path) as visit:
        yield visit


@pytest.fixture
def several_visit(browser: Browser, several_path: Path) -> Iterator[Visit]:
    with open_file(browser, several_path) as visit:
        yield visit


# --- one file, alone -------------------------------------------------------------------------------------------------


def test_it_opens_from_a_folder_and_asks_for_nothing_else(visit: Visit, path: Path) -> None:
    visit.page.wait_for_load_state("networkidle")
    for details in visit.page.locator("summary").all():
        details.click()
    assert " " in str(path)
    assert visit.complaints == []
    assert visit.requests[0] == path.as_uri()
    assert all(address.startswith("data:image/") for address in visit.requests[1:])
    assert visit.measure("[...document.images].every((image) => image.complete && image.naturalWidth > 100)")
    assert visit.page.locator("h1").inner_text() == "Report on area square"


def test_the_texts_of_strangers_are_shown_and_do_nothing(several_visit: Visit) -> None:
    page = several_visit.page
    for details in page.locator("summary").all():
        details.click()
    assert page.title() == "Report on area square"
    assert several_visit.complaints == []
    assert page.locator("script").count() == 1
    assert several_visit.measure("[...document.images].every((image) => image.src.startsWith('data:image/png'))")
    assert several_visit.measure("document.querySelectorAll('[onerror]').length") == 0
    section = page.locator("#alert-1").inner_text()
    assert section.count(HOSTILE) >= 8, "layers, note, reviewer, scenes, history"


def test_the_policy_stops_what_would_slip_through(browser: Browser, path: Path, tmp_path: Path) -> None:
    """Were a text ever put in raw, the browser would neither run it nor fetch for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        raw = (
            f"<script>document.title='owned'</script><script src='{address}/x.js'></script><img src='{address}/x.png'>"
            f"<img src=x onerror=\"document.title='owned'\"><link rel=stylesheet href='{address}/x.css'>"
            f"<iframe src='{address}/'></iframe><p style='position:fixed'>over all</p><base href='{address}'>"
            f"<form action='{address}' id='out'><input name='x'></form>"
        )
        raw_path = tmp_path / "raw.html"
        raw_path.write_text(path.read_text("utf-8").replace("</main>", f"{raw}</main>"), "utf-8")
        with open_file(browser, raw_path) as visit:
            visit.page.context.set_offline(False)
            visit.page.reload()
            assert visit.page.title() == "Report on area square"
            assert visit.measure("getComputedStyle(document.querySelector('p[style]')).position") == "static"
            assert visit.page.locator(".swipe").count() == 2, "the page's own script runs all the same"
            visit.measure("document.getElementById('out').submit()")
            visit.page.wait_for_timeout(200)
            stopped = {line.split("'")[0] for line in visit.complaints if "Content Security Policy" in line}
            assert len(stopped) == 9, stopped
            with pytest.raises(TimeoutError):
                server.accept()


# --- the swipe -------------------------------------------------------------------------------------------------------


def find_mine(stack: Picture) -> tuple[Picture, Picture]:
    """Cut the left and the right third of the mine out of a picture of the stack; the frame has the mine in its middle."""
    height, width, _ = stack.shape
    rows = slice(round(0.44 * height), round(0.56 * height))
    return stack[rows, round(0.43 * width) : round(0.47 * width)], stack[rows, round(0.53 * width) : round(0.57 * width)]


def is_bare(part: Picture) -> bool:
    """Bare ground is nearly white in the true-colour image, forest is green."""
    red, green, _ = part.reshape(-1, 3).mean(axis=0)
    assert (red > 200) != (green > red + 20), "one or the other"
    return bool(red > 200)


def look_through(visit: Visit) -> tuple[float, bool, bool]:
    """Return the slider's value, and whether the left and the right of the mine are bare in the picture."""
    swipe = visit.page.locator(".swipe").first
    left, right = find_mine(shoot(swipe.locator(".stack")))
    return float(swipe.locator("input").input_value()), is_bare(left), is_bare(right)


def test_the_slider_moves_by_keyboard(visit: Visit) -> None:
    assert look_through(visit) == (50, False, True), "before on the left, after on the right"
    slider = visit.page.get_by_label("compare before and after").first
    slider.focus()
    for key, expected in (("End", (100, False, False)), ("Home", (0, True, True)), ("ArrowRight", (1, True, True))):
        visit.page.keyboard.press(key)
        assert look_through(visit) == expected, key


def test_the_slider_moves_by_mouse(visit: Visit) -> None:
    stack = visit.page.locator(".swipe .stack").first
    stack.scroll_into_view_if_needed()
    box = stack.bounding_box()
    assert box is not None
    mouse, y = visit.page.mouse, box["y"] + box["height"] / 3
    mouse.click(box["x"] + 0.8 * box["width"], y)
    value, left, right = look_through(visit)
    assert (left, right) == (False, False)
    assert value == pytest.approx(80, abs=1)
    mouse.down()
    mouse.move(box["x"] + 0.2 * box["width"], y, steps=5)
    mouse.up()
    value, left, right = look_through(visit)
    assert (left, right) == (True, True)
    assert value == pytest.approx(20, abs=1)
    mouse.move(box["x"] + 0.9 * box["width"], y, steps=2)
    assert look_through(visit)[0] == pytest.approx(20, abs=1), "a mouse that is not pressed moves nothing"


def test_the_slider_moves_by_finger(browser: Browser, path: Path) -> None:
    with open_file(browser, path, **PHONE) as visit:
        stack = visit.page.locator(".swipe .stack").first
        stack.scroll_into_view_if_needed()
        box = stack.bounding_box()
        assert box is not None
        hand, y = visit.page.context.new_cdp_session(visit.page), box["y"] + box["height"] / 3
        places = [{"x": box["x"] + share * box["width"], "y": y + 30 * share} for share in (0.5, 0.55, 0.6, 0.7, 0.8, 0.9)]
        for number, place in enumerate(places):
            hand.send("Input.dispatchTouchEvent", {"type": "touchMove" if number else "touchStart", "touchPoints": [place]})
            visit.page.wait_for_timeout(20)
        hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        value, left, right = look_through(visit)
        assert value == pytest.approx(90, abs=3)
        assert (left, right) == (False, False)


def test_without_its_script_the_page_tells_the_same(browser: Browser, path: Path) -> None:
    with open_file(browser, path, java_script_enabled=False) as visit:
        assert visit.page.locator(".swipe").count() == 0
        assert visit.page.locator(".pair figure svg").count() == 4
        assert visit.page.locator(".sortable tbody tr").count() == 1


# --- the table -------------------------------------------------------------------------------------------------------


def read_column(visit: Visit, number: int) -> list[str]:
    return visit.page.locator(f".sortable tbody td:nth-child({number})").all_inner_texts()


@pytest.mark.parametrize(
    ("column", "values"),
    [(6, AREAS), (4, DAYS), (2, [f"square-{day:%Y%m%d}" for day in DAYS])],
    ids=["area", "first seen", "alert"],
)
def test_a_click_on_a_heading_sorts(several_visit: Visit, column: int, values: Any) -> None:
    shown = dict(zip(values, read_column(several_visit, column), strict=True))
    heads = several_visit.page.locator(".sortable thead th")
    button = heads.nth(column - 1).get_by_role("button")
    for told, is_reverse in (("ascending", False), ("descending", True), ("ascending", False)):
        button.click()
        expected = [shown[value] for value in sorted(values, reverse=is_reverse)]
        assert read_column(several_visit, column) == expected
        assert heads.nth(column - 1).get_attribute("aria-sort") == told
        assert several_visit.page.locator("th[aria-sort$='ing']").count() == 1, "one column at a time"
    several_visit.page.keyboard.press("Enter")
    assert heads.nth(column - 1).get_attribute("aria-sort") == "descending", "the keyboard sorts too"


def test_a_line_of_the_table_leads_to_its_section(several_visit: Visit) -> None:
    page = several_visit.page
    page.locator(".sortable a").nth(1).click()
    assert page.evaluate("location.hash") == "#alert-2"
    assert page.locator("#alert-2 h2").is_visible()
    assert page.locator("#alert-2").evaluate("(part) => Math.abs(part.getBoundingClientRect().top) < 60")


# --- small screens and paper -----------------------------------------------------------------------------------------

LETTERS = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), part = walker.currentNode.parentElement;
    if (!text || !part.checkVisibility() || ["SCRIPT", "STYLE"].includes(part.tagName)) continue;
    let size = parseFloat(getComputedStyle(part).fontSize);
    if (part.ownerSVGElement) { const m = part.getScreenCTM(); size *= Math.hypot(m.a, m.b); }
    found.push([size, text.slice(0, 30), part.tagName]);
  }
  return found;
}"""

TARGETS = """() => [...document.querySelectorAll("button, input, summary, .sortable a")].filter((part) => part.checkVisibility())
  .map((part) => [part.tagName, part.innerText.slice(0, 20), part.offsetWidth, part.offsetHeight])"""


CARD = """() => [...document.querySelector(".sortable tbody tr").cells].map((cell) =>
  [getComputedStyle(cell, "::before").content.replaceAll('"', ""), cell.querySelector("span").getBoundingClientRect().right])"""

HEADINGS = "[...document.querySelectorAll('.sortable thead th')].map((head) => head.textContent)"


def test_it_can_be_read_on_a_phone(browser: Browser, several_path: Path) -> None:
    with open_file(browser, several_path, **PHONE) as visit:
        for details in visit.page.locator("summary").all():
            details.click()
        assert visit.measure("[document.documentElement.scrollWidth, innerWidth]") == [390, 390], "no sideways scrolling"
        assert [found for found in visit.measure(LETTERS) if found[0] < LEAST_LETTER] == []
        assert [found for found in visit.measure(TARGETS) if min(found[2:]) < LEAST_TARGET] == []
        tables = visit.measure("[...document.querySelectorAll('table')].map((t) => [t.scrollWidth, !!t.closest('.scroll')])")
        assert all(width <= 390 or is_boxed for width, is_boxed in tables)
        cards = visit.measure(
            "[...document.querySelectorAll('.sortable tbody tr')].map((row) => row.getBoundingClientRect().width)"
        )
        assert all(300 < width <= 390 for width in cards), "a card for each alert, all of it on the screen"
        cells = visit.measure(CARD)
        assert cells[0][0] == "No."
        assert [name for name, _ in cells] == visit.measure(HEADINGS)
        assert all(right <= 390 for _, right in cells)
        boxes = [figure.bounding_box() for figure in visit.page.locator("#alert-1 .pair").first.locator("figure").all()]
        assert all(box is not None and box["width"] > 330 for box in boxes), "images as wide as the screen"


def test_paper_shows_both_images_side_by_side(several_visit: Visit) -> None:
    page = several_visit.page
    page.emulate_media(media="print")
    assert not page.locator(".swipe").first.is_visible()
    before, after = (page.locator(f"#alert-1 figure.{when}").first.bounding_box() for when in ("before", "after"))
    assert before is not None
    assert after is not None
    assert before["y"] == after["y"]
    assert before["x"] + before["width"] <= after["x"]
    for part in ("#summary", "#map svg", "#table table", "#seen", "#alert-1 .facts", "#method"):
        assert page.locator(part).first.is_visible(), part
    assert "Copernicus Sentinel" in page.locator("body").inner_text()


def test_the_browsers_own_pdf_hides_nothing(several: ReportFacts, several_visit: Visit) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(io.BytesIO(several_visit.page.pdf(format="A4", print_background=True)))
    text = "".join(page.get_textpage().get_text_range() for page in document)
    for alert in several.alerts:
        assert re.sub(r"\s", "", alert.row["alert_id"]) in re.sub(r"\s", "", text)
    assert f"{several.looks[0].date}" in text, "what is folded on a screen is open on paper"
    lon, lat = several.alerts[0].outline.geoms[0].exterior.coords[0]
    assert f"{lat:.6f}" in text
    assert f"{lon:.6f}" in text
    for page in document:
        ink = np.asarray(page.render(scale=0.5).to_pil().convert("L")) < 200
        assert ink.sum() > 50, "no empty page"
        assert not ink[:, -8:].any(), "nothing runs over the edge"
    document.close()


# --- for everybody ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(browser: Browser, several_path: Path, options: dict[str, Any]) -> None:
    axe = pytest.importorskip("axe_core_python.base")
    with open_file(browser, several_path, **options) as visit:
        visit.measure(axe.AXE_SCRIPT)
        found = visit.measure("axe.run(document, {resultTypes: ['violations']})")
        rules = {rule["id"] for rule in found["passes"]}
        assert {"color-contrast", "label", "svg-img-alt", "heading-order", "html-has-lang"} <= rules
        faults = [(rule["id"], rule["impact"], rule["nodes"][0]["html"][:100]) for rule in found["violations"]]
        assert faults == []


def test_numbers_on_the_overview_stay_within_it(browser: Browser, facts: ReportFacts, tmp_path: Path) -> None:
    """Alerts in the corners of an area keep their numbers, at a desk and on a phone."""
    left, bottom, right, top = facts.grid.bounds
    places = [squares.TO_DEGREES.transform(x, y) for x in (left + 5, right - 5) for y in (bottom + 5, top - 5)]
    alerts = [
        replace(facts.alerts[0], number=n, position=make_position(lat, lon), images=None)
        for n, (lon, lat) in enumerate(places, 1)
    ]
    path = save(replace(facts, alerts=tuple(alerts)), tmp_path / "corners.html")
    for options in ({}, PHONE):
        with open_file(browser, path, **options) as visit:
            around, *marks = visit.measure(
                "[...document.querySelectorAll('#map svg, #map circle[stroke]')].map((part) => part.getBoundingClientRect())"
                ".map((box) => [box.left, box.top, box.right, box.bottom])"
            )
            assert len(marks) == 4
            for left, top, right, bottom in marks:
                assert around[0] <= left + 1
                assert around[1] <= top + 1
                assert right - 1 <= around[2]
                assert bottom - 1 <= around[3]


def test_headings_and_images_can_be_heard(several_visit: Visit) -> None:
    levels = several_visit.measure("[...document.querySelectorAll('h1, h2, h3, h4, h5')].map((head) => +head.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert several_visit.measure("[...document.images].every((image) => image.alt.length > 10)")
    names = several_visit.measure("[...document.querySelectorAll('svg')].map((m) => [m.getAttribute('role'), m.ariaLabel])")
    assert {role for role, _ in names[1:]} == {"img"}
    assert names[0][0] == "group", "the overview holds links, which an image cannot"
    assert all(len(name) > 10 for _, name in names)


@pytest.mark.parametrize("deficiency", ["deuteranopia", "protanopia", "tritanopia", "achromatopsia"])
def test_statuses_are_told_apart_without_some_colours(several_visit: Visit, deficiency: str) -> None:
    """By colour where that is seen, and always by word and by dashes."""
    page = several_visit.page
    eyes = page.context.new_cdp_session(page)
    eyes.send("Emulation.setEmulatedVisionDeficiency", {"type": deficiency})
    seen = {}
    for number, status in ((1, "confirmed"), (2, "provisional"), (4, "closed")):
        badge = page.locator(f"#alert-{number} .status")
        assert badge.inner_text() == ("confirmed by the method" if status == "confirmed" else status)
        seen[status] = find_border(shoot(badge))
    for one, other in (("confirmed", "provisional"), ("provisional", "closed")):
        assert deltaE_ciede2000(rgb2lab(seen[one] / 255), rgb2lab(seen[other] / 255)) > 15, (one, other)
    styles = [page.locator(f"#alert-{n} .status").evaluate("(badge) => getComputedStyle(badge).borderStyle") for n in (1, 2)]
    assert styles == ["solid", "dashed"]
    dashes = [page.locator(f"#alert-{n} svg.map path[stroke-dasharray]").count() > 0 for n in (1, 2)]
    assert dashes == [False, True]


def find_border(badge: Picture) -> NDArray[np.float64]:
    """Return the colour of a badge's border: the darkest of its first rows, since the provisional one has gaps."""
    edge = badge[:2].reshape(-1, 3)
    darkest: NDArray[np.float64] = np.median(edge[edge.sum(axis=1) <= np.percentile(edge.sum(axis=1), 30)], axis=0)
    return darkest


@pytest.mark.parametrize(
    ("language", "day", "hectares"),
    [
        ("en", "21 Jun 2021", "100.25"),
        ("es", "21 jun 2021", "100,25"),
        ("fr", "21 juin 2021", "100,25"),
        ("pt", "21 de jun. de 2021", "100,25"),
    ],
)
def test_dates_and_numbers_are_the_readers(
    browser: Browser, several: ReportFacts, tmp_path: Path, language: str, day: str, hectares: str
) -> None:
    alerts = (several.alerts[0], *(replace(alert, images=None, explanation=None) for alert in several.alerts[1:]))
    told = replace(several, request=replace(several.request, language=language), alerts=alerts)
    path = save(told, tmp_path / "report.html")
    with open_file(browser, path, locale="de-DE") as visit:
        assert visit.measure("document.documentElement.lang") == language
        row = visit.page.locator(".sortable tbody tr").first.inner_text()
        assert day in row
        assert re.search(rf"(?<!\d){hectares}(?!\d)", row)
        assert visit.page.locator("#alert-1 .facts").first.inner_text().count(hectares) == 1
        visit.page.locator(".sortable thead button").nth(5).click()
        assert read_column(visit, 1) == ["4", "5", "2", "3", "1"], "sorted by the number, however it is written"


def test_no_alert_is_said(browser: Browser, facts: ReportFacts, tmp_path: Path) -> None:
    with open_file(browser, save(replace(facts, alerts=()), tmp_path / "none.html")) as visit:
        words = visit.page.locator("#summary .none")
        assert words.is_visible()
        assert "There is no alert in this report." in words.inner_text()
        assert visit.page.locator(".calendar").is_visible(), "what was looked at"
        assert visit.page.locator("#map svg").is_visible()
        assert visit.complaints == []


def test_missing_images_are_explained_where_they_would_be(several_visit: Visit) -> None:
    page = several_visit.page
    one = page.locator("#alert-3 figure.before").first
    assert "Before." in one.inner_text()
    assert len(one.inner_text()) > 30
    assert page.locator("#alert-3 .swipe").count() == 0, "nothing to compare"
    both = page.locator("#alert-4 figure").first
    assert "the source of scenes did not answer" in both.inner_text()
    outline = find_colour(shoot(both.locator("svg")), COLOURS["closed"])
    assert outline.sum() > 300, "the outline is shown alone"


# --- pictures are right ----------------------------------------------------------------------------------------------
#
# Everything is measured in the picture of the page and compared with what is known of the ground; nothing is read out of
# the page's code. The mine in the image, a square of 200 m, tells how large a metre is.


MARGIN = 0.25
"""Share of a map at each side that holds its rose and its scale bar, and not the mine."""


@pytest.fixture(scope="module")
def figures(browser: Browser, path: Path) -> dict[str, Picture]:
    """Pictures of figures, two pixels of the picture for one of CSS; 'bare' ones without outline."""
    pictures = {}
    with open_file(browser, path, device_scale_factor=2) as visit:
        parts = {"map": visit.page.locator("#map svg")}
        for place, name in enumerate(("true", "false")):
            parts[name] = visit.page.locator("#alert-1 .pair").nth(place).locator("figure.after svg")
        pictures |= {name: shoot(part) for name, part in parts.items()}
        visit.measure("document.querySelectorAll('svg.map > :not(image)').forEach((mark) => mark.style.visibility = 'hidden')")
        pictures |= {f"{name} bare": shoot(part) for name, part in parts.items()}
    return pictures


@pytest.mark.parametrize("name", ["true", "false"])
def test_outline_and_image_line_up_on_the_screen(figures: dict[str, Picture], name: str) -> None:
    drawn = np.array(measure_sides(find_colour(figures[name], COLOURS["confirmed"], 60), MARGIN))
    shown = np.array(find_edges(figures[f"{name} bare"], MARGIN))
    pixel = (shown[2] - shown[0]) / 20
    assert pixel > 5, "a pixel of the image is some pixels of the screen"
    assert (shown[3] - shown[1]) / 20 == pytest.approx(pixel, rel=0.01), "squares stay squares"
    assert np.abs(drawn - shown).max() / pixel < 0.3


@pytest.mark.parametrize("name", ["true", "map"])
def test_the_scale_bar_on_the_screen_is_as_long_as_it_says(figures: dict[str, Picture], visit: Visit, name: str) -> None:
    picture = figures[name]
    dark = find_colour(picture, BAR, 40)
    height, width = dark.shape
    dark[: round(0.85 * height)], dark[:, width // 2 :] = False, False
    dark[round(0.98 * height) :], dark[:, : round(0.02 * width)] = False, False  # the outline of the area is dark too
    row, column, length = find_run(dark)
    left, top, right, _ = find_edges(figures[f"{name} bare"], MARGIN)
    size = 200 / (right - left)  # metres of the map grid for a pixel of the picture
    metres = squares.measure_distance((column - left) * size, (row - top) * size, length * size)
    part = "#map svg" if name == "map" else "#alert-1 svg"
    (label,) = re.findall(r"^([\d.]+) m$", visit.page.locator(part).first.text_content() or "", re.MULTILINE)
    assert metres == pytest.approx(float(label), rel=0.02)


@pytest.mark.parametrize("name", ["true", "false", "map"])
def test_the_rose_on_the_screen_points_to_true_north(figures: dict[str, Picture], name: str) -> None:
    picture = figures[name]
    corner = picture[: round(0.2 * len(picture)), round(0.8 * picture.shape[1]) :]
    assert find_tilt(find_colour(corner, NEEDLE, 40)) == pytest.approx(-squares.CONVERGENCE, abs=1.5)


# --- the bulletin ----------------------------------------------------------------------------------------------------


def test_a_bulletin_asks_for_nothing_and_fits_a_phone(
    browser: Browser, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = squares.make_square(tmp_path_factory)
    path = folder / "bulletin.html"
    for language in ("en", "fr"):
        request = BulletinRequest(parse_month("2021-07"), language=language)
        path.write_text(render_bulletin(gather_bulletin(workspace, request)), "utf-8")
        with open_file(browser, path, **PHONE) as visit:
            assert visit.complaints == []
            assert len(visit.requests) == 1, "the file itself"
            assert visit.measure("[document.documentElement.scrollWidth, innerWidth]") == [390, 390], "no sideways scrolling"
            mine = visit.measure("document.querySelector('#unit-1 svg.map path.outline:nth-of-type(3)').getBBox().width")
            metres, bar = visit.measure(
                "[Number(document.querySelector('#unit-1 svg.map').dataset.metres),"
                " Number(document.querySelector('#unit-1 svg.map .bar').getAttribute('width'))]"
            )
            assert mine / bar * metres == pytest.approx(200, rel=0.05), "the mine has its 200 m by the bar of the map"
