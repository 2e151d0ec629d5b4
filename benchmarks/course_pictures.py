"""Draws the pictures of the courses: the case is simulated and scanned as its pages say, which takes half a minute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image, ImageDraw, ImageFont
from rasterio.warp import transform

from minewatch.alerts.explain.explain import explain_alert
from minewatch.alerts.rows import read_rows
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.courses.course import start_course
from minewatch.operations.courses.valley import BORDER, FIRST_DAY, LAST_DAY, VALLEY
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.products.images.charts import draw_explanation
from minewatch.products.images.dated_image import ImageRequest, make_image

MINE = "south-20230620-eb6ce6"

KINDS = (
    (MINE, "2023-05-31", "2023-06-10", "2024-07-24"),
    ("south-20230531-2bb823", "2023-05-05", "2023-06-10", "2024-07-24"),
    ("north-20240205-160cff", "2023-08-19", "2024-05-31", "2024-10-31"),
)
"""A mine, a farm and a landslide, each before, soon after and long after."""

SIDE, SCALE, HEAD = 40, 8, 22
"""Pixels of the ground on each side of a picture, how large each is drawn, and the height of the line with the date."""


def take_course_pictures(work: Path, keep: Callable[[Image.Image, str], None]) -> None:
    """Draw the looks of an alert, and three kinds of ground; ``keep`` gets each picture and its name."""
    workspace = start_course("analyst", work / "valley", "en", "", Reporter()).workspace
    west, south, east, north = VALLEY
    for name, bounds in (("north", (west, BORDER, east, north)), ("south", (west, south, east, BORDER))):
        write_aoi(workspace, Aoi(name, bbox_geometry(bounds), FIRST_DAY))
    scan(workspace, ScanRequest(until=LAST_DAY))
    figure = work / "explain.png"
    draw_explanation(figure, explain_alert(workspace, MINE, Reporter()))
    keep(Image.open(figure), "course-explain")
    rows = [[_draw_ground(workspace, alert, dt.date.fromisoformat(day), work) for day in days] for alert, *days in KINDS]
    keep(Image.fromarray(np.vstack([np.hstack(row) for row in rows])), "course-ground")


def _draw_ground(workspace: Workspace, alert: str, day: dt.date, folder: Path) -> np.ndarray:
    """Return the ground about an alert as it is, each pixel large, with its own date above."""
    place = next(row for row in read_rows(workspace.alerts) if row["alert_id"] == alert)
    made = make_image(workspace, ImageRequest(alert, day, formats=("tif",), folder=folder))
    with rasterio.open(made.files["tif"]) as image:
        longitudes, latitudes = transform("EPSG:4326", image.crs, [place["lon"]], [place["lat"]])
        middle = image.index(longitudes[0], latitudes[0])
        row, column = (min(max(at - SIDE // 2, 0), size - SIDE) for at, size in zip(middle, image.shape, strict=True))
        pixels = image.read((1, 2, 3))[:, row : row + SIDE, column : column + SIDE]
    ground = Image.fromarray(np.moveaxis(pixels, 0, 2)).resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.NEAREST)
    picture = Image.new("RGB", (ground.width + 6, ground.height + HEAD), "white")
    picture.paste(ground, (3, HEAD - 3))
    label = f"{made.image.date:%Y-%m-%d}"
    ImageDraw.Draw(picture).text((ground.width // 2 + 3, 3), label, "black", ImageFont.load_default(14), anchor="ma")
    return np.asarray(picture)
