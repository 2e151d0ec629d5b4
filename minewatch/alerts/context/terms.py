"""The words of context: kinds of layers with the columns that each fills, and what the legal status can be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

CONCESSION, UNIT, BIOME = "concession", "administrative-unit", "biome"

AREAS: Mapping[str, tuple[str, str, str]] = {
    CONCESSION: ("concession", "concession_ha", "concession_pct"),
    "protected-area": ("protected_area", "protected_ha", "protected_pct"),
    "indigenous-territory": ("territory", "territory_ha", "territory_pct"),
}
"""Kind of ground to the columns for the largest one's name, and for the overlap in hectares and in per cent of the alert."""

DISTANCES: Mapping[str, str] = {kind: f"{kind}_m" for kind in ("river", "road", "airstrip", "settlement")}
"""Kind of thing to the column for the metres to the nearest one."""

KINDS = (*AREAS, UNIT, BIOME, *DISTANCES)
"""Everything a layer can be; biomes fill no column, and are read for what mining cost the land."""

INSIDE, OUTSIDE, EXPIRED, UNKNOWN = "inside", "outside", "expired", "unknown"
APPLICATION, EXPLORATION = "application", "exploration"
LEGAL = (INSIDE, APPLICATION, EXPLORATION, EXPIRED, OUTSIDE, UNKNOWN)
"""What ``legal_status`` can be, from the most that a register grants to the least: a title wins over an application, that over
an exploration permit."""

UNLICENSED = (APPLICATION, EXPLORATION, EXPIRED, OUTSIDE)
"""Legal status of ground on which nobody may extract, as far as the registers say."""

TITLE, LAPSED, UNREAD = "title", "lapsed", "unread"
STANDINGS = (TITLE, EXPLORATION, APPLICATION, LAPSED, UNREAD)
"""What a row of a register can be: a title that allows extraction, a permit to explore, ground that was asked for, what has
ended; UNREAD where the settings do not say what its words mean."""

NO_LAYER, NO_DATES, PARTLY_VALID, NO_STATUS = "no-layer", "no-dates", "partly-valid", "no-status"
REASONS = (NO_LAYER, NO_DATES, PARTLY_VALID, NO_STATUS)
"""What ``legal_reason`` can be where the status is unknown: no layer covers the alert; titles without readable dates decide;
titles were valid for a part of the time in which the ground may have changed; rows decide whose status is not read."""

STALE_DAYS = 90
"""Age of a register from which reports tell it; days."""

ALWAYS, NEVER = dt.date.min, dt.date.max
"""The first and the last day of what has no bound on that side."""
