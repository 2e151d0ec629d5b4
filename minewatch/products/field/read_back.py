"""Reads a journey back: visits and photographs become reviews, and what cannot be told is said, never guessed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import shapely
from shapely.geometry import Point

from minewatch.alerts.cells import describe_position
from minewatch.alerts.csv_file import publish_csv
from minewatch.alerts.decisions import DISMISS, REVIEWS, Decision, read_decisions
from minewatch.alerts.read import read_alerts
from minewatch.alerts.reviews import Review, review_alert
from minewatch.alerts.rows import find_alert
from minewatch.areas.grid import find_utm_epsg, lonlat_to, reproject
from minewatch.core.errors import AlertsError, EvidenceError, ImageError
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.text import show
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import Handover, record_custody
from minewatch.products.field.options import DISTANCE_M
from minewatch.products.field.photos import Photo, list_photos, read_photo
from minewatch.products.field.visits import Visit, find_named, read_visits

DIGITS = 12
"""Of a photograph's SHA-256, in its name and in the note of the review."""


@dataclass(frozen=True)
class FieldReview:
    """A review that a visit is, with its photographs."""

    alert_id: str
    """As the alert is called now."""

    review: Review
    """What was found, by whom."""

    photos: tuple[Photo, ...]
    """Its photographs."""


@dataclass(frozen=True)
class Journey:
    """What a folder that came back holds."""

    reviews: Sequence[FieldReview]
    """What can be told."""

    notes: Sequence[str]
    """A line for each visit and photograph that is not taken, and why."""


def read_journey(
    workspace: Workspace, folder: Path, by: str = "", verdict: Review | None = None, distance_m: float = DISTANCE_M
) -> Journey:
    """Read a folder that came back; nothing is changed.

    ``by``: who decides where the form names nobody.  ``verdict``: what photographs mean that no form names; without it they are
    told and not taken.  A photograph is of an alert if its EXIF position lies in that outline, or within ``distance_m`` of that
    one alone.  Raises ImageError or MapFileError where the folder cannot be read, AlertsError where there is no table.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is no folder; give the one that came back, unpacked")
    paths, notes = list_photos(folder)
    alerts = read_alerts(workspace.alerts)
    reviews: list[FieldReview] = []
    named: set[Path] = set()
    for number, visit in enumerate(read_visits(folder), 1):
        path = find_named(folder, visit.photo)
        named |= {path} if path else set()
        try:
            reviews.append(_make_review(workspace, visit, path, by))
        except (AlertsError, ImageError) as error:
            notes.append(f"visit {number} of {visit.alert_id or 'no alert'}: not taken in: {error}")
        else:
            notes += _doubt(visit, reviews[-1], path, alerts, distance_m)
    loose: dict[str, list[Photo]] = {}
    for path in paths:
        if path in named:
            continue
        try:
            photo = read_photo(path)
            alert_id = _match(photo, alerts, distance_m)
            if verdict is None:
                notes.append(
                    f"{show(path.name)}: was taken at {alert_id}; say what it shows, and it is kept: --confirm, --dismiss …"
                )
            else:
                loose.setdefault(alert_id, []).append(photo)
        except (AlertsError, ImageError) as error:
            notes.append(str(error))
    reviews += [FieldReview(alert_id, verdict, tuple(photos)) for alert_id, photos in loose.items() if verdict]
    return Journey([_add_note(one) for one in reviews], notes)


def _make_review(workspace: Workspace, visit: Visit, path: Path | None, by: str) -> FieldReview:
    """Return what a visit says; raises AlertsError where it says nothing that can be kept, ImageError for a bad photograph."""
    if not visit.finding or visit.finding not in REVIEWS:
        raise AlertsError(f"what was found is {visit.finding!r}, none of {', '.join(filter(None, REVIEWS))}")
    person = visit.person or by
    if not person:
        raise AlertsError("it names nobody; say who decides with --by")
    alert_id = find_alert(workspace.alerts, visit.alert_id)
    when = f"visited {visit.visited:%Y-%m-%d %H:%M}" if visit.visited else "visited"
    note = "; ".join(filter(None, (visit.note, when)))
    reason = (visit.note or "no mining found on a visit") if visit.finding == DISMISS else ""
    review = Review(visit.finding, person, reason, when if reason else note)
    return FieldReview(alert_id, review, (read_photo(path),) if path else ())


def _doubt(visit: Visit, one: FieldReview, path: Path | None, alerts: gpd.GeoDataFrame, distance_m: float) -> list[str]:
    """Return what a person should know of a visit that is taken as its form has it."""
    if visit.photo and not path:
        return [f"{one.alert_id}: the photograph {show(visit.photo)} of the visit is not in the folder; its review has none"]
    places = [photo.position for photo in one.photos if photo.position]
    metres = [measure_distances(place, alerts[alerts["alert_id"] == one.alert_id])[one.alert_id] for place in places]
    far = max(metres, default=0)
    if far <= distance_m:
        return []
    return [f"{one.alert_id}: the form names it, but its photograph was taken {describe_metres(far)} from it; have a look"]


def _match(photo: Photo, alerts: gpd.GeoDataFrame, distance_m: float) -> str:
    """Return the alert at which a photograph was taken; raises ImageError where it cannot be told."""
    name = show(photo.path.name)
    if photo.position is None:
        raise ImageError(f"{name}: not taken in: it does not say where it was taken (no position in its EXIF)")
    distances = measure_distances(photo.position, alerts)
    near = sorted((metres, alert_id) for alert_id, metres in distances.items() if metres <= distance_m)
    inside = [alert_id for metres, alert_id in near if metres == 0]
    if len(inside) == 1 or len(near) == 1:
        return inside[0] if inside else near[0][1]
    if near:
        raise ImageError(
            f"{name}: not taken in: {len(near)} alerts are within {distance_m:g} m ({', '.join(a for _, a in near[:3])} …)"
        )
    if not distances:
        raise ImageError(f"{name}: not taken in: there is no alert")
    metres, nearest = min((metres, alert_id) for alert_id, metres in distances.items())
    raise ImageError(f"{name}: not taken in: it was taken {describe_metres(metres)} from the nearest alert, {nearest}")


def measure_distances(position: tuple[float, float], alerts: gpd.GeoDataFrame) -> dict[str, float]:
    """Return metres from a place (latitude, longitude) to the outline of each alert, 0 = inside."""
    lat, lon = position
    to_metres = lonlat_to(find_utm_epsg(lon, lat))
    place = Point(*to_metres.transform(lon, lat))
    rows = zip(alerts["alert_id"], alerts.geometry, strict=True)
    return {str(alert_id): float(shapely.distance(place, reproject(outline, to_metres))) for alert_id, outline in rows}


def describe_metres(metres: float) -> str:
    """Return a distance in words: 340 m, 4.2 km."""
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def _add_note(one: FieldReview) -> FieldReview:
    """Return a review whose note names its photographs, with their hashes, times and places."""
    lines = map(_describe_photo, one.photos)
    return replace(one, review=replace(one.review, note="; ".join(filter(None, (one.review.note, *lines)))))


def _describe_photo(photo: Photo) -> str:
    where = f"at {describe_position(*photo.position)}" if photo.position else "its place is not known"
    taken = f", {photo.taken}" if photo.taken else ""
    return f"photograph {name_kept(photo)} (SHA-256 {photo.sha256[:DIGITS]}…{taken}, {where})"


def name_kept(photo: Photo) -> str:
    """Return the name under which a photograph is kept: its own, as far as it is harmless, and the start of its SHA-256."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", photo.path.stem).strip("-")[:40] or "photo"
    return f"{stem}-{photo.sha256[:DIGITS]}.jpg"


def keep_journey(workspace: Workspace, journey: Journey) -> list[str]:
    """Keep photographs and reviews; return lines for the user.  What was read before is not kept twice.

    Photographs come first, then the custody log, then the decision: each can be done again where the next was cut off.
    """
    notes: list[str] = []
    for one in journey.reviews:
        known = read_decisions(workspace.decisions).on(one.alert_id)
        if any(_is_same(one.review, decision) for decision in known):
            notes.append(f"{one.alert_id}: this visit by {one.review.by} was read before; it is on record once")
            continue
        paths = [_keep_photo(workspace, one.alert_id, photo) for photo in one.photos]
        if paths:
            files = tuple((path.name, photo.sha256, len(photo.data)) for path, photo in zip(paths, one.photos, strict=True))
            said = Handover(files=files, sender=one.review.by, purpose="photographs of a visit")
            detail = f"kept in {workspace.visits.name}/{one.alert_id}"
            record_custody(workspace.custody, "received", one.alert_id, "", detail, said)
        notes += review_alert(workspace.alerts, workspace.decisions, one.alert_id, one.review).notes
    if journey.reviews:
        publish_csv(workspace)
    return notes


def _is_same(review: Review, decision: Decision) -> bool:
    said = decision.review, decision.by, decision.reason, decision.note
    return (review.review, review.by, review.reason, review.note) == said


def _keep_photo(workspace: Workspace, alert_id: str, photo: Photo) -> Path:
    """Keep the bytes of a photograph; raises EvidenceError where other bytes lie under its name."""
    path = workspace.visits / alert_id / name_kept(photo)
    if path.exists() or path.is_symlink():
        if path.is_symlink() or hashlib.sha256(path.read_bytes()).hexdigest() != photo.sha256:
            raise EvidenceError(f"{path} is not the photograph as it was kept; move it away, and read the folder again")
        return path
    make_private_folder(path.parent)
    publish_bytes(path, photo.data)
    return path
