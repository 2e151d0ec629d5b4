"""The credits of alerts: for whatever shows them or passes them on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import geopandas as gpd
import pandas as pd

from minewatch.alerts.context.declaration import read_declarations
from minewatch.archive.stac_item import read_collection_terms
from minewatch.core.errors import MinewatchError
from minewatch.core.text import show
from minewatch.core.workspace import Workspace
from minewatch.settings.credits import credit_data, list_license_links

LOOK_DATES = ("first_seen", "confirmed_on", "last_seen", "last_normal", "closed_on", "split_on")
"""Columns with the day of an acquisition."""


@dataclass(frozen=True)
class AlertCredits:
    """Whom to credit for alerts."""

    lines: tuple[str, ...] = ()
    """For the scenes that their dates are from, then for each context layer that declares a credit."""

    licenses: tuple[str, ...] = ()
    """Addresses of the scenes' licences."""

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


def credit_alerts(workspace: Workspace, alerts: gpd.GeoDataFrame) -> AlertCredits:
    """Return whom to credit for alerts; the years are those of the acquisitions that they name."""
    years = {int(day.year) for name in LOOK_DATES for day in pd.to_datetime(alerts[name]).dropna()}
    terms = [read_collection_terms(workspace.archive(str(aoi))) for aoi in sorted(set(alerts["aoi"]))]
    licenses = tuple(link["href"] for link in list_license_links(terms))
    return AlertCredits((credit_data(terms, years), *credit_layers(workspace)), licenses)


def credit_layers(workspace: Workspace) -> list[str]:
    """Return the credits that context layers declare."""
    with contextlib.suppress(MinewatchError):  # settings that cannot be read are told by what needs them
        layers = read_declarations(workspace)
        return [f"Context layer {name}: {show(layer.credit)}" for name, layer in layers.items() if layer.credit]
    return []
