"""Field packages, and journeys that are read back: the phones and their files are strangers'."""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from click.testing import CliRunner, Result
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from minewatch.alerts.decisions import read_decisions
from minewatch.alerts.geopackage import updating
from minewatch.alerts.read import read_alerts
from minewatch.alerts.reviews import Review
from minewatch.cli import main
from minewatch.core.errors import MinewatchError
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import check_custody, read_custody
from minewatch.products.field.background import FINEST, choose_tiles
from minewatch.products.field.form import VISITS
from minewatch.products.field.package import LARGEST, TABLE, write_package
from minewatch.products.field.photos import HEAD, read_photo
from minewatch.products.field.photos import LARGEST as LARGEST_PHOTO
from minewatch.products.field.read_back import read_journey
from minewatch.raster.web_tiles import Tile, list_tiles
from tests.helpers.small import copy_workspace, make_scanned

RunQgis = Callable[..., Any]


def run(workspace: Workspace, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "field", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path_factory.mktemp("field") / "watch")


@pytest.fixture(scope="module")
def package(scanned: Workspace) -> Path:
    """A package of the alerts that were confirmed, unpacked as on a phone."""
    answer = run(scanned, "write", "--confirmed", "--for", "Ranger post 4")
    assert answer.exit_code == 0, answer.output
    folder = scanned.root.parent / "phone"
    with zipfile.ZipFile(scanned.exports / "field.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def workspace(scanned: Workspace, tmp_path: Path) -> Workspace:
    return copy_workspace(scanned, tmp_path / "watch")


@pytest.fixture
def place(workspace: Workspace) -> tuple[str, tuple[float, float]]:
    """The first alert, and a position inside it."""
    row = read_alerts(workspace.alerts).iloc[0]
    return str(row["alert_id"]), (float(row["lat"]), float(row["lon"]))


def take_photo(path: Path, position: tuple[float, float] | None = None, **tags: Any) -> Path:
    """Write a photograph as a phone does; ``tags`` replace those of its position."""
    exif = Image.Exif()
    exif[Base.DateTime] = "2025:01:15 09:03:12"
    if position:
        gps = exif.get_ifd(IFD.GPSInfo)
        for value, letters, name in zip(position, ("SN", "WE"), ("Latitude", "Longitude"), strict=True):
            minutes, seconds = divmod(abs(value) % 1 * 3600, 60)
            gps[GPS[f"GPS{name}Ref"]] = letters[value >= 0]
            gps[GPS[f"GPS{name}"]] = (float(int(abs(value))), float(minutes), round(seconds, 3))
        gps[GPS.GPSTimeStamp], gps[GPS.GPSDateStamp] = (14.0, 3.0, 12.0), "2025:01:15"
        gps.update({GPS[name]: value for name, value in tags.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (90, 60, 30)).save(path, "JPEG", exif=exif)
    return path


def fill_in(folder: Path, *rows: dict[str, Any]) -> None:
    """Add visits to the form as an app does."""
    with updating(folder / TABLE) as connection:
        for row in rows:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {VISITS} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608  our names


@pytest.fixture
def phone(package: Path, tmp_path: Path) -> Path:
    """The package on a phone, to be filled in."""
    folder = tmp_path / "phone"
    folder.mkdir()
    for file in package.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


# --- the package -----------------------------------------------------------------------------------------------------


def test_a_package_holds_alerts_form_and_pictures(package: Path, scanned: Workspace) -> None:
    assert {file.name for file in package.iterdir()} == {
        "field.qgz", "field.gpkg", "alerts.gpx", "READ-ME.txt", "image.mbtiles", "after.mbtiles", "before.mbtiles",
    }  # fmt: skip
    table = read_alerts(scanned.alerts)
    ids = set(table["alert_id"][table["confirmed_on"].notna()])
    assert set(pyogrio.read_dataframe(package / TABLE, layer="alerts")["alert_id"]) == ids
    assert pyogrio.read_info(package / TABLE, layer=VISITS)["geometry_type"] == "Point"
    assert f"{len(ids)} alerts to visit" in (package / "READ-ME.txt").read_text("utf-8")
    (line,) = [line.entry for line in read_custody(scanned.custody).lines if line.entry.recipient][:1]
    assert (line.detail, line.recipient) == ("as field.zip", "Ranger post 4")


def test_twenty_alerts_stay_below_five_megabytes(package: Path) -> None:
    """What tiles of real ground take at the least quality that keeps to the limit, by those of this small area."""
    with closing(sqlite3.connect(package / "image.mbtiles")) as connection:
        tiles = connection.execute("SELECT zoom_level, tile_column, tile_row, length(tile_data) FROM tiles").fetchall()
        facts = dict(connection.execute("SELECT name, value FROM metadata"))
    zooms = {zoom for zoom, *_ in tiles}
    assert zooms == set(range(min(zooms), FINEST + 1))
    assert min(zooms) < 11
    assert (facts["format"], facts["minzoom"], facts["maxzoom"]) == ("jpg", str(min(zooms)), "14")
    assert "Copernicus Sentinel" in facts["attribution"]
    apart = [shapely.box(lon, lat, lon + 0.01, lat + 0.01) for lon in range(5) for lat in range(4)]
    fine = [tile for tile in choose_tiles(apart) if tile.zoom == FINEST]
    assert len(fine) <= 20 * 9
    assert len(fine) * 20_000 < LARGEST, "a tile of real pits and forest has 10 kB at the best quality"


def test_a_package_that_would_be_too_large_has_coarser_pictures(
    scanned: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.products.field.package.LARGEST", 1000)
    made = write_package(scanned, read_alerts(scanned.alerts).iloc[:1], tmp_path / "field.zip")
    assert any("coarser than they could be (zoom 12 of 14)" in note for note in made.notes)
    assert any("choose fewer alerts" in note for note in made.notes)


def test_the_tiles_are_where_the_ground_is(package: Path, scanned: Workspace) -> None:
    from rasterio import open as open_raster  # noqa: PLC0415
    from rasterio.warp import transform  # noqa: PLC0415

    row = read_alerts(scanned.alerts).iloc[0]
    picture = next(scanned.images.glob("spot-after-*.tif"))
    with open_raster(picture) as wanted, open_raster(package / "image.mbtiles") as found:
        colours = []
        for raster in (wanted, found):
            x, y = transform("EPSG:4326", raster.crs, [row["lon"]], [row["lat"]])
            colours.append(np.array(next(raster.sample([(x[0], y[0])])))[:3].astype(int))
    assert np.abs(colours[0] - colours[1]).max() < 40, "JPEG, and a pixel between others"


@pytest.mark.server
def test_qgis_draws_the_package_and_knows_its_form(package: Path, run_qgis: RunQgis, tmp_path: Path) -> None:
    seen = run_qgis("qgis_project.py", package / "field.qgz", tmp_path)
    assert seen["read"]
    layers = {facts["name"].split(":")[0]: facts for facts in seen["layers"].values()}
    assert all(facts["valid"] for facts in layers.values())
    assert [name for name, facts in layers.items() if facts["visible"]] == ["Visits", "Alerts", "Latest image"]
    assert all(layers[name]["pixels_own"] > 1000 for name in ("Alerts", "Latest image", "After", "Before"))
    form = run_qgis("qgis_visits.py", package / "field.qgz")
    assert form["editable"] == {"Visits": True, "Alerts": False}
    assert form["widgets"]["photo"] == "ExternalResource"
    assert form["choices"]["finding"] == ["confirmed", "dismissed", "needs-visit"]
    assert form["choices"]["alert_id"] == sorted(pyogrio.read_dataframe(package / TABLE, layer="alerts")["alert_id"])
    assert form["needed"] == ["alert_id", "finding", "person"]


def test_nothing_chosen_is_one_line(workspace: Workspace) -> None:
    answer = run(workspace, "write", "--aoi", "spot", "--min-area", "1000")
    assert answer.exit_code == 1
    assert "no alert chosen; a package holds 1 to 200" in answer.stderr
    assert not workspace.exports.exists() or not list(workspace.exports.glob(".tmp*"))


def test_without_pictures_the_package_says_so(workspace: Workspace, tmp_path: Path) -> None:
    for file in workspace.images.iterdir():
        file.unlink()
    made = write_package(workspace, read_alerts(workspace.alerts).iloc[:1], tmp_path / "out" / "field.zip", "es")
    assert any("left out: the image of spot" in note for note in made.notes)
    with zipfile.ZipFile(made.path) as archive:
        assert "por visitar" in archive.read("READ-ME.txt").decode()


def test_tiles_are_numbered_as_on_the_web() -> None:
    assert list_tiles((-69.99, -12.76, -69.99, -12.76), 14) == [Tile(14, 5006, 8777)]
    assert list_tiles((-180, -90, 180, 90), 0) == [Tile(0, 0, 0)]
    assert Tile(14, 5006, 8777).parent == Tile(13, 2503, 4388)


# --- photographs -----------------------------------------------------------------------------------------------------


def test_a_photograph_becomes_a_review_with_its_picture(workspace: Workspace, place: Any, tmp_path: Path) -> None:
    alert_id, position = place
    photo = take_photo(tmp_path / "photos" / "IMG 1 ñ.JPG", position)
    answer = run(workspace, "read", photo.parent, "--confirm", "--by", "R. Quispe", "--note", "two dredges")
    assert answer.exit_code == 0, answer.output
    (kept,) = (workspace.visits / alert_id).iterdir()
    assert kept.read_bytes() == photo.read_bytes(), "nothing is stripped"
    assert kept.stat().st_mode & 0o777 == 0o600
    (decision,) = read_decisions(workspace.decisions).on(alert_id)
    assert (decision.review, decision.by) == ("confirmed", "R. Quispe")
    assert decision.note.startswith(f"two dredges; photograph {kept.name} (SHA-256 ")
    assert "2025-01-15 14:03 UTC" in decision.note
    line = read_custody(workspace.custody).lines[-1].entry
    assert (line.action, line.alert_id, line.sender) == ("received", alert_id, "R. Quispe")
    assert line.files[0][1] == read_photo(photo).sha256
    assert check_custody(workspace.custody) == []
    again = run(workspace, "read", photo.parent, "--confirm", "--by", "R. Quispe", "--note", "two dredges")
    assert "was read before" in again.stderr
    assert len(read_decisions(workspace.decisions).on(alert_id)) == 1


def test_a_review_needs_a_person_and_a_verdict(workspace: Workspace, place: Any, tmp_path: Path) -> None:
    folder = take_photo(tmp_path / "photos" / "a.jpg", place[1]).parent
    assert run(workspace, "read", folder, "--confirm").exit_code == 2
    told = run(workspace, "read", folder)
    assert told.exit_code == 3
    assert f"a.jpg: was taken at {place[0]}; say what it shows" in told.stderr
    assert not workspace.visits.exists()
    assert not workspace.decisions.exists()


def test_what_is_far_from_every_alert_is_told_and_never_attached(workspace: Workspace, place: Any, tmp_path: Path) -> None:
    lat, lon = place[1]
    take_photo(tmp_path / "photos" / "far.jpg", (lat + 0.1, lon))
    take_photo(tmp_path / "photos" / "nowhere.jpg")
    journey = read_journey(workspace, tmp_path / "photos", verdict=Review("confirmed", "Rosa"))
    assert not journey.reviews
    assert "far.jpg: not taken in: it was taken 1" in journey.notes[0]
    assert "nowhere.jpg: not taken in: it does not say where it was taken" in journey.notes[1]


def test_between_two_alerts_nobody_guesses(workspace: Workspace, tmp_path: Path) -> None:
    first, second = read_alerts(workspace.alerts).geometry[:2]
    a, b = shapely.ops.nearest_points(first, second)
    middle = shapely.LineString([a, b]).centroid
    take_photo(tmp_path / "photos" / "mid.jpg", (middle.y, middle.x))
    journey = read_journey(workspace, tmp_path / "photos", verdict=Review("confirmed", "Rosa"), distance_m=1000)
    assert not journey.reviews
    assert "alerts are within 1000 m" in journey.notes[0]


@pytest.mark.parametrize(
    "tags",
    [
        {"GPSLatitudeRef": "X"},
        {"GPSLatitude": (1.0, 2.0)},
        {"GPSLatitude": (91.0, 0.0, 0.0)},
        {"GPSLatitude": (0.0, 0.0, 0.0), "GPSLongitude": (0.0, 0.0, 0.0)},
    ],
    ids=str,
)
def test_a_position_that_is_none_is_none(tags: dict[str, Any], tmp_path: Path) -> None:
    assert read_photo(take_photo(tmp_path / "a.jpg", (-12.5, -69.5), **tags)).position is None


def test_hostile_photographs_are_told_in_a_line(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    whole = take_photo(folder / "whole.jpg", (-12.5, -69.5)).read_bytes()
    (folder / "text.jpg").write_bytes(b"<?php")
    (folder / "cut.jpg").write_bytes(whole[:200])
    (folder / "noise.jpg").write_bytes(HEAD + bytes(range(256)) * 40)
    with (folder / "huge.jpg").open("wb") as file:
        file.write(HEAD)
        file.truncate(LARGEST_PHOTO + 1)
    (folder / "link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "a.HEIC").write_bytes(b"x")
    (folder / "whole.jpg").unlink()
    answer = run(workspace, "read", folder, "--confirm", "--by", "Rosa")
    assert answer.exit_code == 3
    assert len(answer.stderr.splitlines()) == 7
    for name, why in {
        "text": "no JPEG",
        "huge": "larger than any",
        "link": "a link",
        "pipe": "no plain file",
        "a.HEIC": "JPEG",
    }.items():
        assert any(name in line and why in line for line in answer.stderr.splitlines()), name
    assert not workspace.visits.exists()


# --- the form --------------------------------------------------------------------------------------------------------


def test_visits_of_the_form_become_reviews(workspace: Workspace, place: Any, phone: Path) -> None:
    alert_id, position = place
    take_photo(phone / "DCIM" / "IMG_9.jpg", position)
    visit = {"alert_id": alert_id, "finding": "dismissed", "note": "road works", "person": "R. Quispe"}
    fill_in(phone, visit | {"visited": "2025-01-15T14:03:00Z", "photo": "DCIM/IMG_9.jpg"})
    answer = run(workspace, "read", phone, "--dry-run", "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["reviews"][0]["photographs"][0]["file"].startswith("IMG_9-")
    assert not workspace.visits.exists()
    assert run(workspace, "read", phone).exit_code == 0
    (decision,) = read_decisions(workspace.decisions).on(alert_id)
    assert (decision.review, decision.reason, decision.by) == ("dismissed", "road works", "R. Quispe")
    assert decision.note.startswith("visited 2025-01-15 14:03; photograph IMG_9-")
    assert read_alerts(workspace.alerts).set_index("alert_id")["status"][alert_id] in ("dismissed", "closed")
    assert len(list((workspace.visits / alert_id).iterdir())) == 1


def test_a_form_that_cannot_be_right_is_told(workspace: Workspace, place: Any, phone: Path) -> None:
    alert_id, (lat, lon) = place
    take_photo(phone / "far.jpg", (lat + 0.1, lon))
    good = {"alert_id": alert_id, "finding": "confirmed", "person": "Rosa"}
    fill_in(
        phone,
        good | {"finding": "maybe"},
        good | {"alert_id": "nope"},
        good | {"person": None},
        good | {"photo": "/etc/passwd"},
        good | {"photo": "../../secret.jpg", "note": "again"},
        good | {"photo": "far.jpg", "note": "third"},
    )
    journey = read_journey(workspace, phone)
    assert [len(one.photos) for one in journey.reviews] == [0, 0, 1]
    told = "\n".join(journey.notes)
    for words in ("'maybe'", "no alert 'nope'", "names nobody", "/etc/passwd", "secret.jpg", "the form names it, but"):
        assert words in told, words


def test_a_table_of_another_kind_is_refused(workspace: Workspace, phone: Path) -> None:
    with closing(sqlite3.connect(phone / TABLE)) as connection, connection:
        connection.execute(f"ALTER TABLE {VISITS} RENAME COLUMN finding TO other")
    with pytest.raises(MinewatchError, match="lacks finding"):
        read_journey(workspace, phone)
    (phone / TABLE).write_bytes(b"SQLite format 3\0" + bytes(500))
    with pytest.raises(MinewatchError, match="GeoPackage"):
        read_journey(workspace, phone)
    with pytest.raises(MinewatchError, match="is no folder"):
        read_journey(workspace, phone / TABLE)
