"""What every look saw of an alert, as a table: vegetation and bare soil through time, from the archive alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from minewatch.alerts.explain.alert_pixels import find_pixels
from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import find_alert
from minewatch.archive.item import list_observations, sort_observations
from minewatch.archive.stack import read_stack
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import make_grid
from minewatch.core.errors import AlertsError
from minewatch.core.units import NODATA, SCALE
from minewatch.core.workspace import Workspace, find_workspace
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.settings.pipeline import read_pipeline

MOSTLY = 0.5
"""Share of an alert's pixels above which a look shows it."""


def read_series(workspace: Workspace | Path | str, alert_id: str) -> pd.DataFrame:
    """Return what the archive holds of an alert: one row a look, in order of time.

    Columns: ``date``; ``scenes``, their ids; ``ndvi`` and ``bsi``, medians over all of the alert's pixels that have a value,
    clouded ones too (NaN where none has); ``clear_share``, the share of its pixels that are clear (0 to 1); ``clear``, True
    where that is more than half.

    Raises AlertsError for an unknown alert, and where the archive has no look at it.
    """
    workspace = find_workspace(workspace)
    name = find_alert(workspace.alerts, alert_id)
    alert = next(row for row in read_alerts(workspace).to_dict("records") if row["alert_id"] == name)
    grid, mask = make_grid(read_aoi(workspace, alert["aoi"])), read_pipeline(workspace, alert["pipeline"]).mask
    observations = sort_observations(list_observations(workspace.archive(alert["aoi"]), grid).values())
    if not observations:
        raise AlertsError(f"the archive has no look at area {alert['aoi']!r}; fetch it again with: minewatch scan {alert['aoi']}")
    window, members = find_pixels(alert, grid)
    around = window.grow(margin_pixels(mask), grid.shape)
    stack, inner = read_stack(observations, around), window.within(around)
    clear = find_clear(stack.scl, mask)[:, *inner][:, members].mean(axis=1)
    pixels = {name: pd.DataFrame(stack.layer(name)[:, *inner][:, members]) for name in ("ndvi", "bsi")}
    return pd.DataFrame(
        {
            "date": stack.days.astype("datetime64[D]").astype("datetime64[s]"),
            "scenes": [", ".join(observation.source_ids) for observation in observations],
            **{name: values.mask(values == NODATA).median(axis=1) / SCALE for name, values in pixels.items()},
            "clear_share": clear,
            "clear": clear > MOSTLY,
        }
    )
