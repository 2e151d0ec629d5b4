"""Recomputes the confirmation of an alert from its evidence alone, and compares the result with what is on file."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import shapely
from pydantic import ValidationError
from shapely.geometry import shape

from minewatch.alerts.record import Alert
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.text import show
from minewatch.detection.rules import RULES_VERSION
from minewatch.products.evidence.evidence_files import LARGEST_TEXT, EvidenceFiles
from minewatch.products.evidence.method import parse_method, replay_chip
from minewatch.products.evidence.observation_chips import KeptLooks

ALERT, METHOD = "alert.geojson", "method.json"
"""The alert as of its confirming look, and what its confirmation rests on besides the looks."""

SIDE = 128
"""Pixels on each side of the tiles that are recomputed one after the other, so that a large chip needs little memory."""

LARGEST_SIDE = 4096
"""Pixels on each side of a chip of unknown origin."""

SAME_AREA = 1e-4
"""Share of an outline by which two outlines may differ and be the same: positions are rounded to the centimetre."""

FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError, ValidationError, RecursionError)
"""Errors of documents that minewatch did not write."""


def recompute(files: EvidenceFiles, manifest: Mapping[str, Any]) -> list[str]:
    """Recompute a confirmation; return a line on each thing that differs from what is on file.

    Raises EvidenceError where the files do not allow it.
    """
    if manifest["format"] == 1 or METHOD not in files.names:
        raise EvidenceError(f"it has no {METHOD}, as evidence of format 1 has none")
    try:
        document = json.loads(files.read(METHOD, LARGEST_TEXT))
        (feature,) = json.loads(files.read(ALERT, LARGEST_TEXT))["features"]
        method = parse_method(document)
        if max(method.grid.shape) > LARGEST_SIDE:
            raise EvidenceError(f"its chip is larger than {LARGEST_SIDE} pixels; nothing is recomputed")
        looks = KeptLooks(files, method.grid)
        alerts = replay_chip(method, looks.load, SIDE)
        differing = compare_alert(feature, alerts, method.until)
    except EvidenceError:
        raise
    except MinewatchError as error:
        raise EvidenceError(describe(error)) from error
    except (*FAULTS, shapely.errors.ShapelyError) as error:
        raise EvidenceError(f"its {METHOD} or {ALERT} is none that can be recomputed ({type(error).__name__})") from error
    if differing and (rules := document.get("rules_version")) != RULES_VERSION:
        differing.append(f"recomputed: it was confirmed under rules {show(str(rules))}, these are {RULES_VERSION}")
    return differing


def compare_alert(feature: Mapping[str, Any], alerts: Sequence[Alert], until: dt.date) -> list[str]:
    """Return in what an alert on file differs from the alerts that its looks give; nothing where it is among them.

    A part that split off later was part of another alert then: it must lie in one that was confirmed.
    """
    stated, outline = feature["properties"], shape(feature["geometry"])
    found = next((alert for alert in alerts if alert.alert_id == stated["alert_id"]), None)
    if found is None and stated.get("split_from"):
        holds = any(a.confirmed_on and _share_outside(outline, a) <= SAME_AREA for a in alerts)
        return [] if holds else ["recomputed: no confirmed alert has its ground"]
    if found is None:
        return [f"recomputed: its looks up to {until} give no such alert"]
    names = ("first_seen", "confirmed_on", "last_normal")
    faults = [
        f"recomputed: {name} is {getattr(found, name)}, and {stated[name]} on file"
        for name in names
        if str(getattr(found, name)) != str(stated[name])
    ]
    if outline.symmetric_difference(found.geometry).area > SAME_AREA * outline.area:
        faults.append(f"recomputed: {found.area_ha:.2f} ha have another outline than the {stated['area_ha']:.2f} ha on file")
    return faults


def _share_outside(outline: Any, alert: Alert) -> float:
    return float(outline.difference(alert.geometry).area / outline.area)
