"""Simulates a whole series: scenes one by one into a catalogue, then the truth beside it."""

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
from minewatch.simulation.stac import SceneGrid, place_scene_grid, write_catalog, write_scene
from minewatch.simulation.truth import SceneTruth, write_truth
from minewatch.simulation.weather import Acquisition, plan_acquisitions

WORKERS = 2
"""Scenes rendered at the same time; each takes about 12 bytes a pixel."""


@dataclass(frozen=True)
class SimulatedSeries:
    """Where a simulated series was written."""

    catalog: Path
    """catalog.json of the static STAC catalogue."""
    truth: Path
    """truth.gpkg, layers ``sites`` and ``ignore``."""
    bbox: tuple[float, float, float, float]
    """West, south, east, north in degrees of a box inside the scenes."""
    epsg: int
    """Coordinate reference system of the scenes."""
    item_count: int
    """Number of scenes."""
    settings: Simulation
    """What was asked for."""


def simulate_series(folder: Path, settings: Simulation, progress: Callable[[int, int], None] | None = None) -> SimulatedSeries:
    """Write scenes, catalogue and truth of a simulation into a folder.

    ``progress`` is called after each scene with the scenes done and their total.  Raises SimulationError where the area has no
    room for its mines and other patches, or the period has no overpass.
    """
    acquisitions = plan_acquisitions(settings)
    if not acquisitions:
        raise SimulationError(f"simulation: no overpass from {settings.first} to {settings.last}: ask for a longer period")
    land = make_landscape(settings)
    good = [a.day.toordinal() for a in acquisitions if a.cloud_share < 0.7]
    world = make_world(land, make_patches(settings, land, good), settings.seed)
    grid = place_scene_grid(settings)
    folder.mkdir(parents=True, exist_ok=True)
    scene_truths = []
    for scene_truth in _make_scenes(folder, grid, world, acquisitions):
        scene_truths.append(scene_truth)
        if progress:
            progress(len(scene_truths), len(acquisitions))
    scene_truths.sort(key=lambda v: v.day)
    size = f"{settings.width / 100:g} x {settings.height / 100:g} km"
    description = f"Simulated Sentinel-2 L2A, {settings.climate}, {size}, seed {settings.seed}. Not real imagery."
    catalog = write_catalog(folder, grid, acquisitions, description)
    truth = write_truth(folder / "truth.gpkg", grid, world.patches, scene_truths)
    return SimulatedSeries(catalog, truth, grid.find_inner_bbox(), grid.epsg, len(acquisitions), settings)


def _make_scenes(folder: Path, grid: SceneGrid, world: World, acquisitions: list[Acquisition]) -> Iterator[SceneTruth]:
    """Render and write scenes in a few threads; yields the truth of each when it is done."""

    def make(acquisition: Acquisition) -> SceneTruth:
        scene = render_scene(world, acquisition)
        write_scene(folder, grid, acquisition, scene)
        return SceneTruth(acquisition.day, scene.clear, scene.forest_ndvi)

    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: set[Future[SceneTruth]] = {pool.submit(make, a) for a in acquisitions}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()
