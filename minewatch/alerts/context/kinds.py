"""The kinds of context layers, and the columns that each of them fills."""

from __future__ import annotations

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
