"""Scores the alerts table against known sites, with confidence intervals.

TRUTH is a GeoPackage with the layers ``sites`` (onset; where they are known kind = mining or temporary, first_clear, looks =
JSON list of clear dates) and ``ignore``, best in the CRS of the alerts' pixels.  What counts:

- An alarm is every alert with a ``confirmed_on``, whatever its status is now; extent is judged on what is confirmed now.
- An alarm half or more on ignored ground is left out.  Else it belongs to the mining site it covers most, if at least 30 %
  of it lies on that site or within two pixels of it; the first such alarm of a site is true, later ones are fragments.
  Everything else is false, also an alarm before the onset and one that lies mostly on another alarm.
- A site is hit when the confirmed alerts cover 30 % of it; its delay runs from its first clear look to the alarm.
- Pixel scores leave out ignored ground and a one-pixel rim around sites.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from scipy import ndimage, stats
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import CONFIRMED
from minewatch.alerts.rows import read_areas
from minewatch.areas.grid import PIXEL
from minewatch.areas.vectorize import rasterize_outlines
from minewatch.core.errors import MinewatchError
from minewatch.core.estimate import LEVEL, Estimate, estimate_share
from minewatch.core.units import SIZES, name_size
from minewatch.core.workspace import Workspace

MINING = "mining"
"""Kind of the sites that are looked for."""

SHARE = 0.3
"""Of an alarm that must lie on a site, and of a site that must be covered."""

RIM = 2
"""Pixels around a site that still belong to it."""

HORIZONS = (5, 10, 20, 30, 60, 90, 180, 365)
"""Days since the change at which the extent is judged."""

DRAWS = 1000
"""Of the bootstrap over sites."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TruthSite:
    """A known mine and what became of it."""

    area_ha: float
    """From the truth."""

    tp: int
    """Its pixels that are confirmed now."""

    fn: int
    """Its pixels that are not."""

    hit: bool
    """Covered by at least SHARE."""

    days: int | None
    """From the first clear look, or from the onset where that is not known, to the alarm; None where there is none."""

    looks: int | None
    """Clear looks until the alarm, 1 = at the first; None where they are not known."""

    area_error: float | None
    """Relative error of the area of its alarms."""

    within: tuple[int, ...]
    """Pixels confirmed at each of HORIZONS days after the onset."""

    watched_days: int
    """From the onset to the as-of date."""


@dataclass(frozen=True)
class Scores:
    """The result of one validation."""

    sites: Sequence[TruthSite]
    """Every mining site."""

    false_pixels: int
    """Confirmed pixels where nothing was mined."""

    true_alarms: int
    """One for each site that raised one."""

    false_alarms: int
    """Everything else but fragments and what was left out."""

    fragments: int
    """Further alarms of a site that has one."""

    left_out: int
    """Alarms on ignored ground."""

    km2_years: float
    """Watched ground that counts, times the years watched."""

    summary: dict[str, Estimate] = field(default_factory=dict)
    """Every figure by name."""

    by_size: dict[str, dict[str, Estimate | int]] = field(default_factory=dict)
    """Size class to sites, recall and pixel recall."""

    by_days: dict[int, Estimate] = field(default_factory=dict)
    """Days since the change to pixel F1."""


@dataclass(frozen=True)
class _Scene:
    """Truth and alerts on the truth's lattice."""

    transform: Affine
    """Pixel to metres."""

    shape: tuple[int, int]
    """Rows and columns."""

    mining: gpd.GeoDataFrame
    """The sites that are mines."""

    masks: list[Mask]
    """Theirs, (y, x) True on the site."""

    skip: Mask
    """(y, x) True where nothing is scored."""

    alerts: gpd.GeoDataFrame
    """In the truth's CRS."""

    def draw(self, geometries: Iterable[BaseGeometry]) -> Mask:
        """Mark the pixels of some outlines."""
        return rasterize_outlines(geometries, self.transform, self.shape)


def validate_area(workspace: Workspace, truth: Path, area: str) -> Scores:
    """Score the alerts of an area of the table; raises MinewatchError as validate_alerts does."""
    alerts = read_alerts(workspace)
    return validate_alerts(alerts[alerts["aoi"] == area], truth, *read_areas(workspace.alerts)[area])


def validate_alerts(
    alerts: gpd.GeoDataFrame, truth: Path, monitor_from: dt.date, as_of: dt.date, within: BaseGeometry | None = None
) -> Scores:
    """Score alerts against a truth file; raises MinewatchError where that is none.

    ``within``: an outline in longitude and latitude; sites that lie outside are none.
    """
    return _score(_prepare_scene(alerts, *read_truth(truth, within)), monitor_from, as_of)


def _score(scene: _Scene, monitor_from: dt.date, as_of: dt.date) -> Scores:
    true = np.logical_or.reduce([np.zeros(scene.shape, bool), *scene.masks])
    care = ~scene.skip & ~(ndimage.binary_dilation(true) & ~true)
    now = scene.alerts[(scene.alerts["status"] == CONFIRMED) & scene.alerts["confirmed_on"].notna()]
    found = scene.draw(now.geometry)
    alarms_of_site, counts, rasters, alarms = _assign(scene, true)
    dated = [(scene.draw([row.geometry]), row.confirmed_on.date()) for row in now.itertuples()]
    sites = []
    for index in range(len(scene.masks)):
        own = [(rasters[i], alarms["confirmed_on"][i]) for i in alarms_of_site.get(index, [])]
        sites.append(_score_site(scene, index, found, care, own, dated, as_of))
    years = max((as_of - monitor_from).days, 1) / 365.25
    km2 = float((~scene.skip).sum()) * PIXEL**2 / 1e6
    false_pixels, hits = int((found & ~true & care).sum()), len(alarms_of_site)
    return summarise([Scores(sites, false_pixels, hits, counts["false"], counts["fragments"], counts["left_out"], km2 * years)])


def _prepare_scene(alerts: gpd.GeoDataFrame, sites: gpd.GeoDataFrame, ignore: gpd.GeoDataFrame) -> _Scene:
    placed = alerts.to_crs(sites.crs).reset_index(drop=True)
    bounds = np.array([b for b in (sites.total_bounds, ignore.total_bounds, placed.total_bounds) if np.isfinite(b).all()])
    x0, y0 = sites.total_bounds[0], sites.total_bounds[3]
    left = x0 - (np.ceil((x0 - bounds[:, 0].min()) / PIXEL) + 4) * PIXEL
    top = y0 + (np.ceil((bounds[:, 3].max() - y0) / PIXEL) + 4) * PIXEL
    shape = (int((top - bounds[:, 1].min()) / PIXEL) + 6, int((bounds[:, 2].max() - left) / PIXEL) + 6)
    transform = Affine(PIXEL, 0, left, 0, -PIXEL, top)
    mining = sites[sites["kind"] == MINING].reset_index(drop=True)
    masks = [rasterize_outlines([geometry], transform, shape) for geometry in mining.geometry]
    return _Scene(transform, shape, mining, masks, rasterize_outlines(ignore.geometry, transform, shape), placed)


def read_truth(truth: Path, within: BaseGeometry | None = None) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Return the sites of a truth file and the ground that is not scored, all or what meets an outline (lon/lat).

    A site without ``kind`` is a mine, its first clear look the day of its onset where that is not said, and looks are not counted
    where they are not listed.  Raises MinewatchError where the file is no truth, or empty.
    """
    try:
        sites, ignore = (gpd.read_file(truth, layer=layer) for layer in ("sites", "ignore"))
    except (DataSourceError, DataLayerError, OSError) as error:
        raise MinewatchError(f"{truth} is no truth file: it needs the layers 'sites' and 'ignore'") from error
    if sites.empty:
        raise MinewatchError(f"{truth} has no site: there is nothing to compare with")
    missing = [name for name, lacks in (("onset", "onset" not in sites), ("a reference system", sites.crs is None)) if lacks]
    if missing:
        raise MinewatchError(f"{truth}: its layer 'sites' lacks {' and '.join(missing)}")
    if not sites.crs.is_projected:
        sites = sites.to_crs(sites.estimate_utm_crs())
    told = sites.columns
    sites = sites.assign(
        kind=sites["kind"] if "kind" in told else MINING,
        first_clear=sites["first_clear"].fillna(sites["onset"]) if "first_clear" in told else sites["onset"],
        looks=sites["looks"] if "looks" in told else None,
        area_ha=sites["area_ha"] if "area_ha" in told else sites.geometry.area / 1e4,
    )
    ignore = ignore.to_crs(sites.crs) if ignore.crs else ignore
    if within is None:
        return sites, ignore
    outline = gpd.GeoSeries([within], crs="EPSG:4326").to_crs(sites.crs).iloc[0]
    return sites[sites.intersects(outline)].reset_index(drop=True), ignore[ignore.intersects(outline)].reset_index(drop=True)


def _assign(scene: _Scene, true: Mask) -> tuple[dict[int, list[int]], dict[str, int], list[Mask], gpd.GeoDataFrame]:
    """Return each site its alarms, in order of confirmation, and count the rest."""
    alarms = scene.alerts[scene.alerts["confirmed_on"].notna()].sort_values("confirmed_on").reset_index(drop=True)
    swallowed = alarms["merged_into"].isin(alarms["alert_id"]) & (alarms["merged_into"] != alarms["alert_id"])
    alarms = alarms[~swallowed].reset_index(drop=True)
    rasters = [scene.draw([geometry]) for geometry in alarms.geometry]
    rims = [ndimage.binary_dilation(mask, iterations=RIM) for mask in scene.masks]
    alarms_of_site: dict[int, list[int]] = {}
    counts = {"false": 0, "fragments": 0, "left_out": 0}
    for index, mask in enumerate(rasters):
        size = int(mask.sum())
        if size and (mask & scene.skip & ~true).sum() >= 0.5 * size:
            counts["left_out"] += 1
            continue
        cover = [int((mask & rim).sum()) for rim in rims]
        site = int(np.argmax(cover)) if cover else -1
        off_site = site < 0 or not size or cover[site] < SHARE * size
        if off_site or alarms["confirmed_on"][index] < _day(scene.mining["onset"][site]):
            counts["false"] += 1
        elif site not in alarms_of_site:
            alarms_of_site[site] = [index]
        elif any((mask & rasters[other]).sum() > 0.5 * size for other in alarms_of_site[site]):
            counts["false"] += 1
        else:
            alarms_of_site[site].append(index)
            counts["fragments"] += 1
    return alarms_of_site, counts, rasters, alarms


def _score_site(
    scene: _Scene,
    index: int,
    found: Mask,
    care: Mask,
    alarms: list[tuple[Mask, pd.Timestamp]],
    dated: list[tuple[Mask, dt.date]],
    as_of: dt.date,
) -> TruthSite:
    mask, row = scene.masks[index], scene.mining.iloc[index]
    hit = bool((found & mask).sum() >= SHARE * mask.sum())
    onset = _day(row["onset"]).date()
    days = looks = error = None
    if hit and alarms:
        on = next((day for drawn, day in alarms if (drawn & mask).any()), alarms[-1][1])
        days = max(0, (on - _day(row["first_clear"])).days)
        looks = max(1, sum(_day(look) <= on for look in json.loads(row["looks"]))) if row["looks"] else None
        extent = np.logical_or.reduce([drawn for drawn, _ in alarms]) & ~(scene.skip & ~mask)
        error = abs(float(extent.sum()) / float(mask.sum()) - 1)
    early = [
        np.logical_or.reduce([found & False, *(d for d, on in dated if (on - onset).days <= horizon)]) for horizon in HORIZONS
    ]
    return TruthSite(
        area_ha=float(row["area_ha"]),
        tp=int((found & mask & care).sum()),
        fn=int((~found & mask & care).sum()),
        hit=hit,
        days=days,
        looks=looks,
        area_error=error,
        within=tuple(int((drawn & mask & care).sum()) for drawn in early),
        watched_days=(as_of - onset).days,
    )


def _day(value: object) -> pd.Timestamp:
    stamp = pd.Timestamp(value)  # type: ignore[arg-type]  # a date, a text or a timestamp
    return (stamp.tz_localize(None) if stamp.tzinfo else stamp).normalize()


def summarise(parts: Sequence[Scores]) -> Scores:
    """Pool validations and compute every figure with its interval.

    Proportions have Wilson's interval, the rate of false alerts the exact one of Poisson counts, pixel scores and
    medians a bootstrap over sites.
    """
    sites = [site for part in parts for site in part.sites]
    counted = ("false_pixels", "true_alarms", "false_alarms", "fragments", "left_out", "km2_years")
    total = {name: sum(getattr(part, name) for part in parts) for name in counted}
    wrong, false = total["false_pixels"], total["false_alarms"]
    pixels = [(site.tp, site.fn) for site in sites]
    summary = {
        "pixel_f1": _pool(pixels, lambda tp, fn: _ratio(2 * tp, 2 * tp + wrong + fn)),
        "pixel_precision": _pool(pixels, lambda tp, _: _ratio(tp, tp + wrong)),
        "pixel_recall": _pool(pixels, lambda tp, fn: _ratio(tp, tp + fn)),
        "site_recall": estimate_share(sum(site.hit for site in sites), len(sites)),
        "alarm_precision": estimate_share(total["true_alarms"], total["true_alarms"] + false),
        "looks_median": _quantile(sites, "looks", 0.5),
        "looks_p90": _quantile(sites, "looks", 0.9),
        "days_median": _quantile(sites, "days", 0.5),
        "days_p90": _quantile(sites, "days", 0.9),
        "area_error_median": _quantile(sites, "area_error", 0.5),
        "false_per_1000_km2_year": _rate(false, total["km2_years"] / 1000),
    }
    by_days = {}
    for number, horizon in enumerate(HORIZONS):
        early = [(site.within[number], site.tp + site.fn) for site in sites if site.watched_days >= horizon]
        by_days[horizon] = _pool(early, lambda tp, size: _ratio(2 * tp, tp + wrong + size))
    return Scores(sites=sites, **total, summary=summary, by_size=_split_sizes(sites), by_days=by_days)


def _split_sizes(sites: Sequence[TruthSite]) -> dict[str, dict[str, Estimate | int]]:
    classes: dict[str, dict[str, Estimate | int]] = {}
    for low, high in SIZES:
        chosen = [site for site in sites if low <= site.area_ha < high]
        classes[name_size(low, high)] = {
            "sites": len(chosen),
            "site_recall": estimate_share(sum(site.hit for site in chosen), len(chosen)),
            "pixel_recall": _pool([(site.tp, site.fn) for site in chosen], lambda tp, fn: _ratio(tp, tp + fn)),
            "days_median": _quantile(chosen, "days", 0.5),
        }
    return classes


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rate(count: int, exposure: float) -> Estimate:
    if exposure <= 0:
        return Estimate(None)
    tail = (1 - LEVEL) / 2
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return Estimate(count / exposure, float(low / exposure), float(stats.chi2.ppf(1 - tail, 2 * count + 2) / 2 / exposure))


def _pool(counts: Sequence[tuple[int, int]], compute: Callable[[int, int], float | None]) -> Estimate:
    """Compute a figure from the sums of two counts over sites."""
    return _bootstrap(np.array(counts, np.int64).reshape(-1, 2), lambda drawn: compute(*drawn.sum(axis=0).tolist()))


def _quantile(sites: Sequence[TruthSite], name: str, q: float) -> Estimate:
    known = np.array([value for site in sites if (value := getattr(site, name)) is not None])
    return _bootstrap(known, lambda drawn: float(np.quantile(drawn, q)) if drawn.size else None)


def _bootstrap(rows: NDArray[Any], compute: Callable[[NDArray[Any]], float | None]) -> Estimate:
    value = compute(rows)
    if value is None or len(rows) < 2:
        return Estimate(value)
    random = np.random.default_rng(0)
    draws = [compute(rows[random.integers(0, len(rows), len(rows))]) for _ in range(DRAWS)]
    low, high = np.quantile([draw for draw in draws if draw is not None], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
