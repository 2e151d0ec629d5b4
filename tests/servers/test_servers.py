"""The servers of the test suite do what the other tests take for granted."""

from __future__ import annotations

import http.client
import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import geopandas as gpd
import pystac_client
import pytest
from distributed import Client
from shapely.geometry import box

from tests.helpers.servers import DaskCluster, RangeServer, RunQgis, ServeFolder, ServeItems

pytestmark = pytest.mark.server

COLLECTION: dict[str, Any] = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "sentinel-2-l2a",
    "description": "Scenes for a test",
    "license": "proprietary",
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
    "links": [],
}


def make_item(day: int, cloud: float, west: float = -70.0) -> dict[str, Any]:
    area = box(west, -13.0, west + 0.1, -12.9)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene-{day:02d}-{west:.0f}",
        "geometry": area.__geo_interface__,
        "bbox": list(area.bounds),
        "properties": {"datetime": f"2020-06-{day:02d}T15:00:00Z", "eo:cloud_cover": cloud},
        "assets": {"red": {"href": f"http://127.0.0.1/{day}/B04.tif"}},
        "links": [],
    }


def get_bytes(server: RangeServer, path: str, byte_range: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request("GET", path, headers={"Range": f"bytes={byte_range}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_range_is_served_and_logged(range_server: ServeFolder, tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "numbers.bin").write_bytes(bytes(range(100)))
    server = range_server(folder)
    assert get_bytes(server, "/numbers.bin", "10-19") == (206, bytes(range(10, 20)))
    assert get_bytes(server, "/absent.tif", "0-9")[0] == 404
    found, absent = server.requests
    assert (found.method, found.path, found.range, found.status, found.sent) == ("GET", "/numbers.bin", "bytes=10-19", 206, 10)
    assert (absent.path, absent.status) == ("/absent.tif", 404)


def test_faults_can_be_injected(range_server: ServeFolder, tmp_path: Path) -> None:
    (tmp_path / "numbers.bin").write_bytes(bytes(100))
    whole = range_server(tmp_path, "max_ranges 0;")
    polite = range_server(tmp_path, "limit_req zone=polite;")
    assert get_bytes(whole, "/numbers.bin", "10-19")[0] == 200
    assert 429 in [get_bytes(polite, "/numbers.bin", "10-19")[0] for _ in range(5)]


def test_the_api_pages(stac_api: ServeItems) -> None:
    url = stac_api([make_item(day, cloud=day) for day in range(1, 29)], COLLECTION)
    search = pystac_client.Client.open(url).search(collections=["sentinel-2-l2a"], limit=10)
    assert [len(page) for page in search.pages()] == [10, 10, 8]
    assert len({item.id for item in search.items()}) == 28


def test_the_api_filters_by_place_time_and_cloud(stac_api: ServeItems) -> None:
    wanted = [make_item(10, cloud=7), make_item(11, cloud=19.5)]
    others = [make_item(12, cloud=20), make_item(13, cloud=100), make_item(28, cloud=1), make_item(10, cloud=1, west=20)]
    search = pystac_client.Client.open(stac_api(wanted + others, COLLECTION)).search(
        collections=["sentinel-2-l2a"],
        bbox=(-70.05, -13.0, -69.95, -12.9),
        datetime="2020-06-01T00:00:00Z/2020-06-20T23:59:59Z",
        query={"eo:cloud_cover": {"lt": 20}},
    )
    assert {item.id for item in search.items()} == {item["id"] for item in wanted}


def test_each_api_holds_its_own_items(stac_api: ServeItems) -> None:
    first, second = (stac_api([make_item(day, cloud=0)], COLLECTION) for day in (1, 2))
    ids = [[item.id for item in pystac_client.Client.open(url).search().items()] for url in (first, second)]
    assert ids == [["scene-01--70"], ["scene-02--70"]]


def test_qgis_opens_a_geopackage(run_qgis: RunQgis, tmp_path: Path) -> None:
    path, picture = tmp_path / "alerts.gpkg", tmp_path / "alerts.png"
    frame = gpd.GeoDataFrame({"status": ["confirmed"], "area_ha": [1.5]}, geometry=[box(0, 0, 1, 1)], crs=4326)
    frame.to_file(path, layer="alerts", VERSION="1.2")
    seen = run_qgis("qgis_check.py", path, picture)
    layer = seen["layers"]["alerts"]
    assert (layer["valid"], layer["features"], layer["geometry"], layer["crs"]) == (True, 1, "Polygon", "EPSG:4326")
    assert {field["name"] for field in layer["fields"]} >= {"status", "area_ha"}
    assert seen["styled_by_itself"] is False
    assert seen["pixels"] > 1000
    assert picture.stat().st_size > 0


def test_dask_outlives_a_worker(dask_cluster: DaskCluster) -> None:
    with Client(dask_cluster.address, set_as_default=False) as client:
        assert set(client.run(os.getpid).values()) == set(dask_cluster.worker_pids)
        os.kill(dask_cluster.worker_pids[0], signal.SIGKILL)
        assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
