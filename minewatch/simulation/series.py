"""The whole series: scenes one by one into a catalogue, then the truth beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import SimulationError
from minewatch.simulation.landscape import make_landscape
from minewatch.simulation.patches import make_patches
from minewatch.simulation.scenes import World, make_world, render_scene
from minewatch.simulation.settings import Simulation
from minewatch.simulation.stac import SceneGrid, place_lattice, write_catalog, write_scene
from minewatch.simulation.truth import Visit, write_truth
from minewatch.simulation.weather import Acquisition, plan_acquisitions

WORKERS = 2
"""Scenes in the making at the same time; each holds about 12 bytes a pixel."""


@dataclass(frozen=True)
class SimulatedSeries:
    """Where a simulated series was written."""

    catalog: Path
    """catalog.json of the static STAC catalogue."""
    truth: Path
    """truth.gpkg, layers ``sites`` and ``ignore``."""
    bbox: tuple[float, float, float, float]
    """West, south, east, north in degrees of a box wholly inside the scenes."""
    epsg: int
    """Coordinate reference system of the scenes."""
    item_count: int
    """Number of scenes."""
    settings: Simulation
    """What was asked for."""


def simulate_series(folder: Path, settings: Simulation, progress: Callable[[int, int], None] | None = None) -> SimulatedSeries:
    """Write scenes, catalogue and truth of a simulation into a folder.

    ``progress`` is called with scenes done and scenes in all after each scene. Raises SimulationError where the area
    has no room for what is to change, or the period has no overpass.
    """
    acquisitions = plan_acquisitions(settings)
    if not acquisitions:
        raise SimulationError(f"simulation: no overpass from {settings.first} to {settings.last}: ask for a longer period")
    land = make_landscape(settings)
    good = [a.day.toordinal() for a in acquisitions if a.cloud_share < 0.7]
    world = make_world(land, make_patches(settings, land, good), settings.seed)
    lattice = place_lattice(settings)
    folder.mkdir(parents=True, exist_ok=True)
    visits = []
    for visit in _make_scenes(folder, lattice, world, acquisitions):
        visits.append(visit)
        if progress:
            progress(len(visits), len(acquisitions))
    visits.sort(key=lambda v: v.day)
    catalog = write_catalog(folder, lattice, acquisitions, _describe(settings))
    truth = write_truth(folder / "truth.gpkg", lattice, world.patches, visits)
    return SimulatedSeries(catalog, truth, lattice.find_inner_bbox(), lattice.epsg, len(acquisitions), settings)


def _make_scenes(folder: Path, lattice: SceneGrid, world: World, acquisitions: list[Acquisition]) -> Iterator[Visit]:
    """Render and write scenes on a few threads, as they get ready."""

    def make(acquisition: Acquisition) -> Visit:
        scene = render_scene(world, acquisition)
        write_scene(folder, lattice, acquisition, scene)
        return Visit(acquisition.day, scene.clear, scene.forest_ndvi)

    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: set[Future[Visit]] = {pool.submit(make, a) for a in acquisitions}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()


def _describe(settings: Simulation) -> str:
    """Say in the catalogue what it is."""
    size = f"{settings.width / 100:g} x {settings.height / 100:g} km"
    return f"Simulated Sentinel-2 L2A, {settings.climate}, {size}, seed {settings.seed}. Not real imagery."
