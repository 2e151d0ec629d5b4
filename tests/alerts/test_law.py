"""The law over the bracket: clouds decide when a look was clear, and must not decide who worked with a licence."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape
from shapely.geometry import Polygon, box

from minewatch.alerts.context import source_file
from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.context.layer import open_layers
from minewatch.alerts.context.legal_basis import LegalBasis, read_legal_basis
from minewatch.alerts.context.legal_status import assess_bracket, assess_legal_status
from minewatch.alerts.context.overlap import Overlap
from minewatch.alerts.context.place import place_sites
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.context.terms import LEGAL
from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import measure_area_ha
from minewatch.cli import main
from minewatch.core.errors import ContextError
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.content import _describe_legal
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.html_page import render_page
from minewatch.products.report.law_words import describe_law
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.report_facts import ReportRequest
from minewatch.products.report.texts import read_texts
from minewatch.settings.document import init_workspace
from tests.helpers.servers import RunQgis
from tests.helpers.small import NAME, copy_workspace, make_scanned, scan_small
from tests.helpers.tables import edit, make_alert, put, row_of

NORMAL, SEEN = dt.date(2019, 4, 7), dt.date(2019, 6, 16)
"""The bracket of most tests."""

SQUARE = box(-70.0, -13.0, -69.99, -12.99)
ALL = box(-70.1, -13.1, -69.9, -12.9)

Title = tuple[Polygon, str | None, str | None]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def put_titles(workspace: Workspace, *titles: Title, name: str = "titles", suffix: str = ".geojson") -> Path:
    """Declare a layer of titles A, B, C … with the codes 0, 1, 2 …"""
    rows = [
        {"label": chr(65 + n), "code": n, "granted": granted, "expires": expires, "geometry": shape}
        for n, (shape, granted, expires) in enumerate(titles)
    ]
    path = workspace.context / f"{name}{suffix}"
    gpd.GeoDataFrame(rows, geometry="geometry", crs=4326).to_file(path)
    with workspace.settings.open("a", encoding="utf-8") as file:
        file.write(f'\n[context.{name}]\nfile = "context/{path.name}"\nkind = "concession"\nname = "label"\nid = "code"\n')
        file.write('valid_from = "granted"\nvalid_to = "expires"\n')
    return path


def place(workspace: Workspace, last_normal: dt.date | None = NORMAL, first_seen: dt.date = SEEN) -> dict[str, Any]:
    site = AlertSite(SQUARE, first_seen, first_seen, last_normal)
    return dict(place_sites(open_layers(workspace), {"x": site}).cells["x"])


def read(cells: dict[str, Any]) -> LegalBasis:
    basis = read_legal_basis(cells["legal_basis"])
    assert basis is not None
    return basis


def judge(workspace: Workspace, last_normal: dt.date | None = NORMAL) -> tuple[str, str, str]:
    cells = place(workspace, last_normal)
    return cells["legal_status"], cells["legal_reason"], cells["concession"]


# --- the bracket -----------------------------------------------------------------------------------------------------

ALWAYS_VALID, ENDED, BEGAN = ("2010-01-01", "2030-01-01"), ("2010-01-01", "2019-05-01"), ("2019-05-02", "2030-01-01")
WITHIN, LONG_OVER, TO_COME = ("2019-05-01", "2019-05-31"), ("2010-01-01", "2019-04-06"), ("2019-06-17", "2030-01-01")


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        ([(ALL, *ALWAYS_VALID)], ("inside", "", "A")),
        ([(ALL, *ENDED)], ("unknown", "partly-valid", "A")),
        ([(ALL, *BEGAN)], ("unknown", "partly-valid", "A")),
        ([(ALL, *WITHIN)], ("unknown", "partly-valid", "A")),
        ([(ALL, *LONG_OVER)], ("expired", "", "A")),
        ([(ALL, *TO_COME)], ("expired", "", "A")),
        ([(ALL, *ENDED), (ALL, *BEGAN)], ("inside", "", "A")),
        ([(ALL, *LONG_OVER), (ALL, *WITHIN)], ("unknown", "partly-valid", "B")),
        ([(ALL, None, None)], ("unknown", "no-dates", "A")),
        ([(ALL, None, None), (ALL, *ENDED)], ("unknown", "no-dates", "A")),
        ([(ALL, "2010-01-01", "2019-04-07")], ("unknown", "partly-valid", "A")),
        ([(ALL, "2019-06-16", "2030-01-01")], ("unknown", "partly-valid", "A")),
        ([(box(-70.1, -13.1, -70.05, -12.9), *ENDED)], ("outside", "", "")),
    ],
)
def test_the_verdict_is_that_of_every_day_or_unknown(workspace: Workspace, titles: Any, expected: Any) -> None:
    put_titles(workspace, *titles)
    assert judge(workspace) == expected


def test_a_licence_that_ran_out_is_named_with_both_verdicts_and_their_dates(workspace: Workspace) -> None:
    put_titles(workspace, (ALL, *ENDED))
    periods = [(str(p.first), str(p.last), p.status) for p in read(place(workspace)).periods]
    assert periods == [("2019-04-07", "2019-05-01", "inside"), ("2019-05-02", "2019-06-16", "expired")]


def test_a_licence_that_was_only_valid_within_the_bracket_counts_too(workspace: Workspace) -> None:
    put_titles(workspace, (ALL, *WITHIN))
    assert [p.status for p in read(place(workspace)).periods] == ["expired", "inside", "expired"]


def test_where_no_normal_look_is_known_every_earlier_day_is_judged(workspace: Workspace) -> None:
    """The ground may have changed long before: only what was so on all of those days is told."""
    put_titles(workspace, (ALL, *ALWAYS_VALID))
    assert judge(workspace, None) == ("unknown", "partly-valid", "A")
    assert [(p.first, p.status) for p in read(place(workspace, None)).periods] == [
        (None, "expired"),
        (dt.date(2010, 1, 1), "inside"),
    ]


def test_an_open_bracket_has_a_verdict_where_no_day_differs(workspace: Workspace) -> None:
    put_titles(workspace, (ALL, *TO_COME))
    assert judge(workspace, None) == ("expired", "", "A")


def test_titles_of_two_layers_are_judged_together(workspace: Workspace) -> None:
    """One ends where the other begins; each is told with its own file."""
    west, east = box(-70.1, -13.1, -69.995, -12.9), box(-69.995, -13.1, -69.9, -12.9)
    put_titles(workspace, (west, *ENDED), name="old")
    put_titles(workspace, (east, *BEGAN), name="new")
    cells = place(workspace)
    assert (cells["legal_status"], cells["legal_reason"]) == ("inside", "")
    basis = read(cells)
    assert {(title.layer, title.decides) for title in basis.titles} == {("old", True), ("new", True)}
    assert [(layer.layer, layer.files[0].file) for layer in basis.layers] == [
        ("old", "context/old.geojson"),
        ("new", "context/new.geojson"),
    ]


DAYS = st.dates(dt.date(2019, 1, 1), dt.date(2019, 12, 31))
PERIODS = st.one_of(st.none(), st.tuples(DAYS, DAYS).map(lambda days: (min(days), max(days))))
SHAPES = st.sampled_from([SQUARE, box(-70.0, -13.0, -69.995, -12.99), box(-69.996, -13.0, -69.99, -12.99)])


@settings(deadline=None)  # it measures many areas
@given(st.lists(st.tuples(SHAPES, PERIODS), max_size=5), DAYS, DAYS)
def test_no_day_of_the_bracket_contradicts_the_verdict(rows: Any, first: dt.date, second: dt.date) -> None:
    """Judged day by day, by the rule of one day, which is much slower."""
    last_normal, seen, total = min(first, second), max(first, second), measure_area_ha(SQUARE)
    found = [Overlap(str(n), period, (shape,), shape.area) for n, (shape, period) in enumerate(rows)]
    verdict = assess_bracket(found, last_normal, seen, total)
    days = [last_normal + dt.timedelta(days=n) for n in range((seen - last_normal).days + 1)]
    statuses = [assess_legal_status(found, day, total)[0] for day in days]
    assert [next(p.status for p in verdict.periods if p.first <= day <= p.last) for day in days] == statuses
    assert verdict.status in LEGAL
    if verdict.status != "unknown":
        assert set(statuses) == {verdict.status}
    assert (verdict.reason == "partly-valid") == ({"inside", "expired"} <= set(statuses))


# --- what it rests on ------------------------------------------------------------------------------------------------


def test_titles_beyond_a_twentieth_of_the_alert_are_listed(workspace: Workspace) -> None:
    strip = lambda share, west=-70.0: box(west, -13.1, west + 0.01 * share, -12.9)  # noqa: E731
    put_titles(workspace, (ALL, *ALWAYS_VALID), (strip(0.049), *LONG_OVER), (strip(0.051), *LONG_OVER))
    basis = read(place(workspace))
    assert [(t.name, t.id, t.decides, t.per_cent) for t in basis.titles] == [("A", "0", True, 100.0), ("C", "2", False, 5.1)]
    assert basis.titles[1].hectares == pytest.approx(0.051 * measure_area_ha(SQUARE), rel=1e-3)
    assert basis.smaller == 1


def test_small_titles_that_decide_together_are_listed(workspace: Workspace) -> None:
    strips = [box(-70 + 0.0004 * n, -13.1, -70 + 0.0004 * (n + 1), -12.9) for n in range(20)]
    put_titles(workspace, *((strip, *ALWAYS_VALID) for strip in strips))
    basis = read(place(workspace))
    assert len(basis.titles) == 20
    assert all(title.decides and title.per_cent == pytest.approx(4, abs=0.01) for title in basis.titles)


def test_dates_without_a_bound_and_without_a_sense_are_told_apart(workspace: Workspace) -> None:
    put_titles(workspace, (ALL, "2010-01-01", None), (ALL, "soon", "2030-01-01"))
    workspace.settings.write_text(workspace.settings.read_text() + "open_ended = true\n")
    dated = {title.name: (title.dated, title.valid_from, title.valid_to) for title in read(place(workspace)).titles}
    assert dated == {"A": (True, dt.date(2010, 1, 1), None), "B": (False, None, None)}


def test_the_file_is_named_with_its_date_and_hash(workspace: Workspace) -> None:
    """`sha256sum` of the file says the same; with another file, another hash."""
    path = put_titles(workspace, (ALL, *ALWAYS_VALID))
    os.utime(path, (1_562_162_700, 1_562_162_700))
    (file,) = read(place(workspace)).layers[0].files
    assert (file.file, file.modified) == ("context/titles.geojson", "2019-07-03T14:05:00Z")
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(path.read_text() + " ")
    (changed,) = read(place(workspace)).layers[0].files
    assert changed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256


def test_the_files_beside_a_shapefile_are_named_too(workspace: Workspace) -> None:
    """The dates of its titles are in the .dbf."""
    path = put_titles(workspace, (ALL, *ALWAYS_VALID), suffix=".shp")
    files = {file.file: file.sha256 for file in read(place(workspace)).layers[0].files}
    assert {"context/titles.shp", "titles.dbf", "titles.prj"} <= set(files)
    assert files["titles.dbf"] == hashlib.sha256(path.with_suffix(".dbf").read_bytes()).hexdigest()


def test_an_alert_outside_of_every_title_names_the_files_that_were_consulted(workspace: Workspace) -> None:
    put_titles(workspace, (box(-70.3, -13.1, -70.2, -12.9), *ALWAYS_VALID))
    basis = read(place(workspace))
    assert basis.titles == ()
    assert basis.layers[0].files[0].file == "context/titles.geojson"


def test_a_file_is_hashed_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    put_titles(workspace, (ALL, *ALWAYS_VALID))
    source_file._hash.cache_clear()
    hashed: list[Any] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(source_file.hashlib, "file_digest", lambda *what: hashed.append(what) or digest(*what))
    for _ in range(3):
        place(workspace)
    assert len(hashed) == 1


def test_a_layer_that_changes_while_it_is_read_is_not_judged_by(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put_titles(workspace, (ALL, *ALWAYS_VALID))
    assess = assess_bracket

    def meddle(*args: Any) -> Any:
        path.write_text(path.read_text() + " ")
        return assess(*args)

    monkeypatch.setattr("minewatch.alerts.context.place.assess_bracket", meddle)
    with pytest.raises(ContextError, match="was changed while it was read"):
        place(workspace)


def test_ids_are_for_concessions(workspace: Workspace) -> None:
    with workspace.settings.open("a") as file:
        file.write('\n[context.rivers]\nfile = "r.gpkg"\nkind = "river"\nid = "CODE"\n')
    with pytest.raises(ContextError, match="id is for concessions; a layer of kind river has none"):
        read_declarations(workspace)


def test_an_id_column_that_is_not_there_is_named(workspace: Workspace) -> None:
    put_titles(workspace, (ALL, *ALWAYS_VALID))
    workspace.settings.write_text(workspace.settings.read_text().replace('id = "code"', 'id = "CODES"'))
    with pytest.raises(ContextError, match=r"has no column 'CODES' \(id\); did you mean 'code'"):
        open_layers(workspace)


@pytest.mark.parametrize("cell", [None, "", "{", "[]", "5", '{"periods": 3}', '{"periods":[{"status":"x"}]}', "[" * 10_000])
def test_a_cell_that_somebody_spoilt_is_no_basis(cell: Any) -> None:
    assert read_legal_basis(cell) is None


# --- where it is told ------------------------------------------------------------------------------------------------


@pytest.fixture
def told(workspace: Workspace) -> Workspace:
    """A table with one alert whose licence ran out within its bracket; its name is a stranger's text."""
    path = put_titles(workspace, (ALL, *ENDED))
    path.write_text(path.read_text().replace('"A"', '"Sun \\u202e <b>"'))
    alert = make_alert(0)
    put(workspace.alerts, alert, context={alert.alert_id: place(workspace)})
    return workspace


def run(workspace: Workspace, *words: str) -> str:
    result = CliRunner().invoke(main, ["-w", str(workspace.root), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_show_names_titles_dates_files_and_hashes(told: Workspace) -> None:
    text = " ".join(run(told, "alerts", "show", make_alert(0).alert_id).split())
    assert "unknown: the change may have begun while the licence was valid, or while it was not" in text
    assert "7 April 2019 to 1 May 2019, inside a concession; 2 May 2019 to 16 June 2019, concession not valid" in text
    assert "Sun � <b> · 0 · layer titles · 1 January 2010 to 1 May 2019" in text
    assert f"SHA-256 {hashlib.sha256((told.context / 'titles.geojson').read_bytes()).hexdigest()}" in text


def test_json_has_it_as_data(told: Workspace) -> None:
    (row,) = json.loads(run(told, "alerts", "list", "--json"))
    assert (row["legal_status"], row["legal_reason"]) == ("unknown", "partly-valid")
    (title,) = json.loads(run(told, "alerts", "show", row["alert_id"], "--json"))["legal_basis"]["titles"]
    assert (title["id"], title["valid_from"], title["valid_to"], title["decides"]) == ("0", "2010-01-01", "2019-05-01", True)


def test_the_list_marks_it_and_leaves_it_out_of_what_lies_outside(told: Workspace) -> None:
    head, row, meaning = run(told, "alerts", "list").splitlines()[:3]
    assert (head.split()[-1], row.split()[-1]) == ("legal", "unknown*")
    assert meaning == "* the change may have begun while the licence was valid, or while it was not"
    assert json.loads(run(told, "alerts", "list", "--outside", "concession", "--json")) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_told_in_every_language(told: Workspace, language: str) -> None:
    texts, row = read_texts(language), row_of(told.alerts, make_alert(0).alert_id)
    law = describe_law(row, texts)
    assert texts.text("legal_meaning_partly_valid") in law.status
    for day in (NORMAL, dt.date(2019, 5, 1), dt.date(2019, 5, 2), SEEN):
        assert texts.date(day) in law.judged
    (title,) = law.titles
    assert (title.name, title.id) == ("Sun � <b>", "0")
    assert texts.date(dt.date(2019, 5, 1)) in title.validity
    assert texts.text("legal_meaning_partly_valid") in _describe_legal(row, texts), "messages say it too"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", ["no-layer", "no-dates", "partly-valid", ""])
def test_every_reason_has_its_words(language: str, reason: str) -> None:
    row = {"legal_status": "unknown", "legal_reason": reason, "legal_basis": ""}
    law = describe_law(row, read_texts(language))
    assert law.status.endswith(read_texts(language).text(f"legal_meaning_{reason.replace('-', '_') or 'unknown'}"))
    assert (law.judged, law.titles, law.files) == ("", (), ())


# --- for people in QGIS ----------------------------------------------------------------------------------------------


def test_the_table_shows_a_row_for_each_alert_and_title(workspace: Workspace) -> None:
    put_titles(workspace, (ALL, *ENDED), (box(-70.1, -13.1, -69.999, -12.9), *LONG_OVER))
    alert = make_alert(0)
    put(workspace.alerts, alert, make_alert(1), context={alert.alert_id: place(workspace)})
    frame = pyogrio.read_dataframe(workspace.alerts, layer="alert_titles")
    assert frame[["alert_id", "title", "title_id", "valid_to", "decides"]].to_numpy().tolist() == [
        [alert.alert_id, "A", "0", "2019-05-01", 1],
        [alert.alert_id, "B", "1", "2019-04-06", 0],
    ]
    assert set(frame["file_sha256"]) == {hashlib.sha256((workspace.context / "titles.geojson").read_bytes()).hexdigest()}
    edit(workspace.alerts, "UPDATE alerts SET legal_basis = '{' WHERE alert_id = ?", alert.alert_id)
    assert pyogrio.read_dataframe(workspace.alerts, layer="alert_titles").empty, "a spoilt cell spoils nothing else"


def test_a_view_of_another_version_is_made_anew(told: Workspace) -> None:
    edit(told.alerts, "DROP VIEW alert_titles")
    edit(told.alerts, "CREATE VIEW alert_titles AS SELECT 1 AS OGC_FID")
    put(told.alerts, make_alert(0), run="run-2", context={make_alert(0).alert_id: place(told)})
    assert len(pyogrio.read_dataframe(told.alerts, layer="alert_titles")) == 1
    with sqlite3.connect(told.alerts) as connection:
        listed = connection.execute("SELECT count(*) FROM gpkg_contents WHERE table_name = 'alert_titles'").fetchone()
    connection.close()
    assert listed == (1,)


@pytest.mark.server
def test_qgis_reads_the_titles(told: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    script = tmp_path / "titles.py"
    script.write_text(
        "import json, sys\n"
        "from qgis.core import QgsApplication, QgsVectorLayer\n"
        "app = QgsApplication([], False); app.initQgis()\n"
        "layer = QgsVectorLayer(sys.argv[1] + '|layername=alert_titles', 'titles', 'ogr')\n"
        "rows = [[str(f[name]) for name in ('alert_id', 'title_id', 'valid_to')] for f in layer.getFeatures()]\n"
        "done = {'valid': layer.isValid(), 'rows': rows}\n"
        "del layer\n"
        "app.exitQgis()\n"
        "print(json.dumps(done))\n"
    )
    assert run_qgis(script, told.alerts) == {"valid": True, "rows": [[make_alert(0).alert_id, "0", "2019-05-01"]]}


# --- in a report and in evidence -------------------------------------------------------------------------------------


@pytest.fixture
def scanned(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace in which a licence of a hostile name ran out on the last day before each alert was first seen."""
    workspace = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "scanned")
    table = read_alerts(workspace.alerts)
    rows = [
        {"label": "<script>alert(1)</script>", "code": n, "granted": "2010-01-01", "expires": f"{day}", "geometry": shape}
        for n, (day, shape) in enumerate(
            zip(
                table["first_seen"].dt.date - dt.timedelta(days=1),
                shapely.buffer(table.geometry.envelope.to_numpy(), 0.0002),
                strict=True,
            )
        )
    ]
    put_titles(workspace, (ALL, *ALWAYS_VALID))
    gpd.GeoDataFrame(rows, geometry="geometry", crs=4326).to_file(workspace.context / "titles.geojson")
    return workspace


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_says_why_and_names_the_file(scanned: Workspace, language: str) -> None:
    run(scanned, "context", "refresh")
    facts, texts = gather_facts(scanned, ReportRequest(NAME, language=language)), read_texts(language)
    page = render_page(facts)
    assert "<script>alert" not in page
    assert facts.alerts
    for alert in facts.alerts:
        assert (alert.row["legal_status"], alert.row["legal_reason"]) == ("unknown", "partly-valid")
        assert escape(describe_law(alert.row, texts).judged) in page
        assert texts.date(alert.row["last_normal"]) in describe_law(alert.row, texts).judged
    assert page.count(escape(texts.text("legal_meaning_partly_valid"))) == 2 * len(facts.alerts), (
        "beside the facts and above the titles"
    )
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert hashlib.sha256((scanned.context / "titles.geojson").read_bytes()).hexdigest() in page


def test_a_scan_and_a_refresh_say_the_same(scanned: Workspace) -> None:
    run(scanned, "context", "refresh")
    refreshed = read_alerts(scanned.alerts)["legal_basis"].tolist()
    scan_small(scanned)
    assert read_alerts(scanned.alerts)["legal_basis"].tolist() == refreshed
    assert all(read_legal_basis(cell) for cell in refreshed)
    exported = scanned.root / "out"
    run(scanned, "alerts", "export", "--format", "geojson", "-o", str(exported))
    features = json.loads((exported / "alerts.geojson").read_text())["features"]
    cells = [feature["properties"]["legal_basis"] for feature in features]
    assert [json.loads(cell) if isinstance(cell, str) else cell for cell in cells] == list(map(json.loads, refreshed))
