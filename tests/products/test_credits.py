"""Credits: in every picture and file stand the words that the licences ask for, with the years of what is shown."""

from __future__ import annotations

import csv
import html
import importlib.util
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import pystac
import pytest
import rasterio
from click.testing import CliRunner
from matplotlib.text import Text
from PIL import Image

from minewatch.alerts.columns import ALERT_COLUMNS
from minewatch.alerts.credits import LOOK_DATES, credit_alerts
from minewatch.alerts.csv_dialects import DIALECTS
from minewatch.alerts.csv_file import CSV_COLUMNS
from minewatch.alerts.geopackage import updating
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.plan import ScanRequest, plan_scan
from minewatch.products.export.formats import export_alerts
from minewatch.products.export.options import ExportOptions
from minewatch.products.images.map_page import draw_page, wrap_credit
from minewatch.products.images.video_files import VIDEO_WRITERS
from minewatch.settings.credits import (
    LEGAL_NOTICE,
    SIMULATION,
    DataProvider,
    DataTerms,
    credit_data,
    credit_sentinel,
    describe_years,
    parse_terms,
)
from minewatch.settings.providers import PROVIDERS, Provider
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import Source, open_source
from tests.archive.test_archive import GRID
from tests.helpers.small import NAME, UNTIL, copy_series, copy_workspace, make_scanned, make_series, make_workspace, scan_small
from tests.products.test_export import make_table

KML = "{http://www.opengis.net/kml/2.2}"
WORDS = "Contains modified Copernicus Sentinel data"


def run(*words: object) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


# --- the words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("years", "text"),
    [
        ([2024], "2024"),
        ([2024, 2022, 2023, 2022], "2022-2024"),
        ([2018, 2019, 2022], "2018-2019, 2022"),
        ([2018, 2020], "2018, 2020"),
        ([], ""),
    ],
)
def test_a_range_of_years_names_no_other_year(years: list[int], text: str) -> None:
    assert describe_years(years) == text


def test_the_words_are_those_of_the_legal_notice() -> None:
    assert credit_sentinel([2023, 2024]) == "Contains modified Copernicus Sentinel data 2023-2024"
    assert credit_sentinel([2024], modified=False) == "Copernicus Sentinel data 2024"
    assert credit_sentinel([]) == "Contains modified Copernicus Sentinel data"


def terms(*names: str, license_name: str = "", url: str = "") -> DataTerms:
    return DataTerms(tuple(DataProvider(name) for name in names), license_name, url)


@pytest.mark.parametrize(
    ("stated", "tail"),
    [
        ([], ""),
        ([terms()], ""),
        ([terms("ESA"), terms("European Union, Copernicus / ESA", license_name="other", url=LEGAL_NOTICE)], ""),
        ([terms("ESA", "Sinergise", license_name="proprietary")], "; provided by Sinergise"),
        ([terms("Forest Agency", license_name="CC-BY-4.0")], "; provided by Forest Agency (licence CC-BY-4.0)"),
        ([terms(license_name="CC-BY-4.0"), terms(license_name="CC-BY-4.0")], "; licence CC-BY-4.0"),
        ([terms("A", license_name="other", url="https://a.example.org/terms")], "; provided by A (licence https://a.example.org/terms)"),
        ([terms("A"), terms(SIMULATION)], "; provided by A; in part simulated"),
    ],
)  # fmt: skip
def test_what_a_catalogue_states_is_added_and_nothing_is_invented(stated: list[DataTerms], tail: str) -> None:
    assert credit_data(stated, [2024]) == f"{WORDS} 2024{tail}"


def test_simulated_scenes_are_never_called_real() -> None:
    assert credit_data([terms(SIMULATION)], [2024]).startswith("Simulated scenes, not real imagery")


@pytest.mark.parametrize(
    "document",
    [
        {"type": "Collection"},
        {"type": "Collection", "license": 7, "providers": "ESA", "links": {"rel": "license"}},
        {
            "type": "Collection",
            "license": "x y\n",
            "providers": [1, {"name": ""}, {"name": 3}, {}],
            "links": [1, {"rel": "license"}],
        },
        {"type": "Feature", "properties": None, "links": [{"rel": "license", "href": "file:///etc/passwd"}]},
        {"type": "Feature", "properties": {"license": "a" * 99}, "links": [{"rel": "license", "href": "https://[bad"}]},
    ],
)
def test_what_is_malformed_counts_as_not_stated(document: dict[str, Any]) -> None:
    assert parse_terms(document) == DataTerms()


def test_what_strangers_state_is_bounded_and_can_be_shown() -> None:
    names = [{"name": "A\x1b[31m\n" + "x" * 500, "roles": ["host", "king"], "url": "https://me:pw@a.example.org/?key=1"}] * 50
    stated = parse_terms({"type": "Collection", "providers": names})
    assert len(stated.providers) <= 6
    assert all(len(p.name) <= 80 and p.name.isprintable() and p.roles == ("host",) for p in stated.providers)
    assert {provider.url for provider in stated.providers} == {"https://a.example.org/"}


def state(series: SimulatedSeries, **members: Any) -> None:
    """Let the collection of a catalogue state something else."""
    path = series.catalog.parent / "collection.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def test_a_static_catalogue_is_asked_through_its_collection(series: SimulatedSeries, tmp_path: Path) -> None:
    own = copy_series(series, tmp_path / "own")
    state(own, license="CC-BY-4.0", providers=[{"name": "Forest Agency", "roles": ["producer"]}])
    workspace = make_workspace(tmp_path / "watch", own)
    scenes = find_scenes(open_source(str(own.catalog)), plan_query(workspace)).scenes
    assert {scene.terms for scene in scenes} == {DataTerms((DataProvider("Forest Agency", ("producer",)),), "CC-BY-4.0")}
    assert all(Path(scene.href).is_file() and pystac.Item.from_file(scene.href).id == scene.id for scene in scenes)


def plan_query(workspace: Workspace) -> Any:
    return plan_scan(workspace, ScanRequest(until=UNTIL)).areas[0].query


@dataclass
class Api:
    """A STAC API that answers for its collection."""

    answer: Any
    asked: list[str] = field(default_factory=list)

    def read_json(self, address: str) -> Any:
        self.asked.append(address)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_an_api_is_asked_once_for_what_its_collection_states() -> None:
    api = Api({"type": "Collection", "license": "CC-BY-4.0", "providers": [{"name": "Forest Agency"}]})
    source = Source(Provider("ours", "https://stac.example.org/v1", "our scenes"), True, api)  # type: ignore[arg-type]
    assert [source.read_terms() for _ in range(3)] == [DataTerms((DataProvider("Forest Agency"),), "CC-BY-4.0")] * 3
    assert api.asked == ["https://stac.example.org/v1/collections/our%20scenes"]


@pytest.mark.parametrize("answer", [OSError("no answer"), ValueError("no JSON"), {}, {"license": 3, "providers": {}}])
def test_an_api_that_states_nothing_stops_no_search(answer: Any) -> None:
    source = Source(Provider("ours", "https://stac.example.org/v1"), True, Api(answer))  # type: ignore[arg-type]
    assert source.read_terms() == DataTerms()


def test_built_in_sources_hold_sentinel_data_and_are_not_asked() -> None:
    for provider in PROVIDERS.values():
        api = Api({})
        assert Source(provider, True, api).read_terms() == DataTerms()  # type: ignore[arg-type]
        assert api.asked == []


# --- what a scan writes ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watch(series: SimulatedSeries, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scan of the small area, whose catalogue says nothing, as real ones on disk do."""
    folder = tmp_path_factory.mktemp("credits")
    own = copy_series(series, folder / "series")
    state(own, providers=[])
    workspace = make_workspace(folder / "watch", own)
    scan_small(workspace)
    return workspace


def tags_of(path: Path) -> dict[str, str]:
    with rasterio.open(path) as raster:
        tags: dict[str, str] = raster.tags()
    return tags


def test_change_maps_credit_the_years_of_all_looks(watch: Workspace) -> None:
    for name in RASTERS:
        tags = tags_of(Path(watch.changes(NAME)) / f"{name}.tif")
        assert tags["TIFFTAG_COPYRIGHT"] == tags["credit"] == f"{WORDS} 2022-2023"


def test_the_quick_look_and_its_maps_credit_the_years_they_show(watch: Workspace) -> None:
    entries = json.loads((watch.images / f"{NAME}.json").read_text())
    years = [int(entry["date"][:4]) for entry in entries]
    for entry, year in zip(entries, years, strict=True):
        tags = tags_of(watch.images / entry["file"])
        assert tags["TIFFTAG_COPYRIGHT"] == tags["credit"] == entry["credit"] == f"{WORDS} {year}"
    with Image.open(watch.images / f"{NAME}.png") as picture:
        assert picture.text["Copyright"] == f"{WORDS} {describe_years(years)}"  # type: ignore[attr-defined]


def test_the_credit_is_drawn_on_the_quick_look(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = Text.draw

    def note(text: Text, *arguments: Any, **options: Any) -> None:
        drawn.append(text.get_text())
        draw(text, *arguments, **options)

    monkeypatch.setattr(Text, "draw", note)
    own = copy_workspace(watch, watch.root.parent / "again")
    (own.images / f"{NAME}.png").unlink()
    scan_small(own)
    assert [text for text in drawn if text.startswith(WORDS)] == [f"{WORDS} 2022-2023"]


def test_evidence_images_credit_their_own_year(watch: Workspace) -> None:
    images = sorted(watch.evidence.glob("*/*.tif"))
    assert len(images) >= 4
    for path in images:
        tags = tags_of(path)
        assert tags["TIFFTAG_COPYRIGHT"] == tags["credit"] == f"{WORDS} {tags['acquired'][:4]}"


def find_years(workspace: Workspace) -> str:
    """Return the years of the looks that the table names."""
    table = read_alerts(workspace.alerts)
    return describe_years(day.year for name in LOOK_DATES for day in table[name].dropna())


def test_the_table_and_its_csv_state_the_credit(watch: Workspace) -> None:
    words = f"{WORDS} {find_years(watch)}"
    beside = json.loads((watch.output / "alerts.csv-metadata.json").read_text("utf-8"))
    assert (beside["url"], beside["dc:rights"]) == ("alerts.csv", [words])
    with watch.alerts_csv.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert header == [column["name"] for column in beside["tableSchema"]["columns"]] == list(CSV_COLUMNS)
    for layer in ("alerts", "aois"):
        assert pyogrio.read_info(watch.alerts, layer=layer)["layer_metadata"]["DESCRIPTION"] == words
    assert read_rights(watch.alerts) == [words]


def read_rights(path: Path) -> list[str]:
    """Return the rights that QGIS shows of a layer of a GeoPackage, read as QGIS reads them."""
    with updating(path) as connection:
        ((text,),) = connection.execute(
            "SELECT metadata FROM gpkg_metadata LEFT JOIN gpkg_metadata_reference "
            "ON gpkg_metadata_reference.table_name = 'alerts' AND gpkg_metadata.id = gpkg_metadata_reference.md_file_id "
            "WHERE md_standard_uri = 'http://mrcc.com/qgis.dtd' AND reference_scope = 'table' AND md_scope = 'dataset'"
        ).fetchall()
        extensions = connection.execute(
            "SELECT table_name FROM gpkg_extensions WHERE extension_name = 'gpkg_metadata' ORDER BY table_name"
        ).fetchall()
    assert extensions == [("gpkg_metadata",), ("gpkg_metadata_reference",)]
    return [element.text or "" for element in ET.fromstring(text.partition("\n")[2]).iter("rights")]  # noqa: S314


def test_metadata_that_a_person_wrote_stays(watch: Workspace, tmp_path: Path) -> None:
    own = copy_workspace(watch, tmp_path / "own")
    title = "Alerts found by minewatch"  # left as it was
    mine = (
        f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n<qgis version=\"3.40\">\n <title>{title}</title>\n</qgis>"
    )
    with updating(own.alerts) as connection:
        connection.execute("UPDATE gpkg_metadata SET metadata = ?", (mine,))
        connection.execute("UPDATE gpkg_contents SET description = ''")
    assert (
        run("alerts", "review", read_alerts(own.alerts)["alert_id"][0], "--confirm", "--by", "R", "-w", own.root).exit_code == 0
    )
    with updating(own.alerts) as connection:
        assert {text for (text,) in connection.execute("SELECT metadata FROM gpkg_metadata")} == {mine}
    assert pyogrio.read_info(own.alerts, layer="alerts")["layer_metadata"]["DESCRIPTION"].startswith(WORDS)


def test_a_second_scan_leaves_the_credits_alone(watch: Workspace, tmp_path: Path) -> None:
    own = copy_workspace(watch, tmp_path / "own")
    before = (own.output / "alerts.csv-metadata.json").read_bytes()
    scan_small(own)
    assert (own.output / "alerts.csv-metadata.json").read_bytes() == before
    with updating(own.alerts) as connection:
        assert connection.execute("SELECT COUNT(*) FROM gpkg_metadata").fetchone() == (2,)


def test_pages_carry_the_credit_whole_and_show_it_in_two_lines_at_most(tmp_path: Path) -> None:
    credit = f"{WORDS} 2024; provided by {'Añuri $5 ' * 60}"
    colours = np.zeros((*GRID.shape, 3), np.uint8)
    draw_page(tmp_path / "page.png", GRID, colours, lambda _: None, "title", credit=credit)
    with Image.open(tmp_path / "page.png") as page:
        assert page.text["Copyright"] == credit  # type: ignore[attr-defined]
    shown = wrap_credit(credit, 5.5).split("\n")
    assert len(shown) == 2
    assert shown[0].startswith(WORDS)
    assert shown[-1].endswith("...")
    assert wrap_credit(f"{WORDS} 2024", 5.5) == f"{WORDS} 2024"


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_films_carry_the_credit(tmp_path: Path, kind: str) -> None:
    if kind == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    pages = [tmp_path / f"{number}.png" for number in range(2)]
    for number, page in enumerate(pages):
        Image.new("RGB", (64, 64), (90 * number, 30, 30)).save(page)
    film = tmp_path / f"film.{kind}"
    VIDEO_WRITERS[kind](film, pages, (64, 64), f"{WORDS} 2022-2024", iter)
    if kind == "gif":
        with Image.open(film) as image:
            assert image.info["comment"].decode() == f"{WORDS} 2022-2024"
    assert f"{WORDS} 2022-2024".encode() in film.read_bytes()


def test_an_image_and_a_composite_credit_their_days(watch: Workspace, tmp_path: Path) -> None:
    for options in (["--date", UNTIL], ["--date", UNTIL, "--since", "2022-11-01"]):
        answer = run("image", NAME, *options, "-o", tmp_path, "--json", "-w", watch.root)
        assert answer.exit_code == 0, answer.output
        files = json.loads(answer.stdout)["files"]
        tags = tags_of(Path(files["tif"]))
        days = [entry.split()[0] for entry in tags.get("dates", tags["date"]).split(", ")]
        expected = f"{WORDS} {describe_years(int(day[:4]) for day in days)}"
        assert tags["TIFFTAG_COPYRIGHT"] == expected
        with Image.open(files["png"]) as page:
            assert page.text["Copyright"] == expected  # type: ignore[attr-defined]


# --- exports ---------------------------------------------------------------------------------------------------------

LAYER_CREDIT = "© 2020 INGEMMET <open data> & more"


def export_all(workspace: Workspace, folder: Path) -> None:
    formats = "gpkg,csv,xlsx,geojson,kml,fgb,shp" + (",parquet" if importlib.util.find_spec("pyarrow") else "")
    answer = run("alerts", "export", "--format", formats, "-o", folder, "-w", workspace.root)
    assert answer.exit_code == 0, answer.output
    assert str(folder / "alerts.csv-metadata.json") in answer.stdout.split()


@pytest.fixture(scope="module")
def exported(watch: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every export, of a workspace with a context layer that wants credit too."""
    folder = tmp_path_factory.mktemp("exported")
    own = copy_workspace(watch, folder / "watch")
    with own.settings.open("a", encoding="utf-8") as file:
        file.write(f'\n[context.concessions]\nfile = "c.gpkg"\nkind = "concession"\ncredit = "{LAYER_CREDIT}"\n')
    export_all(own, folder / "out")
    return folder / "out"


def read_geojson(folder: Path) -> str:
    return str(json.loads((folder / "alerts.geojson").read_text("utf-8"))["description"])


def read_kml(folder: Path) -> str:
    root = ET.parse(folder / "alerts.kml").getroot()  # noqa: S314
    text = root.findtext(f"{KML}Document/{KML}description") or ""
    balloons = {style.findtext(f"{KML}BalloonStyle/{KML}text") or "" for style in root.iter(f"{KML}Style")}
    assert all(text in balloon for balloon in balloons)
    return html.unescape(text.replace("<br>", "\n"))


def read_csv(folder: Path) -> str:
    return "\n".join(json.loads((folder / "alerts.csv-metadata.json").read_text("utf-8"))["dc:rights"])


def read_xlsx(folder: Path) -> str:
    book = openpyxl.load_workbook(folder / "alerts.xlsx")
    lines = [str(row[0]) for row in book["Credits"].iter_rows(values_only=True)]
    assert lines[-1] == f"Licence: {LEGAL_NOTICE}"
    assert book.properties.description == "\n".join(lines[:-1])
    return "\n".join(lines[:-1])


def read_parquet(folder: Path) -> str:
    metadata = pytest.importorskip("pyarrow.parquet").read_schema(folder / "alerts.parquet").metadata
    assert metadata[b"license"].decode() == LEGAL_NOTICE
    assert b"geo" in metadata
    return str(metadata[b"credit"].decode())


def read_shapefile(folder: Path) -> str:
    with zipfile.ZipFile(folder / "alerts.shp.zip") as archive:
        fgdc = ET.fromstring(archive.read("alerts.shp.xml"))  # noqa: S314
    text = fgdc.findtext("idinfo/datacred") or ""
    assert fgdc.findtext("idinfo/useconst") == f"{text}\n{LEGAL_NOTICE}"
    return text


def read_geopackage(folder: Path) -> str:
    text = str(pyogrio.read_info(folder / "alerts.gpkg", layer="alerts")["layer_metadata"]["DESCRIPTION"])
    assert read_rights(folder / "alerts.gpkg") == text.split("\n")
    return text


def read_flatgeobuf(folder: Path) -> str:
    return str(pyogrio.read_info(folder / "alerts.fgb")["layer_metadata"]["DESCRIPTION"])


@pytest.mark.parametrize(
    "read",
    [read_geojson, read_kml, read_csv, read_xlsx, read_parquet, read_shapefile, read_geopackage, read_flatgeobuf],
)
def test_every_export_states_the_years_and_the_layers_credit(
    exported: Path, watch: Workspace, read: Callable[[Path], str]
) -> None:
    assert read(exported).split("\n") == [f"{WORDS} {find_years(watch)}", f"Context layer concessions: {LAYER_CREDIT}"]


@pytest.mark.server
def test_qgis_shows_the_credits_and_opens_every_export(
    exported: Path, watch: Workspace, tmp_path: Path, run_qgis: Callable[..., Any]
) -> None:
    with zipfile.ZipFile(exported / "alerts.shp.zip") as archive:
        archive.extractall(tmp_path)
    with_rights = [f"{exported / 'alerts.gpkg'}|layername=alerts", str(tmp_path / "alerts.shp")]
    others = [str(exported / name) for name in ("alerts.geojson", "alerts.fgb", "alerts.kml")]
    sheet = f"{exported / 'alerts.xlsx'}|layername=alerts"
    seen = run_qgis("qgis_rights.py", *with_rights, *others, sheet)
    lines = [f"{WORDS} {find_years(watch)}", f"Context layer concessions: {LAYER_CREDIT}"]
    (table, shapefile) = (seen[source]["rights"] for source in with_rights)
    assert table == lines
    assert " ".join(shapefile).startswith(f"{lines[0]} Context layer concessions: © 2020 INGEMMET")  # on one line, without tags
    assert " ".join(shapefile).endswith(LEGAL_NOTICE)
    assert {facts["features"] for facts in seen.values()} == {len(read_alerts(watch.alerts))}


def test_an_export_credits_the_years_of_what_it_holds(watch: Workspace) -> None:
    table = read_alerts(watch.alerts)
    one = table.iloc[:1]
    years = {day.year for name in LOOK_DATES for day in one[name].dropna()}
    assert credit_alerts(watch, one).lines == (f"{WORDS} {describe_years(years)}",)
    assert credit_alerts(watch, table.iloc[:0]).lines == (WORDS,)


def test_exports_of_simulated_alerts_say_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    simulated, _ = make_scanned(tmp_path_factory)
    (line,) = credit_alerts(simulated, read_alerts(simulated.alerts)).lines
    assert line.startswith("Simulated scenes, not real imagery")


def test_damaged_collections_and_settings_stop_no_export(watch: Workspace, tmp_path: Path) -> None:
    own = copy_workspace(watch, tmp_path / "own")
    (Path(own.archive(NAME)) / "collection.json").write_text("[1")
    with own.settings.open("a", encoding="utf-8") as file:
        file.write('\n[context.x]\nkind = "nonsense"\n')
    assert credit_alerts(own, read_alerts(own.alerts)).lines == (f"{WORDS} {find_years(watch)}",)


# --- GeoJSON, CSV, order ---------------------------------------------------------------------------------------------


def test_features_have_the_id_of_their_alert(exported: Path, watch: Workspace) -> None:
    features = json.loads((exported / "alerts.geojson").read_text("utf-8"))["features"]
    assert [feature["id"] for feature in features] == read_alerts(watch.alerts)["alert_id"].tolist()
    assert all(feature["id"] == feature["properties"]["alert_id"] for feature in features)
    assert all("feature_id" not in feature["properties"] for feature in features)


def export_csv(folder: Path, locale: str | None, **changes: Any) -> bytes:
    (table, _) = export_alerts(make_table(**changes), folder, ("csv",), ExportOptions(locale=locale))
    return table.path.read_bytes()


@pytest.mark.parametrize("locale", ["es", "fr", "pt"])
def test_a_csv_for_excel_has_semicolons_commas_and_a_mark(tmp_path: Path, locale: str) -> None:
    data = export_csv(tmp_path, locale, review_note='ñandú; "x", 1.5', reviewed_by="=1+1")
    assert data.startswith(b"\xef\xbb\xbfalert_id;aoi;status;first_seen;area_ha;lat;lon;")
    _, row = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";")
    assert (row["area_ha"], row["lat"], row["ndvi_change"], row["looks"]) == ("2,5", "-12,95", "-0,4", "7")
    assert (row["first_seen"], row["confirmed_on"]) == ("2024-02-01", "")
    assert row["review_note"] == 'ñandú; "x", 1.5', "text is left as it was written"
    assert row["reviewed_by"] == "'=1+1"
    beside = json.loads((tmp_path / "alerts.csv-metadata.json").read_text("utf-8"))
    assert beside["dialect"]["delimiter"] == ";"
    (area,) = (column for column in beside["tableSchema"]["columns"] if column["name"] == "area_ha")
    assert area["datatype"] == {"base": "number", "format": {"decimalChar": ","}}


def test_the_default_is_for_programs(tmp_path: Path) -> None:
    data = export_csv(tmp_path, None)
    assert data.startswith(b"alert_id,aoi,status,first_seen,area_ha,lat,lon,")
    assert b";" not in data
    assert export_csv(tmp_path, "en") == b"\xef\xbb\xbf" + data


def test_pandas_reads_each_dialect_alike(tmp_path: Path) -> None:
    plain = pd.read_csv(io.BytesIO(export_csv(tmp_path, None)))
    for locale, dialect in DIALECTS.items():
        data = io.BytesIO(export_csv(tmp_path, locale))
        table = pd.read_csv(data, sep=dialect.delimiter, decimal=dialect.decimal, encoding=dialect.encoding)
        pd.testing.assert_frame_equal(table, plain)


def test_an_unknown_locale_is_refused_in_one_line(tmp_path: Path, watch: Workspace) -> None:
    answer = run("alerts", "export", "--format", "csv", "--locale", "de", "-o", tmp_path, "-w", watch.root)
    assert answer.exit_code == 2
    assert "'de' is not one of 'en', 'es', 'fr', 'pt'" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_tables_have_one_order_of_columns(exported: Path, watch: Workspace) -> None:
    names = [column.name for column in ALERT_COLUMNS]
    with (exported / "alerts.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == names
    sheet = openpyxl.load_workbook(exported / "alerts.xlsx")["alerts"]
    assert [cell.value for cell in sheet[1]] == names
    features = json.loads((exported / "alerts.geojson").read_text("utf-8"))["features"]
    assert list(features[0]["properties"]) == names
    for path in (exported / "alerts.gpkg", watch.alerts):
        assert pyogrio.read_info(path, layer="alerts")["fields"].tolist() == names
    with watch.alerts_csv.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert ["first_seen" if name == "date" else name for name in header] == [name for name in names if name != "run_id"]
    assert header[:7] == ["alert_id", "aoi", "status", "date", "area_ha", "lat", "lon"]
