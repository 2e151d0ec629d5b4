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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.path import Path as Outline
from PIL import Image
from pyproj import Geod, Proj, Transformer

from minewatch.alerts.decisions import read_decisions
from minewatch.alerts.geopackage import updating
from minewatch.alerts.history import HistoryEvent
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.detection.monitor import COUNTED
from minewatch.operations.scan import ScanReport
from minewatch.products.evidence.stages import OutlineStage
from minewatch.products.images.chips import acquisitions
from minewatch.products.images.chips.pixels import read_chip
from minewatch.products.impact.assess import assess_impact, check_assumptions
from minewatch.products.impact.figures import Range
from minewatch.products.report import report_images
from minewatch.products.report.charts import Scale, draw_growth, draw_series, measure_growth
from minewatch.products.report.drawing import Map, draw_overview, draw_pairs, list_vertices
from minewatch.products.report.gather_facts import count_months, gather_facts
from minewatch.products.report.html_page import describe_event, render_page
from minewatch.products.report.impact_words import write_range
from minewatch.products.report.on_file import read_evidence
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.report_facts import EvidenceFacts, ReportFacts, ReportLook, ReportRequest
from minewatch.products.report.texts import FOLDER, read_texts
from minewatch.products.report.write import write_report
from minewatch.raster.read import open_datatake
from minewatch.settings.document import init_workspace
from minewatch.settings.impact import ImpactTable
from minewatch.settings.providers import Provider
from minewatch.sources.run_source import describe_source, find_run_source
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import make_source
from tests.helpers.places import ROOT
from tests.helpers.small import (
    MONITOR_FROM,
    NAME,
    UNTIL,
    copy_series,
    copy_workspace,
    make_scanned,
    make_series,
    name_scenes,
    scan_small,
)

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>&amp;{{7*7}}"

VOID = {"meta", "br", "wbr", "img", "input", "link"}


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
def facts(workspace: Workspace) -> ReportFacts:
    return gather_facts(workspace, ReportRequest(NAME))


@pytest.fixture(scope="module")
def html(facts: ReportFacts) -> str:
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


def test_the_summary_counts_what_stands(facts: ReportFacts, page: Page) -> None:
    standing = [alert.row for alert in facts.alerts if alert.row["status"] == "confirmed"]
    assert f"{sum(row['area_ha'] for row in standing):.2f}" in page.text
    assert "this is the first report on the area" in page.text


def test_alerts_are_shown_at_their_two_looks(facts: ReportFacts) -> None:
    """Before = the last normal look, after = the look that confirmed it; no other stands in for them."""
    for alert in facts.alerts:
        assert alert.images is not None
        assert alert.images.missing == {}
        before, after = alert.images.overpasses["before"], alert.images.overpasses["after"]
        assert (before.date, after.date) == (alert.row["last_normal"], alert.row["confirmed_on"])
        assert set(before.chips) == set(after.chips) == {"true-colour", "false-colour"}
        assert before.chips["true-colour"].values.shape == after.chips["true-colour"].values.shape
        assert before.scenes != after.scenes


def name_captions(page: str) -> list[str]:
    """Return the captions of the images of alerts, without the ids of scenes, in the order of the page."""
    found = re.findall(r'<figure class="(?:before|after)">.*?</figure>', page, re.DOTALL)
    texts = [re.sub(r"<svg.*?</svg>|<span.*|<[^>]*>", "", text, flags=re.DOTALL) for text in found]
    return [re.sub(r"\s+", " ", text).strip() for text in texts]


@pytest.mark.parametrize(
    ("language", "normal", "confirming", "latest"),
    [
        ("en", "the last normal look", "the look that confirmed it", "it is not confirmed"),
        ("es", "la última observación normal", "la observación que la confirmó", "no está confirmada"),
        ("fr", "la dernière observation normale", "l&#39;observation qui l&#39;a confirmée", "elle n&#39;est pas confirmée"),
        ("pt", "a última observação normal", "a observação que o confirmou", "não está confirmado"),
    ],
)
def test_each_image_says_its_day_and_which_look_it_is(
    facts: ReportFacts, language: str, normal: str, confirming: str, latest: str
) -> None:
    texts, first = read_texts(language), facts.alerts[0]
    facts = replace(facts, request=replace(facts.request, language=language), alerts=(first,))
    before, after = (texts.date(first.row[name]) for name in ("last_normal", "confirmed_on"))
    captions = name_captions(render_page(facts))
    assert len(captions) == 4
    for number, caption in enumerate(captions):
        day, look = ((before, normal), (after, confirming))[number % 2]
        assert day in caption
        assert look in caption
    assert first.images is not None
    provisional = replace(first, row=first.row | {"status": "provisional", "confirmed_on": None})
    told = name_captions(render_page(replace(facts, alerts=(provisional,))))
    assert latest in told[1]
    assert confirming not in told[1]


def test_an_alert_that_is_not_confirmed_is_shown_at_the_latest_look_that_shows_it(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    change_table(copy, "status = 'provisional', confirmed_on = NULL")
    for alert in gather_facts(copy, ReportRequest(NAME)).alerts:
        assert alert.images is not None
        assert alert.images.overpasses["after"].date == alert.row["last_seen"]


def test_without_a_normal_look_there_is_no_image_before(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    change_table(copy, "last_normal = NULL")
    facts = gather_facts(copy, ReportRequest(NAME))
    for alert in facts.alerts:
        assert alert.images is not None
        assert set(alert.images.overpasses) == {"after"}
    text = Page(render_page(facts)).text
    assert "no normal look at this ground is known" in text
    assert text.count("no normal look is known before") >= 2 * len(facts.alerts)
    assert facts.missing_images == 0
    assert run(copy, NAME).exit_code == 0, "it is not missing: there is none"


def change_table(workspace: Workspace, assignments: str) -> None:
    """Change rows of the table as a scan would have written them."""
    with updating(workspace.alerts) as connection:
        connection.execute(f"UPDATE alerts SET {assignments}")  # noqa: S608 - written in these tests


def test_report_and_evidence_show_the_same_looks(workspace: Workspace, facts: ReportFacts) -> None:
    page = Page(render_page(facts)).text
    for alert in facts.alerts:
        assert alert.images is not None
        assert alert.evidence is not None
        folder = workspace.evidence / alert.row["alert_id"]
        assert alert.evidence.name == folder.name
        data = (folder / "manifest.json").read_bytes()
        assert alert.evidence.manifests[folder.name] == hashlib.sha256(data).hexdigest()
        assert set(alert.evidence.manifests) == {folder.name, *(f"{folder.name}/{p.name}" for p in folder.glob("growth-*"))}
        assert all(sha in page for sha in alert.evidence.manifests.values())
        assert alert.drawn.day == alert.row["confirmed_on"], "the outline is that of the confirming look"
        images = json.loads(data)["images"]
        for when, overpass in alert.images.overpasses.items():
            assert images[when]["acquired"][:10] == overpass.date.isoformat()
            assert {source["id"] for source in images[when]["sources"]} == set(overpass.scenes)


def test_the_outline_on_the_images_is_of_the_day_that_is_said(facts: ReportFacts) -> None:
    """That of the look that confirmed it, where the evidence has it; else that of the table's as-of date, and so labelled."""
    first = replace(facts.alerts[0], evidence=None)
    assert (
        f"Outline as of 31 March 2023: {first.row['area_ha']:.2f} ha." in Page(render_page(replace(facts, alerts=(first,)))).text
    )
    smaller, day = first.outline.centroid.buffer(0.0003), first.row["confirmed_on"]
    kept = EvidenceFacts("spot", {"spot": "0" * 64}, {"after": day}, OutlineStage(day, smaller, 0.31))
    then = replace(first, evidence=kept)
    assert f"Outline as of {read_texts('en').date(day)}: 0.31 ha." in Page(render_page(replace(facts, alerts=(then,)))).text
    now, before = (draw_pairs(alert)["true-colour"]["after"].layers[0].path for alert in (first, then))
    assert now != before
    other = replace(first, evidence=replace(kept, stage=OutlineStage(UNTIL, smaller, 0.31)))
    assert draw_pairs(other)["true-colour"]["after"].layers[0].path == now, "of another look, so it is not the one to draw"


def test_growth_of_evidence_is_named_with_its_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "spot-20240101-abcdef"
    (folder / "growth-2024-05-01").mkdir(parents=True)
    (folder / "manifest.json").write_text("no json")
    (folder / "growth-2024-05-01" / "manifest.json").write_text("{}")
    kept = read_evidence(folder)
    assert list(kept.manifests) == [folder.name, f"{folder.name}/growth-2024-05-01"]
    assert kept.manifests[folder.name] == hashlib.sha256(b"no json").hexdigest()
    assert (kept.dates, kept.stage) == ({}, None), "a damaged manifest says nothing else"


NO_GREEN = {
    "en": ("True colour", "not the colours that the eye would see", "The source has no green band"),
    "es": ("Color natural", "no son los colores que vería el ojo", "La fuente no tiene banda verde"),
    "fr": ("Couleurs naturelles", "ne sont pas les couleurs que l'œil verrait", "La source n'a pas de bande verte"),
    "pt": ("Cor natural", "não são as cores que o olho veria", "A fonte não tem banda verde"),
}


@pytest.mark.parametrize("language", NO_GREEN)
def test_without_a_green_band_no_image_is_called_true_colour(
    facts: ReportFacts, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    true, of_map, of_pair = NO_GREEN[language]
    assert true in unescape(render_page(replace(facts, request=replace(facts.request, language=language))))
    for overpass in [facts.map.overpasses[report_images.AFTER], facts.alerts[0].images.overpasses[report_images.AFTER]]:
        for chip in overpass.chips.values():
            for scene in chip.look.datatake.scenes:
                monkeypatch.delitem(cast("dict[str, str]", scene.hrefs), "green", raising=False)
    text = unescape(render_page(replace(facts, alerts=facts.alerts[:1], request=replace(facts.request, language=language))))
    assert true not in text
    assert of_map in text
    assert text.count(of_pair) == 1


def change_first(facts: ReportFacts, **cells: Any) -> ReportFacts:
    """Return the facts of a report on the first alert alone, with other cells."""
    first = facts.alerts[0]
    return replace(facts, alerts=(replace(first, row=first.row | cells),))


BRACKET = {"last_normal": dt.date(2019, 7, 11), "first_seen": dt.date(2019, 8, 5)}


DAYS = {
    "en": "The ground changed between 11 July and 5 August 2019 (25 days).",
    "es": "El terreno cambió entre el 11 de julio y el 5 de agosto de 2019 (25 días).",
    "fr": "Le terrain a changé entre le 11 juillet et le 5 août 2019 (25 jours).",
    "pt": "O terreno mudou entre 11 de julho e 5 de agosto de 2019 (25 dias).",
}


def test_the_year_of_a_bracket_is_left_out_only_where_it_is_the_same(facts: ReportFacts) -> None:
    told = Page(render_page(change_first(facts, last_normal=dt.date(2018, 12, 31), first_seen=dt.date(2019, 1, 1)))).text
    assert "The ground changed between 31 December 2018 and 1 January 2019 (1 day)." in told


@pytest.mark.parametrize(
    ("language", "known", "opened"),
    [
        ("en", "between 11 July 2019 and 5 August 2019", "not later than 5 August 2019: no normal look is known before"),
        ("es", "entre el 11 de julio de 2019 y el 5 de agosto de 2019", "a más tardar el 5 de agosto de 2019: no se conoce"),
        ("fr", "entre le 11 juillet 2019 et le 5 août 2019", "au plus tard le 5 août 2019 : aucune observation normale"),
        ("pt", "entre 11 de julho de 2019 e 5 de agosto de 2019", "o mais tardar em 5 de agosto de 2019: não se conhece"),
    ],
)
def test_a_change_is_told_as_a_bracket(facts: ReportFacts, language: str, known: str, opened: str) -> None:
    facts = replace(facts, request=replace(facts.request, language=language))
    closed = Page(render_page(change_first(facts, **BRACKET))).text
    assert known in closed
    assert opened not in closed
    assert DAYS[language] in closed
    left_open = Page(render_page(change_first(facts, **BRACKET | {"last_normal": None}))).text
    assert opened in left_open


@pytest.mark.parametrize(
    ("language", "summary", "words"),
    [
        ("en", "1alert confirmed by the method since 1 October 2022", "green again since 12 May 2024"),
        (
            "es",
            "1alerta confirmada por el método desde el 1 de octubre de 2022",
            "terreno de nuevo verde desde el 12 de mayo de 2024",
        ),
        ("fr", "1alerte confirmée par la méthode depuis le 1er octobre 2022", "terrain reverdi depuis le 12 mai 2024"),
        ("pt", "1alerta confirmado pelo método desde 1 de outubro de 2022", "terreno verde de novo desde 12 de maio de 2024"),
    ],
)
def test_a_confirmed_alert_stays_in_the_report_when_its_ground_is_green_again(
    facts: ReportFacts, language: str, summary: str, words: str
) -> None:
    facts = replace(facts, request=replace(facts.request, language=language))
    green = {"status": "closed", "closed_on": dt.date(2024, 5, 12)}
    text = Page(render_page(change_first(facts, **green))).text
    assert summary in text
    assert text.count(words) >= 2, "in the table and in its section"
    merged = Page(render_page(change_first(facts, **green, merged_into="spot-other"))).text
    assert summary in merged
    assert words not in merged
    faded = Page(render_page(change_first(facts, **green, confirmed_on=None))).text
    assert summary not in faded


def test_an_overpass_is_opened_once_for_all_its_images(
    workspace: Workspace, facts: ReportFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(report_images, "open_datatake", lambda datatake: opened.append(datatake.key) or open_datatake(datatake))
    monkeypatch.setattr(acquisitions, "find_scenes", lambda *words: asked.append(words) or find_scenes(*words))
    told = gather_facts(workspace, ReportRequest(NAME))
    assert len(opened) == len(set(opened)), "none is opened twice"
    assert len(asked) == 1, "the catalogue is read once"
    for one, other in zip(told.alerts, facts.alerts, strict=True):
        assert one.images is not None
        assert other.images is not None
        for when, overpass in one.images.overpasses.items():
            assert overpass.chips["true-colour"].look.datatake.key in opened
            for name, chip in overpass.chips.items():
                alone = read_chip(chip.look, chip.frame, name)
                assert np.array_equal(chip.values, alone.values), "as read alone"
                assert np.array_equal(chip.values, other.images.overpasses[when].chips[name].values)


def test_no_other_look_stands_in_for_one_that_cannot_be_read(workspace: Workspace, facts: ReportFacts, tmp_path: Path) -> None:
    """Files of the look are cut off: the report says so in its place, on the terminal and by its exit code."""
    first = facts.alerts[0]
    assert first.images is not None
    chosen = first.images.overpasses["before"]
    copy = copy_workspace(workspace, tmp_path / "copy")
    (scene,) = chosen.chips["true-colour"].look.datatake.scenes
    series = tmp_path / "series"
    shutil.copytree(Path(scene.hrefs["red"]).parent.parent, series)
    (series / Path(scene.hrefs["red"]).parent.name / Path(scene.hrefs["red"]).name).write_bytes(b"cut off")
    answer = run(copy, "--alert", first.row["alert_id"], "--source", series, "-o", tmp_path / "out")
    assert answer.exit_code == 3
    (error,) = [line for line in answer.stderr.splitlines() if line.startswith("Error")]
    assert "1 image missing" in error
    assert scene.id in error
    (path,) = (tmp_path / "out").iterdir()
    text = Page(path.read_text()).text
    assert "could not be read when this report was made" in text
    assert "1 image is missing from this report" in text
    told = gather_facts(copy, ReportRequest(alert_id=first.row["alert_id"], source=str(series))).alerts[0]
    assert told.images is not None
    assert told.images.missing == {"before": "missing_unreadable"}
    assert told.images.overpasses["after"].date == first.images.overpasses["after"].date


# --- what it cost the land ---------------------------------------------------------------------------------------------


def test_what_it_cost_the_land_is_told_on_request_alone(workspace: Workspace, facts: ReportFacts, html: str) -> None:
    assert 'id="impact"' not in html
    rows = [alert.row for alert in facts.alerts]
    impact = assess_impact(workspace, rows, check_assumptions(ImpactTable(), "alluvial", "PE"))
    hectares = sum(row["area_ha"] for row in rows if row["confirmed_on"])
    assert hectares > 0
    texts = read_texts("es")
    page = Page(render_page(replace(facts, impact=impact, request=replace(facts.request, language="es"))))
    gold = [0.6080625 * hectares * share for share in (0.9, 1.1)]
    written = write_range(Range(*gold), texts)
    assert "," in written
    assert f"{written} kg" in page.text
    for key in ("impact_alluvial", "impact_formula_gold", "impact_ore_grade", "impact_lack_dug"):
        assert texts.text(key) in page.text
    assert "10.3390/ijerph182211869" in page.text


def test_what_it_cost_needs_a_country_and_nothing_is_written_without(workspace: Workspace, tmp_path: Path) -> None:
    assert run(workspace, NAME, "--country", "PE", "-o", tmp_path).exit_code == 2
    result = run(workspace, NAME, "--impact", "alluvial", "-o", tmp_path)
    assert result.exit_code == 1
    assert "give --country" in result.stderr
    assert list(tmp_path.iterdir()) == []


# --- the source -------------------------------------------------------------------------------------------------------


def name_another_source(workspace: Workspace, source: str) -> None:
    settings = workspace.settings.read_text()
    workspace.settings.write_text(re.sub(r'(?m)^source = ".*"', f'source = "{source}"', settings))


def test_images_are_read_where_the_scan_read(workspace: Workspace, tmp_path: Path) -> None:
    """As after ``scan --source X``: the settings name another source, which is not there."""
    copy = copy_workspace(workspace, tmp_path / "copy")
    name_another_source(copy, str(tmp_path / "gone" / "catalog.json"))
    assert run(copy, NAME).exit_code == 0
    told = gather_facts(copy, ReportRequest(NAME))
    assert told.missing_images == 0
    assert all(set(alert.images.overpasses) == {"before", "after"} for alert in told.alerts if alert.images)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"source": "earth-search", "source_root": "https://elsewhere.org/v1"}, "earth-search"),
        ({"source": "https://stac.org/v1", "source_root": "https://stac.org/v1"}, "https://stac.org/v1"),
        ({"source": "./series", "source_root": "series/catalog.json"}, "WORKSPACE/series/catalog.json"),
        ({"source": "./series", "source_root": "/data/series/catalog.json"}, "/data/series/catalog.json"),
        ({"source": "/not/here/catalog.json"}, "https://own.org/v1"),
        ({}, "https://own.org/v1"),
        (None, "https://own.org/v1"),
    ],
)
def test_the_source_of_a_run_is_found_again(tmp_path: Path, record: dict[str, str] | None, expected: str) -> None:
    """By name, since the settings have its secrets; a path in the workspace moves with it; without a record the settings' own."""
    workspace = init_workspace(tmp_path / "watch", source="https://own.org/v1")
    if record is not None:
        workspace.runs.mkdir(parents=True)
        (workspace.runs / "run-1.json").write_text(json.dumps(record))
    assert find_run_source(workspace, "run-1") == expected.replace("WORKSPACE", str(workspace.root))


def test_the_record_of_a_run_says_where_it_read_without_secrets(scanned: tuple[Workspace, ScanReport]) -> None:
    workspace, report = scanned
    record = json.loads((workspace.runs / f"{report.run_id}.json").read_text())
    assert find_run_source(workspace, report.run_id) == record["source_root"]
    assert Path(record["source_root"]).is_file()
    secret = make_source(Provider("https://stac.org/v1", "https://me:word@stac.org/v1?key=secret"), is_api=True)
    assert describe_source(workspace, secret) == {"source": "https://stac.org/v1", "source_root": "https://stac.org/v1"}
    inside = make_source(Provider("series", str(workspace.root.resolve() / "series" / "catalog.json")), is_api=False)
    assert describe_source(workspace, inside)["source_root"] == "series/catalog.json"


@pytest.mark.parametrize(
    ("language", "words", "meaning"),
    [
        ("en", "looks like bare pits: 0.86", "it does not say that there is a mine"),
        ("es", "se parece a fosas desnudas: 0,86", "no dice que haya una mina"),
        ("fr", "ressemble à des fosses nues\N{NO-BREAK SPACE}: 0,86", "elle ne dit pas qu'il y a une mine"),
        ("pt", "parece cavas nuas: 0,86", "não diz que há uma mina"),
    ],
)
def test_likeness_is_told_with_what_it_is_not(facts: ReportFacts, language: str, words: str, meaning: str) -> None:
    told = change_first(facts, mine_basis='{"score":0.86,"bare":0.3}')
    page = unescape(render_page(replace(told, request=replace(told.request, language=language))))
    assert words in page
    assert page.count(meaning) >= 2, "beside the score, and among the limits"


def test_the_calendar_counts_every_look(facts: ReportFacts) -> None:
    assert sum(month.looks for month in facts.months.values()) == len([look for look in facts.looks if look.valid > 0])
    months = count_months(
        [ReportLook(dt.date(2024, 5, day), ("x",), clear, valid) for day, clear, valid in ((1, 0.9, 1), (11, 0.2, 1), (21, 0, 0))]
    )
    assert months == {(2024, 5): replace(next(iter(months.values())), looks=2, clear=1, best=0.9)}


def test_growth_ends_at_the_confirmed_pixels(facts: ReportFacts) -> None:
    growth = measure_growth(facts.alerts)
    expected = 0.0
    for alert in facts.alerts:
        assert alert.explanation is not None
        expected += alert.row["area_ha"] * alert.explanation.looks[-1].confirmed_pixels / alert.explanation.pixels
    assert growth[-1][1] == pytest.approx(expected)
    assert [day for day, _ in growth] == sorted(day for day, _ in growth)


def test_the_outline_is_told_corner_by_corner(facts: ReportFacts, page: Page) -> None:
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
    told = gather_facts(copy, ReportRequest(NAME))
    assert told.last_report == dt.date(2023, 1, 1)
    assert {alert.row["alert_id"] for alert in told.alerts if alert.is_new} == set(ids[1:])
    write_report(copy, ReportRequest(NAME))
    again = gather_facts(copy, ReportRequest(NAME))
    assert again.last_report == dt.date(2023, 1, 1), "a report of the same date made twice tells the same"


def test_a_report_on_a_part_does_not_count_as_the_last_one(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    write_report(copy, ReportRequest(alert_id=read_alerts(copy.alerts)["alert_id"].iloc[0]))
    write_report(copy, ReportRequest(NAME, until=UNTIL))
    assert not (copy.reports / "reports.jsonl").exists()


# --- maps are right --------------------------------------------------------------------------------------------------


def list_maps(html: str) -> list[ET.Element]:
    """Read the maps as they stand on the page."""
    texts = re.findall(r'<svg class="map".*?</svg>', html, re.DOTALL)
    return [ET.fromstring(text.replace("xlink:href", "data-link")) for text in texts]  # noqa: S314 - written by us


def test_scale_bars_have_the_length_they_claim(facts: ReportFacts, html: str) -> None:
    frames = [facts.map.frame] + [alert.images.frame for alert in facts.alerts if alert.images for _ in range(4)]
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


def test_the_rose_points_to_true_north(facts: ReportFacts, html: str) -> None:
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


def test_outline_and_image_line_up(facts: ReportFacts) -> None:
    """Moved by a pixel to any side, the outline holds less of the change than where it lies."""
    alert = max(facts.alerts, key=lambda alert: alert.row["area_ha"])
    pair = draw_pairs(alert)["true-colour"]
    change = (decode(pair["after"].image) - decode(pair["before"].image)).mean(axis=-1)
    inside = fill(pair["after"])
    assert int(inside.sum()) == pytest.approx(alert.drawn.area_ha * 100, rel=0.02)
    found = {}
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            moved = np.roll(inside, (dy, dx), (0, 1))
            found[dy, dx] = change[moved].mean()
    dy, dx = max(found, key=lambda shift: found[shift])
    assert max(abs(dy), abs(dx)) <= 1


def test_the_overview_shows_each_alert_where_it_is(facts: ReportFacts) -> None:
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


def test_strangers_texts_stay_texts(workspace: Workspace, facts: ReportFacts, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    name = read_alerts(copy.alerts)["alert_id"].iloc[0]
    words = ["-w", str(copy.root), "alerts", "review", name, "--needs-visit", "--note", HOSTILE, "--by", HOSTILE]
    assert CliRunner().invoke(main, words).exit_code == 0
    reviewed = gather_facts(copy, ReportRequest(alert_id=name))
    first = facts.alerts[0]
    row = first.row | dict.fromkeys(("concession", "admin_unit", "witnesses", "scene_before", "review", "review_note"), HOSTILE)
    assert first.images is not None
    overpasses = {when: replace(overpass, scenes=(HOSTILE,)) for when, overpass in first.images.overpasses.items()}
    alert = replace(
        first,
        row=row | {"concession_ha": 1.0, "concession_pct": 10.0},
        images=replace(first.images, overpasses=overpasses),
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
    page = Page(render_page(gather_facts(workspace, ReportRequest(NAME, since=dt.date(2030, 1, 1)))))
    assert "There is no alert in this report." in page.text
    assert "does not prove that nothing happened" in page.text
    assert "overpasses of Sentinel-2 were examined" in page.text
    assert page.all("table"), "the calendar is there all the same"


def test_missing_images_are_explained(workspace: Workspace, tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "catalog.json"
    copy = copy_workspace(workspace, tmp_path / "copy")
    answer = run(copy, NAME, "--source", gone, "-o", tmp_path / "out")
    assert answer.exit_code == 3
    (error,) = [line for line in answer.stderr.splitlines() if line.startswith("Error")]
    assert "images missing" in error
    assert str(gone) in error
    (path,) = (tmp_path / "out").iterdir()
    page = Page(path.read_text())
    assert page.text.count("the source of scenes did not answer") >= len(read_alerts(workspace.alerts))
    assert not any("image/jpeg" in attributes.get("href", "") for attributes in page.all("image"))
    assert str(tmp_path) not in page.text, "a path of this machine is private"


def test_a_source_that_no_longer_lists_the_looks_is_told(
    workspace: Workspace, facts: ReportFacts, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = facts.alerts[0]
    assert first.images is not None
    (scene,) = first.images.overpasses["after"].chips["true-colour"].look.datatake.scenes
    series = make_series(tmp_path_factory)
    fewer = copy_series(series, tmp_path / "series", [name for name in name_scenes(series) if name != scene.id])
    told = gather_facts(workspace, ReportRequest(alert_id=first.row["alert_id"], source=str(fewer.catalog)))
    images = told.alerts[0].images
    assert images is not None
    assert images.missing == {"after": "missing_not_listed"}
    assert told.missing_images == 1
    assert "lists no scenes of" in told.reasons[0]
    assert "the source does not list the scenes of this look" in Page(render_page(told)).text


def test_a_lost_archive_is_explained(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    shutil.rmtree(copy.archive(NAME))
    for record in copy.runs.glob("*.json"):
        record.unlink()
    page = Page(render_page(gather_facts(copy, ReportRequest(NAME))))
    for text in (
        "there is no calendar",
        "There is no chart",
        "cannot say what became of each part of the area",
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


def list_forms(text: str | Mapping[str, str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


def list_places(text: str | Mapping[str, str]) -> set[str]:
    """The names in braces, which must be the same in all plural forms."""
    places = [{name for _, name, _, _ in string.Formatter().parse(form) if name} for form in list_forms(text)]
    assert all(found == places[0] for found in places)
    return places[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_whole(language: str) -> None:
    english, words = read_texts("en").words, read_texts(language).words
    assert set(words) == set(english)
    for key, text in words.items():
        assert list_places(text) == list_places(english[key]), key
        assert isinstance(text, str) or set(text) == {"one", "other"}, key
        for form in list_forms(text):
            assert form.strip() == form
            assert form
            assert language == "en" or len(form) < 30 or form not in list_forms(english[key]), key


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            [
                "0 alerts confirmed by the method since A",
                "1 alert confirmed by the method since A",
                "2 alerts confirmed by the method since A",
            ],
        ),
        (
            "es",
            [
                "0 alertas confirmadas por el método desde el A",
                "1 alerta confirmada por el método desde el A",
                "2 alertas confirmadas por el método desde el A",
            ],
        ),
        (
            "fr",
            [
                "0 alerte confirmée par la méthode depuis le A",
                "1 alerte confirmée par la méthode depuis le A",
                "2 alertes confirmées par la méthode depuis le A",
            ],
        ),
        (
            "pt",
            [
                "0 alerta confirmado pelo método desde A",
                "1 alerta confirmado pelo método desde A",
                "2 alertas confirmados pelo método desde A",
            ],
        ),
    ],
)
def test_numbers_have_the_plural_of_their_language(language: str, expected: list[str]) -> None:
    texts = read_texts(language)
    assert [f"{number} {texts.count('tile_confirmed', number, date='A')}" for number in (0, 1, 2)] == expected


def test_hectares_have_the_plural_of_what_is_written() -> None:
    assert read_texts("en").count("tile_hectares", 1.0, "#,##0.00") == "hectares still bare"
    assert read_texts("fr").count("tile_hectares", 1.99, "#,##0.00") == "hectare toujours nu"
    assert read_texts("es").count("tile_hectares", 0.4, "#,##0.00") == "hectáreas aún desnudas"


def test_statuses_in_the_summary_have_the_plural_of_their_language(facts: ReportFacts) -> None:
    two = (replace(facts.alerts[0], row=facts.alerts[0].row | {"status": "dismissed"}),) * 2
    for language, alone, several in (("es", "1 descartada", "2 descartadas"), ("fr", "1 écartée", "2 écartées")):
        request = replace(facts.request, language=language)
        assert f"{alone}. " in Page(render_page(replace(facts, request=request, alerts=two[:1]))).text
        assert f"{several}. " in Page(render_page(replace(facts, request=request, alerts=two))).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_and_its_per_cent_sign_stay_together(language: str) -> None:
    percent = read_texts(language).percent
    mark = "." if language == "en" else ","
    shares = {0: "0", 0.67: "67", 1: "100", 0.001: f"0{mark}1", 0.0000001: f"0{mark}01", 0.999999: f"99{mark}99"}
    assert {share: percent(share) for share in shares} == {share: f"{text}\N{NO-BREAK SPACE}%" for share, text in shares.items()}


def test_dates_are_written_as_in_a_letter() -> None:
    first, last = dt.date(2025, 1, 1), dt.datetime(2024, 12, 31, 4, 27, 11, tzinfo=dt.UTC)
    expected = {
        "en": ("1 January 2025", "1 Jan 2025", "31 December 2024, 04:27"),
        "es": ("1 de enero de 2025", "1 ene 2025", "31 de diciembre de 2024, 04:27"),
        "fr": ("1er janvier 2025", "1er janv. 2025", "31 décembre 2024, 04:27"),
        "pt": ("1 de janeiro de 2025", "1 de jan. de 2025", "31 de dezembro de 2024, 04:27"),
    }
    for language, written in expected.items():
        texts = read_texts(language)
        assert (texts.date(first), texts.short_date(first), texts.moment(last)) == written


def parse_chart(page: str, number: int) -> ET.Element:
    """Return a chart of a page."""
    return ET.fromstring(re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)[number])  # noqa: S314 - our own page


def read_scale(labels: Sequence[tuple[float, float]], place: float) -> float:
    """Return the value at a place of an axis, from the places and values of its labels."""
    (first, low), (last, high) = labels[0], labels[-1]
    return low + (place - first) * (high - low) / (last - first)


def test_the_chart_shows_what_the_record_says(facts: ReportFacts) -> None:
    """Read as a person does: by the numbers on its axes."""
    chart, told = parse_chart(render_page(facts), 1), facts.alerts[0].explanation
    assert told is not None
    days = [(float(text.get("x", 0)), dt.date.fromisoformat(f"{text.text}-01").toordinal())
            for text in chart.iter("text") if re.fullmatch(r"\d{4}-\d\d", text.text or "")]  # fmt: skip
    clear = [look for look in told.looks if look.clear and look.ndvi is not None]
    counted = [look for look in clear if look.outcome in COUNTED]
    assert len(counted) > 2
    panel = next(group for group in chart.iter("g") if group.get("data-name") == "NDVI")
    numbers = [(float(text.get("y", 0)) - 4, float((text.text or "").replace("\N{MINUS SIGN}", "-")))
               for text in panel.iter("text") if text.text != "NDVI"]  # fmt: skip
    drawn = {kind: [path.get("d", "") for path in panel.iter("path") if path.get("class") == kind] for kind in KINDS}
    (discs,), (diamonds,) = drawn["clear"], drawn["counted"]
    assert (discs.count("M"), diamonds.count("M")) == (len(clear), len(counted))
    for look, (x, y) in zip(clear, re.findall(r"M(-?[\d.]+) (-?[\d.]+)", discs), strict=True):
        assert read_scale(days, float(x) + 3) == pytest.approx(look.date.toordinal(), abs=1)
        assert read_scale(numbers, float(y)) == pytest.approx(look.ndvi, abs=0.01)
    for kind, day in (("last_normal", told.last_normal), ("first_seen", told.first_seen), ("confirmed_on", told.confirmed_on)):
        (line,) = drawn[kind]
        assert day is not None
        assert read_scale(days, float(line[1:].split(" ")[0])) == pytest.approx(day.toordinal(), abs=1)
    for edge, values in zip(drawn["edge"], (told.curve.low, told.curve.high), strict=True):
        points = [tuple(map(float, point.split(" "))) for point in edge[1:].split("L")]
        assert [read_scale(numbers, points[end][1]) for end in (0, -1)] == pytest.approx([values[0], values[-1]], abs=0.01)


KINDS = ("clear", "counted", "edge", "last_normal", "first_seen", "confirmed_on")


def test_a_chart_has_its_content_as_text(facts: ReportFacts) -> None:
    """For those who do not see it."""
    told, texts = facts.alerts[0].explanation, read_texts("en")
    assert told is not None
    assert told.last_normal is not None
    for chart in (parse_chart(render_page(facts), number) for number in (0, 1)):
        title = chart.findtext("title")
        assert chart.get("role") == "img"
        assert title
        assert (chart.get("aria-label") or "").startswith(title)
    assert f"last normal look: {texts.date(told.last_normal)}; first seen: {texts.date(told.first_seen)}" in (
        chart.findtext("desc") or ""
    )
    assert not list(chart.iter("image")), "nothing is encoded"


@pytest.mark.parametrize("language", LANGUAGES)
def test_axes_have_the_decimal_mark_of_the_language(facts: ReportFacts, language: str) -> None:
    texts, alert = read_texts(language), facts.alerts[0]
    assert alert.explanation is not None
    charts = draw_series(alert.explanation, texts), draw_growth(measure_growth([alert]), facts, texts)
    labels = [label for chart in charts for panel in chart.panels for _, label in panel.ticks]
    assert any(texts.decimal_mark in label for label in labels)
    assert not any(mark in label for label in labels for mark in {".", ","} - {texts.decimal_mark})


@pytest.mark.parametrize(
    ("first", "last", "some"),
    [
        ((2025, 1, 1), (2025, 2, 23), "2025-01-11"),
        ((2024, 1, 19), (2025, 2, 23), "2024-03"),
        ((2019, 5, 2), (2025, 2, 23), "2020-01"),
    ],
)
def test_an_axis_names_a_few_days(first: tuple[int, int, int], last: tuple[int, int, int], some: str) -> None:
    scale = Scale((to_day(dt.date(*first)), to_day(dt.date(*last))), [0, 1], 0, 100)
    labels = [label for _, label in scale.list_days()]
    assert some in labels
    assert 3 <= len(labels) <= 13


def test_four_languages_are_offered() -> None:
    assert LANGUAGES == ("en", "es", "fr", "pt")
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)


def test_the_template_uses_every_text_and_no_other() -> None:
    folder = FOLDER.parent
    code = "".join(path.read_text() for path in [*folder.glob("*.py"), *folder.glob("*.html")])
    prefixes = (
        *("count_", "status_", "legal_", "review_", "decided_", "ground_", "composite_", "series_", "event_", "column_"),
        *("by_name", "by_unknown", "fact_evidence_", "said_", "standing_"),
        *("why_", "witness_before", "witness_after", "witness_same", "witness_level_"),
        *("likeness_not_", "likeness_ground_", "likeness_looks", "likeness_partly", "likeness_unlike", "impact_country_stated"),
    )
    unused = [key for key in read_texts("en").words if f"'{key}'" not in code and f'"{key}"' not in code]
    impact = [*ROOT.glob("minewatch/products/impact/*.py"), ROOT / "minewatch/settings/impact.py", folder / "impact_words.py"]
    names = "".join(path.read_text() for path in [*impact, ROOT / "minewatch/settings/mining_kinds.py"])

    def is_of_impact(key: str) -> bool:
        """True if a text of the impact's is named after one of its figures, assumptions or gaps."""
        name = key.removeprefix("impact_").removeprefix("formula_").removeprefix("lack_")
        return key.startswith("impact_") and re.search(rf'"{name}"|\b{name}: ', names) is not None

    assert [key for key in unused if not key.startswith(prefixes) and not is_of_impact(key)] == []


def test_a_spanish_report_is_spanish(facts: ReportFacts) -> None:
    html = render_page(replace(facts, request=replace(facts.request, language="es")))
    text = Page(html).text
    assert '<html lang="es">' in html
    assert "Qué se examinó y qué no se pudo ver" in text
    assert "Situación al 31 de marzo de 2023" in text
    assert "31 mar 2023" in text
    for word in ("Summary", "Before", "confirmed", "first seen", "Alerts"):
        assert not re.search(rf"\b{word}\b", text), word


def test_events_are_told_in_the_readers_words() -> None:
    texts = read_texts("es")
    told = {
        HistoryEvent("spot-2", "grown", gained_ha=0.2, area_ha=1.5): "+0,20 ha → 1,50 ha",
        HistoryEvent(
            "spot-2", "confirmed", from_status="provisional", to_status="confirmed"
        ): "provisional → confirmada por el método",
        HistoryEvent("spot-2", "merged", merged_into="spot-1"): "→ spot-1",
        HistoryEvent("spot-2", "renamed", former_id="spot-1", what_if=True): "spot-1 → spot-2; análisis de prueba",
        HistoryEvent("spot-2", "new", to_status="confirmed"): "confirmada por el método",
        HistoryEvent("spot-2", "legal status", from_status="unknown", to_status="outside"): "desconocida → fuera de concesiones",
        HistoryEvent("spot-2", "reviewed", "dismissed; a -> b", to_status="dismissed"): (
            "dismissed; a -> b · día de la decisión no registrado"
        ),
    }
    for event, expected in told.items():
        assert describe_event(event, texts) == expected


# --- who says what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "machine", "person", "nobody"),
    [
        ("en", "confirmed by the method", "confirmed by Ana Quispe on 3 May 2024", "confirmed by a person who is not named"),
        (
            "es",
            "confirmada por el método",
            "confirmada por Ana Quispe el 3 de mayo de 2024",
            "confirmada por una persona sin nombrar",
        ),
        ("fr", "confirmée par la méthode", "confirmée par Ana Quispe le 3 mai 2024", "confirmée par une personne non nommée"),
        (
            "pt",
            "confirmado pelo método",
            "confirmado por Ana Quispe em 3 de maio de 2024",
            "confirmado por uma pessoa não nomeada",
        ),
    ],
)
def test_the_word_of_the_method_and_that_of_a_person_are_told_apart(
    facts: ReportFacts, language: str, machine: str, person: str, nobody: str
) -> None:
    facts = replace(facts, request=replace(facts.request, language=language))
    decided = {"review": "confirmed", "reviewed_by": "Ana Quispe", "decided_at": "2024-05-03T12:00:00+00:00"}
    alert = replace(facts.alerts[0], row=facts.alerts[0].row | decided)
    said = Page(render_page(replace(facts, alerts=(alert,)))).text
    assert said.count(person) == 2, "in the table and in its section"
    assert machine in said
    alone = replace(alert, row=alert.row | {"reviewed_by": None, "decided_at": None})
    assert nobody in Page(render_page(replace(facts, alerts=(alone,)))).text
    unseen = replace(alert, row=alert.row | {"review": None, "reviewed_by": None, "decided_at": None})
    text = Page(render_page(replace(facts, alerts=(unseen,)))).text
    assert machine in text
    assert "Quispe" not in text


def test_a_review_is_told_with_its_day(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    name = read_alerts(copy.alerts)["alert_id"].iloc[0]
    words = ["-w", str(copy.root), "alerts", "review", name, "--confirm", "--by", "Ana Quispe"]
    assert CliRunner().invoke(main, words).exit_code == 0
    decided = read_decisions(copy.decisions).all[-1].decided
    assert decided is not None
    text = Page(render_page(gather_facts(copy, ReportRequest(NAME)))).text
    assert text.count(f"confirmed by Ana Quispe on {read_texts('en').date(decided.date())}") == 2


def test_case_author_and_organisation_stand_at_the_head(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    words = ("--case", "2024-117 <b>", "--author", " Ana  Quispe", "--organisation", "Fiscalía Ambiental", "-o", tmp_path / "out")
    assert run(copy, NAME, *words).exit_code == 0
    (path,) = (tmp_path / "out").iterdir()
    page = Page(path.read_text())
    head = page.text[: page.text.index("Summary")]
    assert "Case: 2024-117 <b> · Author: Ana Quispe · Organisation: Fiscalía Ambiental" in re.sub(r"\s+", " ", head)
    assert [meta["content"] for meta in page.all("meta") if meta.get("name") == "author"] == ["Ana Quispe"]
    assert "Case:" not in Page(render_page(gather_facts(workspace, ReportRequest(NAME)))).text


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
        ((NAME, "--case", "x" * 121), "--case: give one line of at most 120"),
        ((NAME, "--author", "a\x1b[31m"), "--author: give one line"),
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


def test_the_outline_is_short_on_paper(facts: ReportFacts, html: str) -> None:
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
    told = gather_facts(copy, ReportRequest(NAME))
    assert {alert.row["run_id"] for alert in told.alerts} == {told.run_id}
    assert told.visibility.shares is not None
    assert sum(told.visibility.shares.values()) == pytest.approx(1, abs=0.001)
