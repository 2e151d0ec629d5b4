"""The words of context: kinds of layers with the columns that each fills, and what the legal status can be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

CONCESSION, UNIT = "concession", "administrative-unit"

AREAS: Mapping[str, tuple[str, str, str]] = {
    CONCESSION: ("concession", "concession_ha", "concession_pct"),
    "protected-area": ("protected_area", "protected_ha", "protected_pct"),
    "indigenous-territory": ("territory", "territory_ha", "territory_pct"),
}
"""Kind of ground to the columns for the largest one's name, and for the overlap in hectares and in per cent of the alert."""

DISTANCES: Mapping[str, str] = {kind: f"{kind}_m" for kind in ("river", "road", "airstrip", "settlement")}
"""Kind of thing to the column for the metres to the nearest one."""

KINDS = (*AREAS, UNIT, *DISTANCES)
"""Everything a layer can be."""

INSIDE, OUTSIDE, EXPIRED, UNKNOWN = "inside", "outside", "expired", "unknown"
LEGAL = (INSIDE, OUTSIDE, EXPIRED, UNKNOWN)
"""What ``legal_status`` can be."""

NO_LAYER, NO_DATES, PARTLY_VALID = "no-layer", "no-dates", "partly-valid"
REASONS = (NO_LAYER, NO_DATES, PARTLY_VALID)
"""What ``legal_reason`` can be where the status is unknown: no layer covers the alert; titles without readable dates decide;
titles were valid for a part of the time in which the ground may have changed."""

ALWAYS, NEVER = dt.date.min, dt.date.max
"""The first and the last day of what has no bound on that side."""
