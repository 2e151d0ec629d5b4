"""The case of the courses: four simulated years of a river valley, its maps, and letters from the neighbouring agency.

Two mines, of which one is licensed and the other grows across the border; a landslide; a farm that was felled and burnt.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import shapely

from minewatch.areas.aoi import Aoi, read_geometry, write_aoi
from minewatch.core.errors import WorkspaceError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.courses.forgery import forge_pack
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.products.evidence.custody_log import Handover
from minewatch.products.evidence.export_bundle import PackRequest, write_export_bundle
from minewatch.products.evidence.signing import write_new_keys
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import simulate_series
from minewatch.simulation.settings import Simulation

SCENES, MAPS, POST = "simulated", "maps", "post"
"""Folders of the workspace: the scenes, the maps, and what came by post."""

SOUND, FORGED, NEIGHBOUR_KEY = "from-alta.zip", "by-messenger.zip", "alta.pub"
"""In the post: a pack of the neighbouring agency, one that only says so, and the agency's public key."""

FIRST_DAY, LAST_DAY = dt.date(2023, 1, 1), dt.date(2024, 12, 31)
"""Of the watch: before the first lie two years of images, the last is that of the newest one."""

NEIGHBOUR_UNTIL = dt.date(2024, 2, 29)
"""As-of date of the neighbour's scan."""

NORTH = "north.geojson"
"""The map with the outline of the northern area."""

BORDER = -11.5009
"""Latitude of the border between Alta in the north and Baja in the south."""

VALLEY = -68.9092, -11.5089, -68.8909, -11.4910
"""West, south, east, north of both areas together."""

MINE, LICENSED, LANDSLIDE, FARM = "mine", "licensed", "landslide", "farm"


@dataclass(frozen=True)
class Site:
    """A piece of ground that really changed."""

    kind: str
    """MINE, LICENSED, LANDSLIDE or FARM."""

    bounds: tuple[float, float, float, float]
    """West, south, east, north."""

    @property
    def is_mine(self) -> bool:
        """True if a mine is there."""
        return self.kind in (MINE, LICENSED)


SITES = (
    Site(MINE, (-68.89693, -11.50264, -68.89473, -11.50038)),
    Site(LICENSED, (-68.90271, -11.49396, -68.90180, -11.49270)),
    Site(LANDSLIDE, (-68.89263, -11.49559, -68.89125, -11.49369)),
    Site(FARM, (-68.89363, -11.50545, -68.89180, -11.50436)),
)
"""Where the simulation put what changes."""

CONTEXT = """
[context.register]
file = "maps/register.geojson"
kind = "concession"
name = "HOLDER"
id = "CODE"
applied = "ASKED"
valid_from = "GRANTED"
valid_to = "EXPIRES"
titles = { TYPE = ["Title"] }
applications = { TYPE = ["Application"] }
exploration = { TYPE = ["Exploration"] }
as_of = 2024-12-31
"""
"""Settings of the register of mining rights."""

LANDSCAPE = """
[context.reserve]
file = "maps/reserve.geojson"
kind = "protected-area"
name = "NAME"

[context.states]
file = "maps/states.geojson"
kind = "administrative-unit"
name = "NAME"

[context.river]
file = "maps/river.geojson"
kind = "river"
name = "NAME"
"""
"""Settings of the other maps."""


def simulate_valley() -> Simulation:
    """Return the settings of the case: 2 x 2 km, four years, about 30 scenes a year."""
    return Simulation(
        seed=210,
        longitude=-68.9,
        latitude=-11.5,
        width=200,
        height=200,
        first=dt.date(2021, 1, 1),
        last=LAST_DAY,
        changes_from=dt.date(2023, 4, 1),
        revisit_days=10,
        missing=0.15,
        cloudiness=0.42,
        mines=2,
        clearings=0,
        burns=0,
        cleared=1,
        offset_share=1.0,
    )


def make_valley(folder: Path, *, with_maps: bool, real: str, reporter: Reporter) -> Workspace:
    """Make the workspace of the case in a new or empty folder; nothing of it stays where that fails.

    ``with_maps``: the settings name the maps.  ``real``: a catalogue of real scenes, of which the outline is written too.
    Raises WorkspaceError where the folder holds anything, EvidenceError where the extra ``evidence`` is not installed.
    """
    workspace = Workspace(folder.absolute())
    if workspace.root.exists() and (not workspace.root.is_dir() or any(workspace.root.iterdir())):
        raise WorkspaceError(f"{workspace.root} is not empty; give the course an empty folder")
    with _whole_or_nothing(workspace.root):
        shutil.copytree(Path(__file__).parent / MAPS, workspace.root / MAPS)
        if real:
            write_outline(Path(real), workspace.root / MAPS / "real.geojson")
        scenes = workspace.root / SCENES
        simulate_series(scenes, simulate_valley(), reporter.steps("simulating four years"))
        for path in scenes.glob("truth.*"):
            path.unlink()  # it is the solution
        init_workspace(workspace.root, source=f"{SCENES}/catalog.json")
        with workspace.settings.open("a", encoding="utf-8") as settings:
            settings.write(CONTEXT + LANDSCAPE if with_maps else "")
        _write_post(workspace.root, reporter)
    return workspace


@contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[None]:
    """Make a folder; empty it again where the block fails."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def _write_post(root: Path, reporter: Reporter) -> None:
    """Let the neighbour scan its side and send its evidence of the mine at the border; and let somebody forge the same."""
    post = root / POST
    post.mkdir()
    with tempfile.TemporaryDirectory(prefix="alta-", dir=root) as temp:
        agency = init_workspace(Path(temp, "alta"), source=str(root / SCENES / "catalog.json"))
        geometry, _, _ = read_geometry(root / MAPS / NORTH)
        write_aoi(agency, Aoi("north", geometry, FIRST_DAY))
        report = scan(agency, ScanRequest(until=NEIGHBOUR_UNTIL), reporter)
        mine = shapely.box(*SITES[0].bounds)
        alert = next(alert for alert in report.areas[0].alerts if alert.geometry.intersects(mine))
        write_new_keys(Path(temp, "key.pem"), post / NEIGHBOUR_KEY)
        handover = Handover(recipient="Baja", purpose="the mine at the border")
        request = PackRequest(Path(temp), Path(temp, "key.pem"), (), handover)
        write_export_bundle(agency, alert.alert_id, request).path.rename(post / SOUND)
        forge_pack(agency, alert.alert_id, Path(temp), handover).rename(post / FORGED)


def write_outline(catalog: Path, path: Path) -> None:
    """Write the outline of a static catalogue's items as a map; raises WorkspaceError where it holds none."""
    folder = catalog if catalog.is_dir() else catalog.parent
    shapes = []
    for item in sorted(folder.rglob("*.json")):
        document = json.loads(item.read_text("utf-8"))
        if document.get("type") == "Feature":
            shapes.append(shapely.geometry.shape(document["geometry"]))
    if not shapes:
        raise WorkspaceError(f"{catalog} holds no STAC items; give the folder of a static STAC catalogue, or leave out --real")
    outline = shapely.intersection_all(shapes)
    feature = {"type": "Feature", "properties": {"source": str(catalog)}, "geometry": shapely.geometry.mapping(outline)}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}) + "\n", "utf-8")
