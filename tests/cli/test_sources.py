"""``minewatch source``: what is listed, what a check finds, and that no secret is ever shown."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from shapely.geometry import box

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from minewatch.settings.providers import PROVIDERS
from minewatch.sources import login as login_module
from tests.helpers.hosts import Answer, serve_host
from tests.helpers.rasters import FOREST, make_item, write_catalog
from tests.helpers.servers import ServeFolder, ServeItems
from tests.helpers.small import UNTIL, make_series, make_workspace

AREA = box(-70.4, -12.8, -70.3, -12.7)
ELSEWHERE = box(10, 50, 10.1, 50.1)

COLLECTION: dict[str, Any] = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "sentinel-2-l2a",
    "description": "Scenes for a test",
    "license": "other",
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
    "links": [],
}

NAMES = ["address", "STAC", "collection", "newest item over here", "assets", "files", "offset", "credentials", "pixels"]


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every command outside any workspace, and without a login; files of items are taken for good ones.

    Reading them is tested in tests/sources/test_tokens.py.
    """
    monkeypatch.setattr("minewatch.raster.credentials.read_first_bytes", lambda _scene, _band: "")
    monkeypatch.setattr("minewatch.raster.line.measure_line", lambda _scene, _band: None)
    for name in ("MINEWATCH_WORKSPACE", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")


@pytest.fixture
def watch(tmp_path: Path) -> Workspace:
    """A workspace with one area, ``here``."""
    workspace = init_workspace(tmp_path / "watch")
    write_aoi(workspace, Aoi("here", AREA, dt.date(2020, 1, 1)))
    return workspace


def run(*arguments: str, workspace: Workspace | None = None) -> Result:
    words = ["-w", str(workspace.root), *arguments] if workspace else list(arguments)
    return CliRunner().invoke(main, words, catch_exceptions=False, prog_name="minewatch")


def list_sources(workspace: Workspace | None = None) -> dict[str, dict[str, Any]]:
    answer = run("source", "list", "--json", workspace=workspace)
    assert answer.exit_code == 0, answer.stderr
    return {row["source"]: row for row in json.loads(answer.stdout)}


def check(name: str, *options: str, workspace: Workspace | None = None) -> dict[str, Any]:
    """Check a source; give its answers, and each check by its name."""
    answer = run("source", "check", name, "--json", *options, workspace=workspace)
    document: dict[str, Any] = json.loads(answer.stdout)
    assert answer.exit_code == (0 if document["passed"] else 1)
    return document | {row["check"]: row for row in document["checks"]}


def set_sources(workspace: Workspace, text: str) -> None:
    workspace.settings.write_text(f"{workspace.settings.read_text()}\n{text}")


def add_login(workspace: Workspace, root: str) -> None:
    """Register a source with a login of its own."""
    place = "url" if "://" in root else "path"
    login = 'endpoint = "s3.example.org"\nkey_variable = "OURS_ACCESS_KEY"\nsecret_variable = "OURS_SECRET_KEY"'
    set_sources(workspace, f'[sources.ours]\ntitle = "Our own"\n{place} = "{root}"\n[sources.ours.s3]\n{login}')


def today() -> dt.date:
    """Return the date in UTC; a test may run on the day after its module was loaded."""
    return dt.datetime.now(dt.UTC).date()


def web_item(name: str, days: int, **properties: Any) -> dict[str, Any]:
    time = f"{today() - dt.timedelta(days=days)}T00:00:00Z"
    assets = {band: f"https://files.example.org/{name}/{band}.tif" for band in FOREST}
    return make_item(name, time=time, assets=assets, **properties)


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_built_in_sources_need_no_workspace() -> None:
    assert list(list_sources()) == list(PROVIDERS)
    answer = run("source", "list")
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["source", *PROVIDERS]
    assert PROVIDERS["cdse"].root in answer.stdout


def test_sources_of_the_workspace_are_listed_too(watch: Workspace, tmp_path: Path) -> None:
    add_login(watch, str(write_catalog(tmp_path / "cat", [])))
    rows = list_sources(watch)
    assert list(rows) == [*PROVIDERS, "ours"]
    assert rows["ours"]["title"] == "Our own"
    assert rows["ours"]["address"] == str(tmp_path / "cat" / "catalog.json")
    assert (rows["ours"]["built_in"], rows["cdse"]["built_in"]) == (False, True)
    assert "earth-search" in run("source", "list", workspace=watch).stderr


def test_a_workspace_that_was_named_must_be_there(tmp_path: Path) -> None:
    answer = run("source", "list", workspace=Workspace(tmp_path / "gone"))
    assert answer.exit_code == 1
    assert "is no workspace" in answer.stderr
    assert "make one with: minewatch init" in answer.stderr


def test_the_folder_of_a_what_if_is_no_workspace_to_be(tmp_path: Path) -> None:
    (tmp_path / "alerts.csv").write_text("aoi\n")
    answer = run("alerts", "list", workspace=Workspace(tmp_path))
    assert f"holds results, and is no workspace (no minewatch.toml); its alerts: {tmp_path / 'alerts.csv'}" in answer.stderr


@pytest.mark.parametrize(
    ("given", "found", "missing"),
    [
        ({}, [], ["CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"]),
        ({"CDSE_S3_ACCESS_KEY": "x", "CDSE_S3_SECRET_KEY": " "}, ["CDSE_S3_ACCESS_KEY"], ["CDSE_S3_SECRET_KEY"]),
        ({"CDSE_S3_ACCESS_KEY": "x", "CDSE_S3_SECRET_KEY": "y"}, ["CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"], []),
    ],
)
def test_credentials_are_named_by_their_variables(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], found: list[str], missing: list[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert list_sources()["cdse"]["credentials"] == {"needed": True, "found": found, "missing": missing}
    line = next(line for line in run("source", "list").stdout.splitlines() if line.startswith("cdse"))
    assert all(name in line for name in (*found, *missing))


@pytest.mark.parametrize("installed", [True, False])
def test_the_package_that_signs_is_looked_for(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    spec = importlib.util.find_spec("json") if installed else None
    monkeypatch.setattr(login_module, "find_spec", lambda _name: spec)
    login = list_sources()["planetary-computer"]["credentials"]
    assert login == {
        "needed": True,
        "found": ["planetary-computer"] if installed else [],
        "missing": [] if installed else ["planetary-computer"],
    }


def test_a_fault_in_the_settings_stops_the_list(watch: Workspace) -> None:
    set_sources(watch, '[sources.ours]\nulr = "https://stac.example.org"')
    answer = run("source", "list", workspace=watch)
    assert answer.exit_code == 1
    assert "unknown key 'sources.ours.ulr'; did you mean 'url'?" in " ".join(answer.stderr.split())


# --- a check of a static catalogue -----------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Two scenes on disk."""
    items = [make_item("older", time="2020-07-04T14:50:21Z"), make_item("newer", time="2020-07-09T23:59:59Z")]
    return write_catalog(tmp_path / "cat", items)


def test_a_good_catalogue_passes(watch: Workspace, catalog: Path) -> None:
    answer = check(str(catalog), workspace=watch)
    assert answer["passed"]
    assert [row["check"] for row in answer["checks"]] == NAMES
    age = (today() - dt.date(2020, 7, 9)).days
    assert answer["newest"] == [{"aoi": "here", "id": "newer", "date": "2020-07-09", "age_days": age}]
    assert "older than a month" in answer["newest item over here"]["advice"]
    assert answer["assets"]["text"] == "blue, green, red, nir, swir16, scl"
    assert answer["files"]["text"] == "on this machine"
    assert answer["credentials"]["text"] == "none needed"


def test_the_answers_are_lines_that_can_be_read(watch: Workspace, catalog: Path) -> None:
    answer = run("source", "check", str(catalog), workspace=watch)
    assert answer.exit_code == 0
    lines = [line for line in answer.stdout.splitlines() if "->" not in line]
    assert len(lines) == len(NAMES)
    assert all(line.startswith("ok") for line in lines)


def test_without_a_workspace_any_scene_will_do(catalog: Path) -> None:
    answer = check(str(catalog.parent))
    assert answer["passed"]
    assert answer["an item anywhere"]["text"].startswith("newer of 2020-07-09")


def test_each_area_is_asked_for_unless_one_is_named(watch: Workspace, catalog: Path) -> None:
    write_aoi(watch, Aoi("there", ELSEWHERE, dt.date(2020, 1, 1)))
    both = check(str(catalog), workspace=watch)
    assert not both["passed"]
    assert (both["newest item over here"]["passed"], both["newest item over there"]["passed"]) == (True, False)
    assert both["newest item over there"]["advice"]
    assert check(str(catalog), "--aoi", "here", workspace=watch)["passed"]
    unknown = run("source", "check", str(catalog), "--aoi", "nowhere", workspace=watch)
    assert unknown.exit_code == 1
    assert "nowhere" in unknown.stderr


def test_other_bands_are_told(watch: Workspace, tmp_path: Path) -> None:
    root = write_catalog(tmp_path / "landsat", [make_item("a", assets={"B4": "x.tif", "qa_pixel": "x.tif"})])
    answer = check(str(root), workspace=watch)
    assert [row["check"] for row in answer["checks"] if row["passed"] is False] == ["assets"]
    assert (answer["files"]["passed"], answer["offset"]["passed"]) == (None, None)
    assert "[sources.NAME.assets]" in answer["assets"]["advice"]


def test_files_that_a_scan_would_refuse_are_told(watch: Workspace, tmp_path: Path) -> None:
    assets = {band: f"./{band}.tif" for band in FOREST} | {"red": "/etc/passwd"}
    answer = check(str(write_catalog(tmp_path / "cat", [make_item("a", assets=assets)])), workspace=watch)
    assert [row["check"] for row in answer["checks"] if row["passed"] is False] == ["files"]
    assert "red" in answer["files"]["text"]


def test_files_in_a_store_without_a_login_are_remarked(watch: Workspace, tmp_path: Path) -> None:
    item = make_item("a", assets={band: f"s3://eodata/a/{band}.jp2" for band in FOREST})
    root = write_catalog(tmp_path / "cat", [item])
    answer = check(str(root), workspace=watch)
    assert answer["files"]["text"] == "s3://eodata"
    assert "[sources.NAME.s3]" in answer["files"]["advice"]
    add_login(watch, str(root))
    answer = check("ours", workspace=watch)
    assert answer["files"]["advice"] == ""
    assert answer["credentials"]["passed"] is False
    assert answer["credentials"]["advice"] == "set OURS_ACCESS_KEY and OURS_SECRET_KEY in the environment"


@pytest.mark.parametrize("time", ["yesterday", None, "0001-01-01T00:00:00Z"])
def test_an_item_without_a_date_hides_no_other_and_is_named_alone(watch: Workspace, tmp_path: Path, time: str | None) -> None:
    odd = make_item("odd")
    odd["properties"]["datetime"] = time
    both = write_catalog(tmp_path / "both", [odd, make_item("good")])
    assert check(str(both), workspace=watch)["newest"][0]["id"] == "good"
    alone = check(str(write_catalog(tmp_path / "alone", [odd])), workspace=watch)
    assert alone["newest item over here"]["passed"] is False
    assert "odd" in alone["newest item over here"]["text"]


def test_an_item_that_holds_nonsense_is_told(watch: Workspace, tmp_path: Path) -> None:
    odd = make_item("odd", **{"eo:cloud_cover": "some"})
    answer = check(str(write_catalog(tmp_path / "cat", [odd])), workspace=watch)
    assert [row["check"] for row in answer["checks"] if row["passed"] is False] == ["files"]
    assert "odd" in answer["files"]["text"]


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"s2:processing_baseline": "02.14"}, "nothing is added"),
        ({"s2:processing_baseline": "05.09"}, "-1000 to its digital numbers"),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, "rule earth-search: nothing is added"),
    ],
)
def test_the_offset_is_told(watch: Workspace, tmp_path: Path, properties: dict[str, Any], text: str) -> None:
    root = write_catalog(tmp_path / "cat", [make_item("a", **properties)])
    assert text in check(str(root), workspace=watch)["offset"]["text"]


def test_text_of_strangers_does_not_steer_the_terminal(watch: Workspace, tmp_path: Path) -> None:
    root = write_catalog(tmp_path / "cat", [make_item("a")])
    root.write_text(json.dumps(json.loads(root.read_text()) | {"title": "\x1b[2Jgone\nok      credentials  all is well"}))
    answer = run("source", "check", str(root), workspace=watch)
    assert "\x1b" not in answer.stdout
    assert len([line for line in answer.stdout.splitlines() if "->" not in line]) == len(NAMES)


# --- what is no source -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["earth-serch", "./gone/catalog.json", ""])
def test_a_name_that_nobody_knows_is_one_red_line(watch: Workspace, name: str) -> None:
    answer = run("source", "check", name, workspace=watch)
    assert answer.exit_code == 1
    assert "does not exist" in answer.stderr
    assert "earth-search, earth-search-c1, planetary-computer, cdse" in " ".join(answer.stderr.split())
    assert answer.stdout == ""


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", b'{"type": "FeatureCollection", "features": []}'])
def test_what_answers_and_is_no_stac_is_told(watch: Workspace, content: bytes) -> None:
    def page(answer: Answer, _number: int) -> None:
        answer.send(200, content)

    with serve_host() as host:
        host.answer = page
        answer = check(f"{host.url}/v1", workspace=watch)
    assert [row["passed"] for row in answer["checks"]] == [True, False, None, None, None, None, None, True, None]
    assert "is no STAC" in answer["STAC"]["text"]


def test_an_address_that_does_not_answer_is_told(watch: Workspace) -> None:
    def refuse(answer: Answer, _number: int) -> None:
        answer.send(404, b"{}")

    with serve_host() as host:
        host.answer = refuse
        answer = check(f"{host.url}/v1?token=MARKER", workspace=watch)
    assert [row["check"] for row in answer["checks"]] == NAMES
    assert [row["passed"] for row in answer["checks"]] == [False, *[None] * 6, True, None]
    assert "404" in answer["address"]["text"]
    assert answer["address"]["advice"]
    assert "MARKER" not in json.dumps(answer)


# --- a real STAC API -------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_good_api_passes(watch: Workspace, stac_api: ServeItems) -> None:
    items = [web_item("late", 3), web_item("early", 40), web_item("far", 1)]
    items[2] |= {"geometry": ELSEWHERE.__geo_interface__, "bbox": list(ELSEWHERE.bounds)}
    answer = check(stac_api(items, COLLECTION), workspace=watch)
    assert answer["passed"], answer
    assert [row["check"] for row in answer["checks"]] == NAMES
    day = today() - dt.timedelta(days=3)
    assert answer["newest"] == [{"aoi": "here", "id": "late", "date": day.isoformat(), "age_days": 3}]
    assert answer["address"]["text"].startswith("answers in ")
    assert "STAC API" in answer["STAC"]["text"]
    assert answer["files"]["text"] == "https://files.example.org"


@pytest.mark.server
@pytest.mark.parametrize("days", [0, 31, 200, 1000, 3000])
def test_the_newest_item_is_found_however_old_it_is(watch: Workspace, stac_api: ServeItems, days: int) -> None:
    url = stac_api([web_item("newest", days), web_item("older", days + 5)], COLLECTION)
    assert check(url, workspace=watch)["newest"][0] | {"date": ""} == {
        "aoi": "here",
        "id": "newest",
        "date": "",
        "age_days": days,
    }


@pytest.mark.server
def test_an_api_without_the_collection_names_those_it_has(watch: Workspace, stac_api: ServeItems) -> None:
    url = stac_api([web_item("a", 3)], COLLECTION | {"id": "sentinel-2-l2a-ours"})
    answer = check(url, workspace=watch)
    assert [row["check"] for row in answer["checks"] if row["passed"] is False] == ["collection"]
    assert "sentinel-2-l2a-ours" in answer["collection"]["advice"]
    set_sources(watch, f'[sources.ours]\nurl = "{url}"\ncollection = "sentinel-2-l2a-ours"')
    assert check("ours", workspace=watch)["passed"]


@pytest.mark.server
def test_an_api_without_a_scene_over_the_area_is_told(watch: Workspace, stac_api: ServeItems) -> None:
    write_aoi(watch, Aoi("there", ELSEWHERE, dt.date(2020, 1, 1)))
    answer = check(stac_api([web_item("a", 3)], COLLECTION), "--aoi", "there", workspace=watch)
    assert answer["newest item over there"]["text"] == "no item at all"


@pytest.mark.server
def test_a_catalogue_on_the_web_passes(watch: Workspace, range_server: ServeFolder, catalog: Path) -> None:
    url = range_server(catalog.parent).url
    answer = check(f"{url}/catalog.json", workspace=watch)
    assert answer["passed"]
    assert answer["files"]["text"] == url


# --- secrets ---------------------------------------------------------------------------------------------------------

MARKERS = {"OURS_ACCESS_KEY": "MARKER-ACCESS-1f9c", "OURS_SECRET_KEY": "MARKER-SECRET-77aa"}


def read_files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    yield from ((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_credentials_are_found_and_never_shown_or_written(
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    for name, value in MARKERS.items():
        monkeypatch.setenv(name, value)
    series = make_series(tmp_path_factory)
    watch = make_workspace(tmp_path / "watch", series)
    add_login(watch, str(series.catalog))
    assert check("ours", workspace=watch)["credentials"]["text"] == "found: OURS_ACCESS_KEY, OURS_SECRET_KEY"
    scan = ("scan", "--source", "ours", "--until", UNTIL.isoformat())
    commands = [("source", "list"), ("source", "check", "ours"), ("source", "check", "gone"), scan]
    answers = [run(*words, *options, workspace=watch) for words in commands for options in ([], ["--json"], ["--traceback"])]
    assert [answer.exit_code for answer in answers] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    said = "".join(answer.stdout + answer.stderr for answer in answers) + caplog.text
    written = list(read_files(watch.root))
    assert any(b'"ours"' in content for path, content in written if path.parent == watch.runs)
    assert "OURS_ACCESS_KEY" in said
    assert "MARKER" not in said
    assert [path for path, content in written if b"MARKER" in content] == []
