"""The content of a folder of evidence: the alert as of its confirming look, and all that its confirmation rests on."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

from minewatch.alerts.context.layer import ContextLayer
from minewatch.alerts.context.place import place_sites
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.record import Alert, AlertStage
from minewatch.archive.stac_item import credit_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Window
from minewatch.core.files import write_private
from minewatch.core.text import render_json
from minewatch.detection.mask import margin_pixels
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.tiles import TILE
from minewatch.products.evidence.evidence_files import describe_data
from minewatch.products.evidence.look_choice import MARGIN, find_window
from minewatch.products.evidence.look_table import COLUMNS, render_series
from minewatch.products.evidence.manifest import ALERT, METHOD, OBSERVATIONS, PIPELINE, SERIES, list_software
from minewatch.products.evidence.method import Method, cut_method, describe_method, replay_chip
from minewatch.products.evidence.observation_chips import ArchivedLooks, ChipLooks, cut_observations
from minewatch.products.evidence.recompute import compare_alert
from minewatch.settings.pipeline import render_pipeline


@dataclass(frozen=True)
class Confirmation:
    """A confirmation that was recomputed from the looks around the alert."""

    alert: Alert
    """As of the confirming look."""

    method: Method
    """What it rests on besides the looks."""

    looks: ChipLooks
    """The looks, up to the confirming one."""

    is_recomputed: bool
    """False for a part that split off later: as of its confirming look it was part of another alert."""

    differing: tuple[str, ...]
    """In what the looks of the chip alone give another alert than those of the whole area; mostly nothing."""


def find_chip(area: AreaPlan, stage: AlertStage, margin: int) -> tuple[Window, Window]:
    """Return the pixels of a stage and so many metres around it, and the same with those that the mask needs."""
    judged = find_window(area.grid, stage.geometry, margin)
    return judged, judged.grow(margin_pixels(area.pipeline.mask), area.grid.shape)


def list_margins(area: AreaPlan) -> tuple[int, int]:
    """Return the metres around an alert that its confirmation is recomputed from: first the one, then the other."""
    return area.pipeline.alerts.split_distance, MARGIN


def recompute_confirmation(
    area: AreaPlan, archived: ArchivedLooks, scenes: SceneQuality, alert: Alert, stage: AlertStage
) -> Confirmation:
    """Raise an alert again from the looks around it, up to its confirming look.

    Where the nearest surroundings do not give the same alert, more of them are taken.
    """
    for margin in list_margins(area):
        judged, chip = find_chip(area, stage, margin)
        method = cut_method(area, archived.days, scenes, stage.date, chip, judged)
        looks = archived.until(stage.date, chip)
        alerts = replay_chip(method, looks.load, TILE)
        found = next((other for other in alerts if other.alert_id == alert.alert_id), None)
        differing = compare_alert(_drop_later(describe_feature(alert.at(stage))), alerts, stage.date)
        if not differing:
            break
    then = replace(found, stages=()) if found else alert.at(stage)
    return Confirmation(then, method, looks, found is not None, tuple(differing))


# --- files -------------------------------------------------------------------------------------------------------------


def render_content(
    confirmation: Confirmation, archived: ArchivedLooks, layers: Sequence[ContextLayer], run_id: str, folder: Path
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of a folder, besides images and manifest; ``folder`` is where it will lie."""
    method, alert = confirmation.method, confirmation.alert
    credit = credit_observations(confirmation.looks.observations)
    yield ALERT, render_alert(alert, method.area, layers, run_id, credit, is_recomputed=confirmation.is_recomputed)
    yield METHOD, _render(describe_method(method) | {"software": list_software(), "series_columns": dict(COLUMNS)})
    yield SERIES, render_series(vars(alert), method, confirmation.looks)
    yield PIPELINE, render_pipeline(method.pipeline).encode()
    for name, data in cut_observations(archived, confirmation.looks, method.grid, folder / OBSERVATIONS):
        yield f"{OBSERVATIONS}/{name}", data


def render_alert(
    alert: Alert, area: AreaPlan, layers: Sequence[ContextLayer], run_id: str, credit: str, *, is_recomputed: bool = False
) -> bytes:
    """Return an alert as GeoJSON, with the context layers that its outline lies in, and the words of credit.

    Unless it was recomputed as of its day, what only a later scan has of it is left out.
    """
    site = AlertSite(alert.geometry, alert.first_seen, alert.last_seen, alert.last_normal)
    context = place_sites(layers, {alert.alert_id: site}).cells[alert.alert_id]
    facts = {"pipeline": area.pipeline_name, "as_of": area.until.isoformat(), "run_id": run_id}
    feature = describe_feature(alert) if is_recomputed else _drop_later(describe_feature(alert))
    basis = {"legal_basis": json.loads(str(context["legal_basis"]))} if context.get("legal_basis") else {}
    feature["properties"] |= {**context, **basis, **facts}
    return _render({"type": "FeatureCollection", "description": credit, "features": [feature]})


def describe_feature(alert: Alert) -> dict[str, Any]:
    """Return an alert as a GeoJSON feature."""
    facts = {name: _plain(value) for name, value in vars(alert).items() if name not in ("geometry", "stages")}
    return {"type": "Feature", "id": alert.alert_id, "geometry": mapping(alert.geometry), "properties": facts}


def _drop_later(feature: dict[str, Any]) -> dict[str, Any]:
    """Return a feature without what only the latest scan has of the alert."""
    later = ("ndvi_change", "bsi_change", "looks")
    return feature | {"properties": {name: value for name, value in feature["properties"].items() if name not in later}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def _render(value: Any) -> bytes:
    return (render_json(value, default=str) + "\n").encode()


def write_content(folder: Path, files: Iterable[tuple[str, bytes]]) -> dict[str, dict[str, Any]]:
    """Write files into a folder, in subfolders where their names have them; return what a manifest says of each."""
    described, made = {}, {""}
    for name, data in files:
        parent = name.rpartition("/")[0]
        if parent not in made:
            (folder / parent).mkdir(mode=0o700)
            made.add(parent)
        write_private(f"{folder}/{name}", data)
        described[name] = describe_data(data)
    return described
