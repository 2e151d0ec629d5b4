"""A report tells what the table and the archive hold, in one file that asks for nothing."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import importlib
import io
import json
import math
import re
import shutil
import string
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.path import Path as Outline
from PIL import Image
from pyproj import Geod, Proj, Transformer

from minewatch.alerts.history import HistoryEvent
from minewatch.alerts.table import read_alerts
from minewatch.catalog import find_scenes
from minewatch.chips import album, read_chip
from minewatch.cli import main
from minewatch.read import open_datatake
from minewatch.report import LANGUAGES, Request, gather_facts, render_page, scenery, write_report
from minewatch.report.drawing import Map, draw_overview, draw_pairs, list_vertices, measure_growth
from minewatch.report.facts import count_months
from minewatch.report.page import describe_event
from minewatch.report.record import Facts, Look
from minewatch.report.texts import FOLDER, read_texts
from minewatch.scan import ScanReport
from minewatch.workspace import Workspace
from tests.helpers.small import MONITOR_FROM, NAME, UNTIL, copy_workspace, make_scanned, scan_small

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>&amp;{{7*7}}"

VOID = {"meta", "br", "img", "input", "link"}


class Page(HTMLParser):
    """Reads a page as a browser would: elements with their attributes, and the text outside of styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is closed out of order"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    workspace, report = make_scanned(tmp_path_factory)
    return copy_workspace(workspace, tmp_path_factory.mktemp("report") / "watch"), report  # reports are logged


@pytest.fixture(scope="module")
def workspace(scanned: tuple[Workspace, ScanReport]) -> Workspace:
    """A scanned workspace that no test may change."""
    return scanned[0]


@pytest.fixture(scope="module")
def facts(workspace: Workspace) -> Facts:
    return gather_facts(workspace, Request(NAME))


@pytest.fixture(scope="module")
def html(facts: Facts) -> str:
    return render_page(facts)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "report", *map(str, words)], catch_exceptions=False)


# --- what it tells ---------------------------------------------------------------------------------------------------


def test_every_alert_is_in_the_table_with_area_date_and_position(workspace: Workspace, page: Page, html: str) -> None:
    table = read_alerts(workspace.alerts)
    assert len(table) > 0
    for row in table.to_dict("records"):
        assert row["alert_id"] in page.text
        assert f"{row['lat']:.6f}" in page.text
        assert f"{row['lon']:.6f}" in page.text
        assert f'data-value="{row["first_seen"].date()}"' in html
    assert page.open == [], "every element is closed"


def test_the_summary_counts_what_stands(facts: Facts, page: Page) -> None:
    standing = [alert.row for alert in facts.alerts if alert.row["status"] in ("confirmed", "provisional")]
    assert f"{sum(row['area_ha'] for row in standing):.2f}" in page.text
    assert "this is the first report on the area" in page.text


def test_alerts_come_with_before_and_after(facts: Facts) -> None:
    for alert in facts.alerts:
        assert alert.scenery is not None
        assert alert.scenery.missing == {}
        before, after = alert.scenery.photos["before"], alert.scenery.photos["after"]
        assert before.date < alert.row["first_seen"] < after.date <= UNTIL
        assert set(before.chips) == set(after.chips) == {"true-colour", "false-colour"}
        assert before.chips["true-colour"].values.shape == after.chips["true-colour"].values.shape
        assert before.scenes != after.scenes


def test_an_overpass_is_opened_once_for_all_its_images(
    workspace: Workspace, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(scenery, "open_datatake", lambda take: opened.append(take.key) or open_datatake(take))
    monkeypatch.setattr(album, "find_scenes", lambda *words: asked.append(words) or find_scenes(*words))
    told = gather_facts(workspace, Request(NAME))
    assert len(opened) == len(set(opened)), "none is opened twice"
    assert len(asked) == 1, "the catalogue is read once"
    for one, other in zip(told.alerts, facts.alerts, strict=True):
        assert one.scenery is not None
        assert other.scenery is not None
        for when, photo in one.scenery.photos.items():
            assert photo.chips["true-colour"].look.take.key in opened
            for name, chip in photo.chips.items():
                alone = read_chip(chip.look, chip.frame, name)
                assert np.array_equal(chip.values, alone.values), "as read alone"
                assert np.array_equal(chip.values, other.scenery.photos[when].chips[name].values)


def test_the_next_best_image_stands_in_for_one_that_cannot_be_read(workspace: Workspace, facts: Facts, tmp_path: Path) -> None:
    """Files of the chosen overpass are cut off; the report takes another one, and says so on the terminal."""
    first = facts.alerts[0]
    assert first.scenery is not None
    chosen = first.scenery.photos["before"]
    copy = copy_workspace(workspace, tmp_path / "copy")
    (scene,) = chosen.chips["true-colour"].look.take.scenes
    series = tmp_path / "series"
    shutil.copytree(Path(scene.hrefs["red"]).parent.parent, series)
    (series / Path(scene.hrefs["red"]).parent.name / Path(scene.hrefs["red"]).name).write_bytes(b"cut off")
    copy.settings.write_text(re.sub(r'(?m)^source = ".*"', f'source = "{series / "catalog.json"}"', copy.settings.read_text()))
    told = next(alert for alert in gather_facts(copy, Request(NAME)).alerts if alert.row["alert_id"] == first.row["alert_id"])
    assert told.scenery is not None
    assert told.scenery.missing == {}
    assert told.scenery.photos["before"].date < chosen.date
    assert told.scenery.photos["after"].date == first.scenery.photos["after"].date


def test_the_calendar_counts_every_look(facts: Facts) -> None:
    assert sum(month.looks for month in facts.months.values()) == len([look for look in facts.looks if look.valid > 0])
    months = count_months(
        [Look(dt.date(2024, 5, day), ("x",), clear, valid) for day, clear, valid in ((1, 0.9, 1), (11, 0.2, 1), (21, 0, 0))]
    )
    assert months == {(2024, 5): replace(next(iter(months.values())), looks=2, clear=1, best=0.9)}


def test_growth_ends_at_the_confirmed_pixels(facts: Facts) -> None:
    growth = measure_growth(facts.alerts)
    expected = 0.0
    for alert in facts.alerts:
        assert alert.explanation is not None
        expected += alert.row["area_ha"] * alert.explanation.looks[-1].confirmed_pixels / alert.explanation.pixels
    assert growth[-1][1] == pytest.approx(expected)
    assert [day for day, _ in growth] == sorted(day for day, _ in growth)


def test_the_outline_is_told_corner_by_corner(facts: Facts, page: Page) -> None:
    alert = facts.alerts[0]
    corners = list_vertices(alert.outline)
    assert (corners[0][3], corners[0][4]) != (corners[-1][3], corners[-1][4]), "the first corner is not repeated"
    for *_, lat, lon in corners:
        assert f"{lat:.6f}" in page.text
        assert f"{lon:.6f}" in page.text


def test_a_second_report_tells_what_is_new(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    ids = read_alerts(copy.alerts)["alert_id"].tolist()
    record = {"aoi": NAME, "as_of": "2023-01-01", "alerts": ids[:1]}
    copy.reports.mkdir()
    (copy.reports / "reports.jsonl").write_text(json.dumps(record) + "\nbroken\n")
    told = gather_facts(copy, Request(NAME))
    assert told.last_report == dt.date(2023, 1, 1)
    assert {alert.row["alert_id"] for alert in told.alerts if alert.is_new} == set(ids[1:])
    write_report(copy, Request(NAME))
    again = gather_facts(copy, Request(NAME))
    assert again.last_report == dt.date(2023, 1, 1), "a report of the same date made twice tells the same"


def test_a_report_on_a_part_does_not_count_as_the_last_one(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    write_report(copy, Request(alert_id=read_alerts(copy.alerts)["alert_id"].iloc[0]))
    write_report(copy, Request(NAME, until=UNTIL))
    assert not (copy.reports / "reports.jsonl").exists()


# --- maps are right --------------------------------------------------------------------------------------------------


def list_maps(html: str) -> list[ET.Element]:
    """Read the maps as they stand on the page."""
    texts = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    return [ET.fromstring(text.replace("xlink:href", "data-link")) for text in texts]  # noqa: S314 - written by us


def test_scale_bars_have_the_length_they_claim(facts: Facts, html: str) -> None:
    frames = [facts.map.frame] + [alert.scenery.frame for alert in facts.alerts if alert.scenery for _ in range(4)]
    maps = list_maps(html)
    assert len(maps) == len(frames)
    for svg, frame in zip(maps, frames, strict=True):
        (bar,) = [element for element in svg.iter("rect") if element.get("class") == "bar"]
        x, y, width = (float(bar.get(name) or "nan") for name in ("x", "y", "width"))
        ends = [frame.transform @ (x + step, y + float(bar.get("height") or "nan") / 2) for step in (0, width)]
        lons, lats = Transformer.from_crs(frame.crs, 4326, always_xy=True).transform(*zip(*ends, strict=True))
        metres = Geod(ellps="WGS84").inv(lons[0], lats[0], lons[1], lats[1])[2]
        assert metres == pytest.approx(float(svg.get("data-metres") or "nan"), rel=0.001)
        (label,) = [
            text.text for text in svg.iter("text") if (text.text or "").endswith(" m") or (text.text or "").endswith("km")
        ]
        assert label in (f"{metres:.0f} m", f"{metres / 1000:.0f} km")


def test_the_rose_points_to_true_north(facts: Facts, html: str) -> None:
    alert = facts.alerts[0]
    expected = -Proj(facts.grid.crs).get_factors(alert.position.lon, alert.position.lat).meridian_convergence
    for svg in list_maps(html):
        (rose,) = [element for element in svg.iter("g") if element.get("class") == "rose"]
        turned = float((rose.get("transform") or "").split("rotate(")[1].split(")")[0])
        assert turned == pytest.approx(expected, abs=0.02)
        assert abs(expected) > 0.05, "else this proves nothing"
        (needle,) = [element for element in rose.iter("path") if element.get("class") == "needle"]
        points = np.array([[float(v) for v in point.split()] for point in re.split("[MLZ]", needle.get("d") or "") if point])
        assert points[points[:, 1].argmin()].tolist() == [0, points[:, 1].min()], "its tip is straight up before it is turned"


def decode(image: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image.split(",")[1]))).convert("RGB")).astype(float)


def fill(drawn: Map) -> np.ndarray[Any, Any]:
    """Tell which pixels of a map lie inside its outline."""
    inside = np.zeros((drawn.height, drawn.width), bool)
    centres = np.stack(np.meshgrid(np.arange(drawn.width) + 0.5, np.arange(drawn.height) + 0.5), axis=-1).reshape(-1, 2)
    for ring in filter(None, re.split("[MZ]+", drawn.layers[0].path)):
        points = [[float(v) for v in point.split()] for point in ring.split("L")]
        inside ^= Outline(points).contains_points(centres).reshape(inside.shape)
    return inside


def test_outline_and_image_line_up(facts: Facts) -> None:
    """Moved by a pixel to any side, the outline holds less of the change than where it lies."""
    alert = max(facts.alerts, key=lambda alert: alert.row["area_ha"])
    pair = draw_pairs(alert)["true-colour"]
    change = (decode(pair["after"].image) - decode(pair["before"].image)).mean(axis=-1)
    inside = fill(pair["after"])
    assert int(inside.sum()) == pytest.approx(alert.row["area_ha"] * 100, rel=0.02)
    found = {}
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            moved = np.roll(inside, (dy, dx), (0, 1))
            found[dy, dx] = change[moved].mean()
    dy, dx = max(found, key=lambda shift: found[shift])
    assert max(abs(dy), abs(dx)) <= 1


def test_the_overview_shows_each_alert_where_it_is(facts: Facts) -> None:
    overview = draw_overview(facts)
    to_lonlat = Transformer.from_crs(facts.grid.crs, 4326, always_xy=True)
    for layer in overview.layers[1:]:
        alert = facts.alerts[int(layer.label) - 1]
        lon, lat = to_lonlat.transform(*(facts.map.frame.transform @ layer.spot))
        assert math.dist((lon, lat), (alert.position.lon, alert.position.lat)) < 1e-4


# --- one file, no strangers ------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere(html: str, page: Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), attributes
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    assert "url(" not in html
    assert page.all("link") == []


def test_the_policy_lets_only_our_style_and_script_run(html: str, page: Page) -> None:
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_links_lead_somewhere(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {attributes["href"][1:] for attributes in page.all("a")}
    assert links
    assert links <= ids


def test_strangers_texts_stay_texts(workspace: Workspace, facts: Facts, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    name = read_alerts(copy.alerts)["alert_id"].iloc[0]
    words = ["-w", str(copy.root), "alerts", "review", name, "--needs-visit", "--note", HOSTILE, "--by", HOSTILE]
    assert CliRunner().invoke(main, words).exit_code == 0
    reviewed = gather_facts(copy, Request(alert_id=name))
    first = facts.alerts[0]
    row = first.row | dict.fromkeys(("concession", "admin_unit", "witnesses", "scene_before", "review", "review_note"), HOSTILE)
    assert first.scenery is not None
    photos = {when: replace(photo, scenes=(HOSTILE,)) for when, photo in first.scenery.photos.items()}
    alert = replace(
        first,
        row=row | {"concession_ha": 1.0, "concession_pct": 10.0},
        scenery=replace(first.scenery, photos=photos),
        events=(HistoryEvent("spot", HOSTILE, HOSTILE, as_of=UNTIL),),
    )
    forged = replace(facts, alerts=(alert,), pipeline=HOSTILE, run_id=HOSTILE)
    for told in (reviewed, forged):
        for language in LANGUAGES:
            page = Page(render_page(replace(told, request=replace(told.request, language=language))))
            assert len(page.all("script")) == 1
            assert all(image["src"].startswith("data:image/") for image in page.all("img"))
            assert page.open == []
            assert HOSTILE in page.text, "it is shown as it was written"


# --- when something is missing ---------------------------------------------------------------------------------------


def test_no_alert_is_an_answer(workspace: Workspace) -> None:
    page = Page(render_page(gather_facts(workspace, Request(NAME, since=dt.date(2030, 1, 1)))))
    assert "There is no alert in this report." in page.text
    assert "no proof that nothing happened" in page.text
    assert "overpasses of Sentinel-2 were looked at" in page.text
    assert page.all("table"), "the calendar is there all the same"


def test_missing_images_are_explained(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    settings = copy.settings.read_text()
    copy.settings.write_text(re.sub(r'(?m)^source = ".*"', f'source = "{tmp_path / "gone" / "catalog.json"}"', settings))
    told = gather_facts(copy, Request(NAME))
    page = Page(render_page(told))
    assert "the source of scenes did not answer" in page.text
    assert not any("image/jpeg" in attributes.get("href", "") for attributes in page.all("image"))
    assert str(tmp_path) not in page.text
    assert any("gone" in note for note in told.notes)


def test_a_lost_archive_is_explained(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    shutil.rmtree(copy.archive(NAME))
    for record in copy.runs.glob("*.json"):
        record.unlink()
    page = Page(render_page(gather_facts(copy, Request(NAME))))
    for text in (
        "a calendar cannot be given",
        "The series cannot be given",
        "what became of each part of the area cannot be told",
    ):
        assert text in page.text


def test_an_area_without_scan_is_one_line(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    shutil.copy(copy.aois / f"{NAME}.geojson", copy.aois / "other.geojson")
    for words, expected in (
        (("other",), "never scanned"),
        (("nowhere",), "there is no area"),
        (("--alert", "nothing-1"), "there is no alert"),
    ):
        answer = run(copy, *words)
        assert answer.exit_code == 1
        assert len(answer.stderr.strip().splitlines()) == 1
        assert expected in answer.stderr
        assert answer.stdout == ""
    assert not copy.reports.exists()


# --- languages -------------------------------------------------------------------------------------------------------


def list_places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_whole(language: str) -> None:
    english, words = read_texts("en").words, read_texts(language).words
    assert set(words) == set(english)
    for key, text in words.items():
        assert list_places(text) == list_places(english[key]), key
        assert text.strip() == text
        assert text
        assert language == "en" or len(text) < 30 or text != english[key], key


def test_four_languages_are_offered() -> None:
    assert LANGUAGES == ("en", "es", "fr", "pt")
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)


def test_the_template_uses_every_text_and_no_other() -> None:
    folder = FOLDER.parent
    code = "".join(path.read_text() for path in [*folder.glob("*.py"), folder / "page.html"])
    prefixes = ("status_", "legal_", "review_", "ground_", "composite_", "series_", "event_", "column_")
    unused = [key for key in read_texts("en").words if f"'{key}'" not in code and f'"{key}"' not in code]
    assert [key for key in unused if not key.startswith(prefixes)] == []


def test_a_spanish_report_is_spanish(facts: Facts) -> None:
    html = render_page(replace(facts, request=replace(facts.request, language="es")))
    text = Page(html).text
    assert '<html lang="es">' in html
    assert "Qué se observó y qué no se pudo ver" in text
    assert "31 mar 2023" in text
    for word in ("Summary", "Before", "confirmed", "first seen", "Alerts"):
        assert not re.search(rf"\b{word}\b", text), word


def test_events_are_told_in_the_readers_words() -> None:
    texts = read_texts("es")
    told = {
        HistoryEvent("spot-2", "grown", gained_ha=0.2, area_ha=1.5): "+0,20 ha → 1,50 ha",
        HistoryEvent("spot-2", "confirmed", from_status="provisional", to_status="confirmed"): "provisional → confirmada",
        HistoryEvent("spot-2", "merged", merged_into="spot-1"): "→ spot-1",
        HistoryEvent("spot-2", "renamed", former_id="spot-1", what_if=True): "spot-1 → spot-2; análisis de prueba",
        HistoryEvent("spot-2", "new", to_status="confirmed"): "confirmada",
        HistoryEvent("spot-2", "legal status", from_status="unknown", to_status="outside"): "desconocida → fuera de concesiones",
        HistoryEvent("spot-2", "reviewed", "dismissed; a -> b", to_status="dismissed"): "dismissed; a -> b",
    }
    for event, expected in told.items():
        assert describe_event(event, texts) == expected


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_one_private_file(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    answer = run(copy, NAME)
    (line,) = answer.stdout.splitlines()
    path = Path(line)
    assert answer.exit_code == 0
    assert path == copy.reports / f"{NAME}-{UNTIL}.html"
    assert path.stat().st_mode & 0o077 == 0
    assert path.stat().st_size < 2_000_000
    told = json.loads(run(copy, NAME, "--lang", "fr", "--since", str(MONITOR_FROM), "--json", "-o", tmp_path / "out").stdout)
    assert told["files"] == [str(tmp_path / "out" / f"{NAME}-{UNTIL}-{MONITOR_FROM}-to-{UNTIL}-fr.html")]
    assert told["alerts"] == len(read_alerts(copy.alerts))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "give either an area or --alert"),
        ((NAME, "--alert", "x"), "give either an area or --alert"),
        ((NAME, "--format", "docx"), "docx cannot be written"),
        ((NAME, "--format", ","), "nothing cannot be written"),
        ((NAME, "--lang", "de"), "'de' is not one of"),
        ((NAME, "--since", "2024-02-01", "--until", "2024-01-01"), "is before --since"),
        (("--alert", "x", "--since", "2024-02-01"), "leave them out with --alert"),
    ],
)
def test_wrong_use_is_explained(workspace: Workspace, words: tuple[str, ...], expected: str) -> None:
    answer = run(workspace, *words)
    assert answer.exit_code == 2
    assert expected in answer.stderr


@pytest.mark.parametrize(
    ("error", "expected"), [(ImportError("weasyprint"), "minewatch[pdf]"), (OSError("cannot load pango"), "Pango")]
)
def test_without_pango_there_is_still_the_page(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    real = importlib.import_module

    def fail(name: str, package: str | None = None) -> Any:
        if name.startswith("weasyprint"):
            raise error
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", fail)
    answer = run(workspace, NAME, "--since", "2030-01-01", "--format", "pdf", "-o", tmp_path)
    assert answer.exit_code == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".html"]
    errors = [line for line in answer.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1
    assert expected in errors[0]


def test_the_pdf_has_pages_with_images(workspace: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint", reason="WeasyPrint is not installed", exc_type=(ImportError, OSError))
    answer = run(workspace, "--alert", read_alerts(workspace.alerts)["alert_id"].iloc[0], "--format", "html,pdf", "-o", tmp_path)
    assert answer.exit_code == 0, answer.stderr
    (path,) = tmp_path.glob("*.pdf")
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Subtype /Image") + data.count(b"/Subtype/Image") >= 5, "map, four images of the alert"


def test_the_outline_is_short_on_paper(facts: Facts, html: str) -> None:
    """Three corners stand in a row of the table, each with its number, and none is missing."""
    alert = facts.alerts[0]
    (table,) = re.findall(r'<details id="corners-1".*?</details>', html, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    told = [tuple(row[start : start + 3]) for row in cells for start in range(0, len(row), 4)]
    assert told == [(str(n), f"{lat:.6f}", f"{lon:.6f}") for _, _, n, lat, lon in list_vertices(alert.outline)]
    assert max(len(row) for row in cells) == 12
    assert alert.position.utm.startswith(re.findall(r"UTM (\d+ [NS])</th>", table)[0])


def test_scans_and_reports_agree_after_another_scan(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    scan_small(copy)
    told = gather_facts(copy, Request(NAME))
    assert {alert.row["run_id"] for alert in told.alerts} == {told.run_id}
    assert told.sight.shares is not None
    assert sum(told.sight.shares.values()) == pytest.approx(1, abs=0.001)
