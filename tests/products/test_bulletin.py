"""A bulletin counts what became of the ground in a month, as it was known then, and keeps "none" and "could not see" apart."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import shutil
import string
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import shapely
from click.testing import CliRunner, Result
from shapely.geometry import MultiPolygon, box, mapping

from minewatch.alerts.as_known import replay_as_known
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import Alert
from minewatch.archive.item import list_observations, sort_observations
from minewatch.archive.stack import read_stack
from minewatch.areas.aoi import Aoi, measure_area_ha, read_aoi, write_aoi
from minewatch.areas.grid import make_grid
from minewatch.cli import main
from minewatch.core.errors import ReportError
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import EPISODE
from minewatch.detection.change_record import NAME as RECORD
from minewatch.detection.mask import find_clear
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.products.bulletin.bulletin_facts import BulletinFacts, BulletinRequest, Count, Sight
from minewatch.products.bulletin.comparison import compare_alerts
from minewatch.products.bulletin.gather import gather_bulletin
from minewatch.products.bulletin.page import render_bulletin
from minewatch.products.bulletin.period import Period, parse_month
from minewatch.products.bulletin.wording import FOLDER, describe_count, describe_sight, read_bulletin_texts
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.texts import read_texts
from minewatch.settings.pipeline import read_pipeline
from tests.helpers.small import MONITOR_FROM, NAME, UNTIL, copy_workspace, make_scanned, scan_small
from tests.helpers.tables import make_alert

HOSTILE = "=1+1<script>document.title='owned'</script>"

QUIET = dt.date(2023, 4, 25)
"""A day of a month in which no satellite passed."""

SEEN, HALF_SEEN = Sight({"seen": 1.0}, 5), Sight({"seen": 0.4, "unseen": 0.35, "no-vegetation": 0.25}, 5)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace with two concessions and a territory, whose table is as of a month without overpasses."""
    copy = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path_factory.mktemp("bulletin") / "watch")
    west, south, east, north = read_aoi(copy, NAME).bounds
    middle = (west + east) / 2
    halves = {HOSTILE: box(west - 0.01, south - 0.01, middle, north + 0.01), "East": box(middle, south, east - 0.002, north)}
    features = [
        {"type": "Feature", "properties": {"label": name, "state": state}, "geometry": mapping(shape)}
        for (name, shape), state in zip(halves.items(), ("filed", "granted"), strict=True)
    ]
    (copy.context / "titles.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with copy.settings.open("a") as file:
        file.write('\n[context.titles]\nfile = "titles.geojson"\nkind = "concession"\nname = "label"\nopen_ended = true\n')
        file.write('titles = { state = ["granted"] }\napplications = { state = ["filed"] }\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)
        scan_small(copy, QUIET)
    return copy


@pytest.fixture(scope="module")
def facts(workspace: Workspace) -> BulletinFacts:
    return gather(workspace)


def gather(workspace: Workspace, month: str = "2023-03", by: str = "area", language: str = "en") -> BulletinFacts:
    return gather_bulletin(workspace, BulletinRequest(parse_month(month), by, language))


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "bulletin", *map(str, words)], catch_exceptions=False)


class Page(HTMLParser):
    """The text of a page by element, outside of styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self._open = "", [], ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag if tag in ("style", "script") else self._open

    def handle_endtag(self, tag: str) -> None:
        self._open = "" if tag == self._open else self._open

    def handle_data(self, data: str) -> None:
        self.text += "" if self._open else data


# --- as known --------------------------------------------------------------------------------------------------------


def test_alerts_as_known_are_those_of_a_scan_as_of_that_day(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = read_aoi(workspace, NAME)
    grid, pipeline = make_grid(area), read_pipeline(workspace, "default")
    episodes = read_episodes(workspace)
    days = [dt.date(2022, 12, 31), dt.date(2023, 1, 31)]
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)
    known = replay_as_known(episodes, grid, NAME, pipeline.alerts, [*days, UNTIL])
    for number, day in enumerate(days):
        into = tmp_path / str(number)
        scan(Workspace(workspace.root, into), ScanRequest(until=day))
        rows = read_alerts(into / "alerts.gpkg").to_dict("records")
        assert [describe_row(row) for row in rows] == [describe_row(vars(alert)) for alert in known[day]]
    assert len({str(list(map(describe_row, map(vars, alerts)))) for alerts in known.values()}) > 2, "they differ from day to day"


def read_episodes(workspace: Workspace) -> Any:
    from minewatch.detection.array_file import ArrayFile  # noqa: PLC0415
    from minewatch.detection.checkpoint import rename_fields  # noqa: PLC0415

    return rename_fields(ArrayFile((workspace.checkpoints(NAME) / RECORD).read_bytes()).read("episodes"), EPISODE)


def describe_row(row: Mapping[Any, Any]) -> list[str]:
    """Return what an alert is, of the table or of a replay."""
    days = (row[name] for name in ("first_seen", "last_normal", "confirmed_on", "closed_on"))
    told = [str(day)[:10].replace("NaT", "None") for day in days]
    return [row["alert_id"], row["status"], f"{row['area_ha']:.4f}", *told, shapely.normalize(row["geometry"]).wkt]


def test_new_alerts_of_the_months_are_those_of_the_year(workspace: Workspace, facts: BulletinFacts) -> None:
    parts = [gather(workspace, month).total.tallies["month"].new for month in ("2023-01", "2023-02")]
    total, march = facts.total.tallies["year"], facts.total.month.new
    assert total.new.alerts == sum(part.alerts for part in parts) + march.alerts
    assert facts.total.tallies["year"].bare == facts.total.month.bare, "what is bare at the end is the same"


def test_growth_is_ground_that_belonged_to_no_alert_before(workspace: Workspace) -> None:
    """Over all months, new ground and growth add up to all that alerts ever held, measured by pixels of the change map."""
    months = ("2022-10", "2022-11", "2022-12", "2023-01", "2023-02", "2023-03")
    tallies = [gather(workspace, month).total.month for month in months]
    laid_bare = sum(tally.laid_bare for tally in tallies)
    held = tallies[-1].bare.hectares + tallies[-1].provisional.hectares
    assert sum(tally.grown.alerts for tally in tallies) > 0
    assert held <= laid_bare + 0.1 * len(months) <= 1.5 * held + 1


# --- what became of alerts -------------------------------------------------------------------------------------------

MARCH = Period(dt.date(2024, 3, 1), dt.date(2024, 3, 31))


def make_square(number: int, west: float, east: float, **changes: Any) -> Alert:
    geometry = MultiPolygon([box(-69.99 + west, -12.95, -69.99 + east, -12.949)])
    return make_alert(number, geometry=geometry, area_ha=measure_area_ha(geometry), **changes)


def test_growth_new_parts_and_mergers_are_told_apart() -> None:
    early, late = dt.date(2024, 2, 3), dt.date(2024, 3, 14)
    old, eaten = make_square(0, 0, 0.001), make_square(1, 0.001, 0.002)
    parent = make_square(2, 0.01, 0.012, confirmed_on=early)
    before = [old, eaten, parent, make_square(3, 0.02, 0.021), make_square(4, 0.03, 0.031, status="closed", closed_on=early)]
    after = [
        make_square(0, 0, 0.003),  # it took in the next one, and as much ground again
        replace(eaten, status="closed", closed_on=late, merged_into=old.alert_id),
        make_square(2, 0.01, 0.011, confirmed_on=early),
        make_square(5, 0.0115, 0.012, split_from=parent.alert_id, split_on=late),
        make_square(3, 0.02, 0.021, status="closed", closed_on=late),
        make_square(4, 0.03, 0.031, status="closed", closed_on=early),
        make_square(6, 0.04, 0.041, confirmed_on=late),
        make_square(7, 0.05, 0.051, status="closed", confirmed_on=None, closed_on=late),
    ]
    found = {change.alert.alert_id: change for change in compare_alerts(before, after, MARCH)}
    gained = {alert_id: measure_area_ha(change.gained) for alert_id, change in found.items()}
    third = after[0].area_ha / 3
    assert gained[old.alert_id] == pytest.approx(third, rel=1e-4), "the ground of the alert that was merged is no growth"
    assert eaten.alert_id not in found
    assert after[5].alert_id not in found, "closed before the month"
    assert [gained[alert.alert_id] for alert in (parent, after[3])] == pytest.approx([0, 0], abs=1e-6)
    assert {alert_id for alert_id, change in found.items() if change.is_new} == {after[6].alert_id, after[7].alert_id}
    assert [change.alert.alert_id for change in found.values() if change.is_green_now] == [after[4].alert_id]
    assert [change.alert.alert_id for change in found.values() if change.is_confirmed_now] == [after[6].alert_id]
    assert [change.alert.alert_id for change in found.values() if change.is_faded] == [after[7].alert_id]


def test_an_alert_that_a_person_dismissed_is_counted_apart(workspace: Workspace, facts: BulletinFacts, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    largest = facts.units[0].alerts[0]
    words = ["alerts", "review", largest.alert_id, "--dismiss", "road", "--by", "Rosa"]
    CliRunner().invoke(main, ["-w", str(copy.root), *words], catch_exceptions=False)
    told = gather(copy).total
    assert told.month.dismissed == 1
    assert largest.alert_id not in [alert.alert_id for alert in told.alerts]
    assert "1 alert was dismissed by a person; it is in none of the numbers." in Page(render_bulletin(gather(copy))).text


# --- seen and not seen -----------------------------------------------------------------------------------------------


def test_ground_counts_as_examined_where_a_look_of_the_month_was_clear(workspace: Workspace, facts: BulletinFacts) -> None:
    grid = make_grid(read_aoi(workspace, NAME))
    looks = [o for o in list_observations(workspace.archive(NAME), grid).values() if f"{o.time:%Y-%m}" == "2023-03"]
    clear = find_clear(read_stack(sort_observations(looks), grid.window).scl, read_pipeline(workspace, "default").mask)
    import rasterio  # noqa: PLC0415

    with rasterio.open(workspace.changes(NAME) / "status.tif") as raster:
        status = raster.read(1)
    inside, to_see = status != 0, (status != 0) & (status > 3)
    examined = (clear.any(axis=0) & to_see).sum() / inside.sum()
    sight = facts.total.month.sight
    assert sight.examined == pytest.approx(examined)
    assert sight.looks == len(looks) > 0
    assert sum(sight.shares.values()) == pytest.approx(1)


def test_a_month_without_overpasses_says_so_in_place_of_zeros(workspace: Workspace) -> None:
    found = gather(workspace, "2023-04")
    assert found.units[0].month.sight.state == "no-look"
    by_concession = gather(workspace, "2023-04", by="concession").units
    assert sum(unit.month.bare.alerts for unit in by_concession) > 0, "alerts that gained nothing are counted where they lie"
    assert found.known_to == QUIET, "the table is as of an earlier day than the end of the month"
    page = Page(render_bulletin(found)).text
    assert (
        "Could not see: only 0\N{NO-BREAK SPACE}% of the watched ground was examined in April 2023 (0 overpasses with data)"
        in page
    )
    assert "The month is not over in the data" in page
    assert "No alert is new" not in page
    row = run(workspace, "--month", "2023-04", "--json", "-o", workspace.root / "out")
    (unit,) = json.loads(row.stdout)["units"]
    assert (unit["month_seen"], unit["month_new"], unit["month_new_ha"]) == ("no-look", None, None)
    assert unit["month_bare"] > 0, "what was bare is known from before"
    assert (unit["before_seen"], unit["before_new"]) == ("not-begun", None)
    assert (unit["year_seen"], unit["year_green"]) == ("seen", 0)
    assert (unit["new_outside"], unit["month_faded"], unit["before_dismissed"]) == (None, None, None)
    tiles = page[page.index("Summary") : page.index("All units")]
    assert "New: could not see" in " ".join(tiles.split())
    assert f"at least {unit['month_bare']}" in tiles


@pytest.mark.parametrize(
    ("language", "none", "unseen", "at_least"),
    [
        ("en", "none", "could not see", "at least 2 · 1.50"),
        ("es", "ninguna", "no se pudo ver", "al menos 2 · 1,50"),
        ("fr", "aucune", "n'a pas pu être vu", "au moins 2 · 1,50"),
        ("pt", "nenhum", "não pôde ser visto", "ao menos 2 · 1,50"),
    ],
)
def test_none_and_could_not_see_are_different_words(language: str, none: str, unseen: str, at_least: str) -> None:
    texts = read_bulletin_texts(language)
    assert describe_count(Count(), SEEN, texts) == none
    assert describe_count(Count(), HALF_SEEN, texts) == unseen
    assert describe_count(Count(2, 1.5), SEEN, texts) == f"2 · {at_least.rsplit(maxsplit=1)[-1]}\N{NO-BREAK SPACE}ha"
    assert describe_count(Count(2, 1.5), HALF_SEEN, texts) == f"{at_least}\N{NO-BREAK SPACE}ha"
    said = describe_sight(HALF_SEEN, "X", texts)
    assert all(f"{share}\N{NO-BREAK SPACE}%" in said for share in (40, 35, 25)), "all of the ground is accounted for"


# --- units -----------------------------------------------------------------------------------------------------------


def test_hectares_of_concessions_and_the_rest_add_up(workspace: Workspace, facts: BulletinFacts) -> None:
    found = gather(workspace, by="concession")
    assert {unit.name for unit in found.units} == {HOSTILE, "East", ""}
    for name in ("bare", "new", "grown"):
        parts = [getattr(unit.month, name).hectares for unit in found.units]
        assert sum(parts) == pytest.approx(getattr(facts.total.month, name).hectares, abs=0.1)
    assert sum(unit.km2 * unit.watched for unit in found.units) == pytest.approx(facts.total.km2, rel=0.02)
    (west,) = [unit for unit in found.units if unit.name == HOSTILE]
    assert west.standing == "application"
    assert 0.05 < west.watched < 0.9, "it reaches beyond the area"
    outline = shapely.union_all([alert.outline for alert in west.alerts])
    assert (
        outline.is_empty or outline.bounds[2] <= (read_aoi(workspace, NAME).bounds[0] + read_aoi(workspace, NAME).bounds[2]) / 2
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_strangers_wrote_is_shown_and_never_runs(workspace: Workspace, language: str) -> None:
    html = render_bulletin(gather(workspace, by="concession", language=language))
    page = Page(html)
    assert HOSTILE in page.text, "as it was written"
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert {attrs["href"] for tag, attrs in page.tags if tag == "image"} > set()
    assert not re.findall(r'(?:src|href)="(?!#|data:image/)', html), "it asks for nothing"


# --- files -----------------------------------------------------------------------------------------------------------


def test_tables_say_the_same_as_the_page(workspace: Workspace) -> None:
    words = ["--month", "2023-03", "--by", "concession", "--format", "html,csv,xlsx", "--lang", "es", "--for", "Fiscalía"]
    answer = run(workspace, *words)
    assert answer.exit_code == 0, answer.stderr
    folder = workspace.root / "output" / "bulletins"
    stem = "bulletin-2023-03-concession-es"
    paths = [Path(line) for line in answer.stdout.split("\n") if line]
    tables = (".csv", ".csv-metadata.json", "-alerts.csv", "-alerts.csv-metadata.json", ".xlsx")
    assert [path.name for path in paths] == [f"{stem}.html", *(stem + ending for ending in tables)]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    with (folder / f"{stem}.csv").open(newline="") as file:
        units = list(csv.DictReader(file))
    found = {unit.name: unit for unit in gather(workspace, by="concession").units}
    assert [unit["unit"] for unit in units] == [f"'{name}" if name == HOSTILE else name for name in found], "no cell runs"
    for row, unit in zip(units, found.values(), strict=True):
        assert float(row["month_bare_ha"]) == pytest.approx(unit.month.bare.hectares, abs=1e-4)
        assert int(row["bare_application"]) == unit.legal["bare"].get("application", Count()).alerts
        assert (row["before_new"], row["before_seen"]) == ("", "not-begun")
    book = openpyxl.load_workbook(folder / f"{stem}.xlsx")
    assert book.sheetnames == ["Unidades", "Alertas", "Credits"]
    cells = [[cell.value for cell in row] for row in book["Unidades"].iter_rows()]
    names = [row[0].lstrip("'") for row in cells[1:]]
    assert {*names} == {f"{HOSTILE} · solicitud", "East", "Fuera de toda unidad"}, "ground that was only asked for says so"
    assert "aún sin vigilancia" in cells[1]
    assert book["Alertas"]["G2"].is_date
    custody = (workspace.root / "output" / "custody.jsonl").read_text().splitlines()
    assert any(f"bulletin {stem}.html" in line and "Fiscal" in line for line in custody), "as reports are noted"


def test_each_unit_has_a_map_and_a_table(workspace: Workspace) -> None:
    html = render_bulletin(gather(workspace, by="concession"))
    units = html.split('<section class="unit"')[1:]
    assert len(units) == 3
    for unit in units:
        assert unit.count('<svg class="map"') == 1
        assert unit.count('class="small spans"') == 1
        assert 'class="needle"' in unit
        assert 'class="bar"' in unit


def test_it_is_printed(workspace: Workspace) -> None:
    pytest.importorskip("weasyprint", reason="WeasyPrint is not installed", exc_type=(ImportError, OSError))
    pdfium = pytest.importorskip("pypdfium2")
    answer = run(workspace, "--month", "2023-03", "--format", "pdf", "--lang", "fr")
    assert answer.exit_code == 0, answer.stderr
    document = pdfium.PdfDocument(Path(answer.stdout.strip()))
    text = "".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    assert "mars 2023, par zone d'intérêt" in text
    assert "pas encore surveillé" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_whole(language: str) -> None:
    english, words = read_texts("en", FOLDER).words, read_texts(language, FOLDER).words
    assert set(words) == set(english)

    def list_places(text: Any) -> list[set[str | None]]:
        forms = [text] if isinstance(text, str) else list(text.values())
        return [{name for _, name, _, _ in string.Formatter().parse(form) if name} for form in forms]

    for key, text in words.items():
        assert list_places(text)[0] == list_places(english[key])[0], key
        if language == "fr":
            assert not re.search(r" [:;?!»]|« ", str(text)), key


# --- when there is nothing to tell -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (
            ["--month", "2099-01"],
            1,
            "2099-01 has not begun: the table is as of 25 April 2023; scan first, or take an earlier month",
        ),
        (["--month", "2023-06"], 1, "2023-06 is not scanned yet: the table is as of 25 April 2023"),
        (["--month", "2022-09"], 1, "2022-09 was not watched: monitoring began on 1 October 2022; take a later month"),
        (["--month", "June"], 1, "--month 'June' is no month; give year and month, for example 2025-06"),
        (["--month", "2023-13"], 1, "--month '2023-13' is no month"),
        (
            ["--month", "2023-03", "--by", "territory"],
            1,
            "no context layer of kind indigenous-territory is declared;",
        ),
        (["--month", "2023-03", "--by", "village"], 2, "'village' is not one of"),
        (["--month", "2023-03", "--format", "docx"], 2, "--format: docx cannot be written; known: html, pdf, csv, xlsx"),
    ],
)
def test_one_line_says_why_there_is_no_bulletin(
    workspace: Workspace, words: list[str], code: int, line: str, tmp_path: Path
) -> None:
    answer = run(workspace, *words, "-o", tmp_path / "out")
    assert answer.exit_code == code
    assert line in " ".join(answer.stderr.split())
    assert not (tmp_path / "out").exists()
    assert code == 2 or answer.stderr.strip().count("\n") == 0


def test_areas_that_cannot_be_counted_are_named(workspace: Workspace, tmp_path: Path) -> None:
    copy = copy_workspace(workspace, tmp_path / "copy")
    write_aoi(copy, Aoi("later", box(-69.5, -12.5, -69.49, -12.49), MONITOR_FROM))
    shutil.rmtree(copy.checkpoints(NAME))
    answer = run(copy, "--month", "2023-03", "--format", "csv")
    assert answer.exit_code == 3
    said = " ".join(answer.stderr.split())
    assert "not counted: area 'later' was never scanned: minewatch scan later" in said
    assert "not counted: area 'spot': the records of its last scan are gone" in said
    with Path(answer.stdout.split()[0]).open(newline="") as file:
        rows = {row["unit"]: row for row in csv.DictReader(file)}
    assert {name: (row["month_seen"], row["month_new"], row["month_bare"]) for name, row in rows.items()} == {
        "later": ("not-scanned", "", ""),
        NAME: ("no-record", "", ""),
    }
    page = Page(render_bulletin(gather(copy))).text
    assert "never scanned" in page
    assert "not counted" in page


def test_a_month_knows_its_days() -> None:
    assert parse_month("2024-02") == Period(dt.date(2024, 2, 1), dt.date(2024, 2, 29))
    assert parse_month("2023-12").last == dt.date(2023, 12, 31)
    with pytest.raises(ReportError):
        parse_month("2024-00")
    assert to_day(parse_month("2024-03").before) == to_day(dt.date(2024, 2, 29))
    assert np.isfinite(to_day(MARCH.first))
