"""What mining cost the land: numbers that can be checked by hand, always as ranges, and never of what does not stand for it."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from rasterio.transform import from_origin
from shapely.geometry import box

from minewatch.cli import main
from minewatch.core.errors import WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.products.impact.assess import find_country
from minewatch.products.impact.figures import Figure, Range, add_figures, list_alluvial, list_cleared
from minewatch.products.report.impact_words import write_range
from minewatch.products.report.texts import read_texts
from minewatch.raster.area_mean import open_map
from minewatch.settings.document import init_workspace, read_impact
from minewatch.settings.impact import CALCULATOR, ImpactTable
from tests.helpers.tables import make_alert, put, review

EXACT = ImpactTable(area_error=0.0)
"""The defaults, for an area that is known."""

STANDS, BY_BOTH, GREEN, WAITS, DISMISSED, MERGED = (make_alert(number).alert_id for number in range(6))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that no test may change."""
    made = init_workspace(tmp_path_factory.mktemp("impact") / "watch")
    day = make_alert(0).confirmed_on
    put(
        made.alerts,
        make_alert(0),
        make_alert(1, area_ha=3.0),
        make_alert(2, status="closed", closed_on=day),
        make_alert(3, status="provisional", confirmed_on=None),
        make_alert(4, status="dismissed"),
        make_alert(5, status="closed", closed_on=day, merged_into=STANDS),
        context={STANDS: {"admin_unit": "Tambopata, Madre de Dios, Perú"}},
    )
    review(made.alerts, BY_BOTH)
    return made


@pytest.fixture
def workspace(made: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(made.root, tmp_path / "watch"))


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "impact", *map(str, words)], env={"COLUMNS": "80"})


def compute(workspace: Workspace, *words: str | Path) -> Any:
    result = run(workspace, "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def ends(figures: Any) -> dict[str, tuple[float, float]]:
    return {one["figure"] + (f" {one['biome']}" if one["biome"] else ""): (one["low"], one["high"]) for one in figures}


# --- the figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "gold", "mercury"),
    [("PE", 0.6080625, 1.5809625), ("BR", 1.725, 4.485), ("CO", 0.8625, 2.009625), ("BO", 0.733125, 5.131875)],
)
def test_a_hectare_of_pits(code: str, gold: float, mercury: float) -> None:
    """10 000 m² x 2.5 m; half of it in place, 2.76 t/m³, an eighth of that gravel: 4312.5 t."""
    figures = list_alluvial(Range(1, 1), EXACT, EXACT.countries[code])
    found = {figure.key: figure.range for figure in figures}
    expected = {"soil": 25_000, "silt": 3_750, "gold": gold, "mercury": mercury}
    assert {key: (range_.low, range_.high) for key, range_ in found.items()} == {
        key: (pytest.approx(value), pytest.approx(value)) for key, value in expected.items()
    }


def test_every_assumption_widens_the_range_on_its_side() -> None:
    wide = ImpactTable.model_validate(
        {"depth_m": [2, 4], "digging_loss": [1, 2], "cover_per_gravel": [3, 7], "countries": {"PE": {"ore_grade": [0.1, 0.2]}}}
    )
    gold = {figure.key: figure.range for figure in list_alluvial(Range(1, 1), wide, wide.countries["PE"])}["gold"]
    assert gold.low == pytest.approx(10_000 * 2 / 2 * 2.76 / 8 * 0.1 / 1000)
    assert gold.high == pytest.approx(10_000 * 4 / 1 * 2.76 / 4 * 0.2 / 1000)


def test_low_is_added_to_low_and_high_to_high() -> None:
    total = add_figures([Figure("soil", Range(1, 4)), Figure("gold", Range(0, 1)), Figure("soil", Range(2, 2))])
    assert [(figure.key, figure.range) for figure in total] == [("soil", Range(3, 6)), ("gold", Range(0, 1))]
    parts = [*list_cleared(Range(1, 2), {"B": 0.5, "": 0.5}, ""), *list_cleared(Range(1, 2), {"A": 1.0}, "")]
    assert [(figure.biome, figure.range.low) for figure in add_figures(parts)] == [("A", 1.0), ("B", 0.5), ("", 0.5)]


@pytest.mark.parametrize(
    ("range_", "written"),
    [
        (Range(0.547256, 0.668869), "0.547 – 0.669"),
        (Range(22_500, 27_500), "22,500 – 27,500"),
        (Range(2, 2), "2.00 – 2.00"),
        (Range(0, 12.3456), "0.0 – 12.3"),
        (Range(0, 0), "0 – 0"),
        (Range(0.00001234, 0.00002), "0.0000123 – 0.0000200"),
    ],
)
def test_a_range_is_always_written_as_two_numbers(range_: Range, written: str) -> None:
    assert write_range(range_, read_texts("en")) == written


# --- which alerts count ------------------------------------------------------------------------------------------------


def test_confirmed_alerts_count_and_it_is_said_by_whom(workspace: Workspace) -> None:
    data = compute(workspace, "--all", "--mining", "alluvial", "--country", "BR")
    said = {one["alert_id"]: (one["confirmed_by_method"], one["confirmed_by_person"]) for one in data["alerts"]}
    assert said == {STANDS: (True, None), BY_BOTH: (True, "Rosa"), GREEN: (True, None)}
    assert data["left_out"] == {"provisional": 1, "dismissed": 1, "merged": 1}
    assert data["mining"] == "alluvial"
    assert "alluvial gold mining" in data["holds_for"]
    total = ends(data["total"])
    assert total["cleared"] == pytest.approx((0.9 * 5, 1.1 * 5))
    assert total["gold"] == pytest.approx((1.725 * 0.9 * 5, 1.725 * 1.1 * 5))
    assert all(one["low"] < one["high"] and one["unit"] and one["formula"] and all(one["source"]) for one in data["total"])
    assert {one["key"] for one in data["assumptions"]} >= {"area_error", "depth_m", "countries.BR.ore_grade"}


def test_a_person_alone_confirms(workspace: Workspace) -> None:
    review(workspace.alerts, WAITS)
    (alert,) = compute(workspace, WAITS, "--mining", "other")["alerts"]
    assert (alert["confirmed_by_method"], alert["confirmed_by_person"]) == (False, "Rosa")


def test_other_mining_tells_only_what_grew_there(workspace: Workspace) -> None:
    data = compute(workspace, "--aoi", "pampa", "--mining", "other")
    assert list(ends(data["total"])) == ["cleared"]
    assert [one["key"] for one in data["assumptions"]] == ["area_error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--all",), "the kind of mining is not known"),
        (("--all", "--mining", "alluvial"), f"the country of {BY_BOTH} and of 1 more is not known; give --country"),
        (("--all", "--mining", "alluvial", "--country", "GH"), "no values for country GH; known: BO, BR"),
        ((WAITS, "--mining", "other"), f"{WAITS} stands for no mining: it is not confirmed"),
        ((DISMISSED, "--mining", "other"), "it was dismissed"),
        ((MERGED, "--mining", "other"), f"merged ({STANDS})"),
        (("nobody", "--mining", "other"), "there is no alert 'nobody'"),
        (("--aoi", "x", "--mining", "other"), "there is no area x in the table; known areas: pampa"),
        (("--all", "--mining", "other", "--set", "depth_m=[4,2]"), "impact.depth_m: give [low, high]"),
        (("--all", "--mining", "other", "--set", "depht_m=2"), "did you mean 'depth_m'?"),
        (("--all", "--mining", "other", "--set", "depth_m"), "write it as KEY=VALUE"),
        (("--all", "--mining", "other", "--set", "countries.PE.ore_grade=nan"), "countries.PE.ore_grade: give [low, high]"),
        (("--all", "--mining", "other", "--carbon", "none.tif"), "is not there"),
    ],
)
def test_refusals_are_one_line(workspace: Workspace, words: tuple[str, ...], said: str) -> None:
    result = run(workspace, *words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr


def test_one_choice_is_needed(workspace: Workspace) -> None:
    assert run(workspace, "--mining", "other").exit_code == 2
    assert run(workspace, STANDS, "--all", "--mining", "other").exit_code == 2


def test_no_alert_that_counts_is_a_result(tmp_path: Path) -> None:
    workspace = init_workspace(tmp_path / "watch")
    put(workspace.alerts, make_alert(0, status="provisional", confirmed_on=None))
    result = run(workspace, "--all", "--mining", "alluvial")
    assert result.exit_code == 0
    assert "No alert counts" in result.stdout
    assert compute(workspace, "--all", "--mining", "alluvial")["total"] == []


def test_what_is_printed_fits_a_terminal_and_names_its_sources(workspace: Workspace) -> None:
    text = run(workspace, "--all", "--mining", "alluvial", "--country", "PE", "--set", "depth_m=[2,4]").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "confirmed by the method, Rosa; PE, as stated" in text
    assert "= soil moved ÷ digging loss × density ÷ (1 + cover per gravel) × ore grade" in text
    assert "10.3390/ijerph182211869" in text
    assert "as set here" in text


def test_a_spreadsheet_gets_a_line_a_figure(workspace: Workspace) -> None:
    review(workspace.alerts, STANDS, "=1+1")
    result = run(workspace, STANDS, "--mining", "alluvial", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["figure"] for row in rows] == 2 * ["cleared", "soil", "silt", "gold", "mercury"]
    assert {row["alert_id"] for row in rows} == {STANDS, ""}
    assert (rows[3]["country"], float(rows[3]["low"])) == ("PE", pytest.approx(0.6080625 * 0.9, abs=1e-6))


# --- assumptions -------------------------------------------------------------------------------------------------------


def test_own_values_do_not_claim_the_calculator_as_their_source(workspace: Workspace) -> None:
    with workspace.settings.open("a") as file:
        file.write("\n[impact]\ndepth_m = 3\n[impact.countries.PE]\nore_grade = [0.1, 0.3]\n")
        file.write('[impact.countries.GH]\nore_grade = 0.2\nmercury_per_gold = 1\nsource = "own survey 2024"\n')
    assumed = read_impact(workspace)
    assert (assumed.depth_m, assumed.countries["PE"].source, assumed.countries["BR"].source) == ((3, 3), "", CALCULATOR)
    assert assumed.countries["PE"].mercury_per_gold == (2.6, 2.6)
    data = compute(workspace, STANDS, "--mining", "alluvial", "--country", "GH")
    sources = {one["key"]: one["source"] for one in data["assumptions"]}
    assert (sources["depth_m"], sources["countries.GH.ore_grade"]) == ("as set here", "own survey 2024")


@pytest.mark.parametrize(
    "table",
    [
        "depth_m = 0",
        "depth_m = [1, inf]",
        "depth_m = [1, 2, 3]",
        "depth_m = true",
        'depth_m = "deep"',
        "silt_share = 1.2",
        "area_error = 1",
        'mining = "strip"',
        "countries = 3",
        "countries.peru = { ore_grade = 1, mercury_per_gold = 1 }",
        "countries.PE = 3",
        "countries.PE = { grade = 3 }",
    ],
)
def test_unusable_assumptions_are_refused_by_their_key(workspace: Workspace, table: str) -> None:
    with workspace.settings.open("a") as file:
        file.write(f"\n[impact]\n{table}\n")
    with pytest.raises(WorkspaceError, match=r"impact\."):
        read_impact(workspace)


@pytest.mark.parametrize(
    ("units", "country"),
    [
        ("Tambopata, Madre de Dios, PERÚ", "PE"),
        ("Itaituba, Pará, Brasil", "BR"),
        ("Bolivia, Plurinational State of", "BO"),
        ("PE", None),  # Pernambuco
        ("Perulandia", None),
        ("Peru, Brazil", None),
        ("", None),
        (math.nan, None),
    ],
)
def test_a_country_is_what_a_layer_says(units: object, country: str | None) -> None:
    names = {"peru": "PE", "brasil": "BR", "brazil": "BR", "bolivia": "BO"}
    assert find_country(units, names)[0] == country


def test_the_layer_that_names_the_country_is_told(workspace: Workspace) -> None:
    (alert,) = compute(workspace, STANDS, "--mining", "alluvial")["alerts"]
    assert (alert["country"], alert["country_stated"], alert["country_unit"]) == ("PE", False, "Perú")


def test_a_stated_country_holds_and_a_layer_that_says_otherwise_is_told(workspace: Workspace) -> None:
    text = " ".join(run(workspace, STANDS, "--mining", "alluvial", "--country", "BR").stdout.split())
    assert "BR, as stated; the administrative unit “Perú” says otherwise" in text
    assert "otherwise" not in run(workspace, STANDS, "--mining", "alluvial", "--country", "pe").stdout


# --- biomes and carbon -------------------------------------------------------------------------------------------------

LEFT = -69.99
"""Western edge of the first alert, which is 0.001 degrees wide and high."""


def test_ground_in_two_biomes_counts_once_and_the_rest_is_unknown(workspace: Workspace) -> None:
    west, both = box(LEFT - 1, -13, LEFT + 0.0005, -12), box(LEFT + 0.00025, -13, LEFT + 0.00075, -12)
    rows = [{"BIOME": "Amazon", "geometry": west}, {"BIOME": "Cerrado", "geometry": both}]
    gpd.GeoDataFrame(rows, geometry="geometry", crs=4326).to_file(workspace.context / "biomes.gpkg")
    with workspace.settings.open("a") as file:
        file.write('\n[context.biomes]\nfile = "biomes.gpkg"\nkind = "biome"\nname = "BIOME"\n')
    data = compute(workspace, STANDS, "--mining", "other", "--set", "area_error=0.0")
    assert ends(data["total"]) == {
        "cleared Amazon": pytest.approx((0.5, 0.5), rel=1e-4),
        "cleared Cerrado": pytest.approx((0.25, 0.25), rel=1e-4),
        "cleared": pytest.approx((0.25, 0.25), rel=1e-4),
    }
    assert "outside the biomes declared" in run(workspace, STANDS, "--mining", "other").stdout


def write_map(path: Path, pixels: Any, *, side: float = 0.0005, crs: str | None = "EPSG:4326", **more: Any) -> Path:
    numbers = np.asarray(pixels)
    numbers = numbers if numbers.ndim == 3 else numbers[None]
    count, height, width = numbers.shape
    place = {"transform": from_origin(LEFT, -12.949, side, side), "crs": crs}
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=numbers.dtype, **place, **more
    ) as file:
        file.write(numbers)
    return path


def test_carbon_is_the_mean_on_the_ground_and_none_or_as_much_where_there_is_no_data(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = write_map(tmp_path / "carbon.tif", np.float32([[100, 200], [-9999, -9999]]), nodata=-9999)
    data = compute(workspace, STANDS, "--mining", "other", "--carbon", path, "--set", "area_error=0.0")
    (alert,) = data["alerts"]
    assert alert["carbon_known"] == pytest.approx(0.5, abs=1e-6)
    assert ends(alert["figures"])["carbon"] == pytest.approx((75, 150), rel=1e-4)
    assert alert["figures"][1]["source"] == ["carbon.tif"], "where it lies on this machine is private"
    assert ends(alert["figures"])["co2"] == pytest.approx((75 * 44 / 12, 150 * 44 / 12), rel=1e-4)
    text = run(workspace, STANDS, "--mining", "other", "--carbon", path).stdout
    assert "data for 50 % of its ground" in text.replace("\n  ", " ")
    dry = compute(workspace, STANDS, "--mining", "other", "--carbon", path, "--set", "carbon_share=[0.44, 0.49]")
    assert ends(dry["total"])["carbon"] == pytest.approx((75 * 0.44 * 0.9, 150 * 0.49 * 1.1), rel=1e-4)


def test_carbon_elsewhere_is_no_carbon(workspace: Workspace, tmp_path: Path) -> None:
    path = write_map(tmp_path / "carbon.tif", np.float32([[100, 100], [100, 100]]))
    data = compute(workspace, "--all", "--mining", "other", "--carbon", path)
    assert [one["carbon_known"] for one in data["alerts"]] == [pytest.approx(1.0), 0.0, 0.0]
    assert ends(data["total"])["carbon"] == pytest.approx((90, 110), rel=1e-4)
    text = run(workspace, "--all", "--mining", "other", "--carbon", path).stdout
    assert " ".join(text.split()).count("no data on its ground") == 2


def test_pixels_count_by_their_share_in_any_projection(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", np.uint8([[10, 20], [30, 40]]))
    with open_map(path) as measure:
        found = measure(box(LEFT, -12.9495, LEFT + 0.00075, -12.949))
        assert (found.mean, found.lowest, found.highest) == (pytest.approx((10 + 20 / 2) / 1.5, rel=1e-6), 10, 20)
        assert measure(box(0, 0, 1, 1)).share == 0
    utm = {"crs": "EPSG:32719", "transform": from_origin(392_000, 8_569_000, 1000, 1000)}
    with rasterio.open(tmp_path / "utm.tif", "w", driver="GTiff", count=1, height=9, width=9, dtype="int16", **utm) as file:
        file.write(np.full((1, 9, 9), 7, np.int16))
    with open_map(tmp_path / "utm.tif") as measure:
        found = measure(make_alert(0).geometry)
    assert (found.mean, found.share) == (7, pytest.approx(1))


@pytest.mark.parametrize(
    ("pixels", "more", "said"),
    [
        (np.float32([[-5, 5], [5, 5]]), {}, "no tonnes of carbon a hectare"),
        (np.uint16([[65535, 5], [5, 5]]), {}, "no tonnes of carbon a hectare"),
        (np.ones((2, 2, 2), np.uint8), {}, "it has 2 bands"),
        (np.ones((2, 2), np.complex64), {}, "its numbers are of type complex64"),
        (np.ones((2, 2), np.uint8), {"crs": None}, "it says no place on earth"),
        (None, {}, "cannot be read as a GeoTIFF"),
    ],
)
def test_what_is_no_carbon_map_is_refused(workspace: Workspace, tmp_path: Path, pixels: Any, more: Any, said: str) -> None:
    path = tmp_path / "carbon.tif"
    if pixels is None:
        path.write_text("<VRTDataset/>")
    else:
        write_map(path, pixels, **more)
    result = run(workspace, STANDS, "--mining", "other", "--carbon", path)
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
