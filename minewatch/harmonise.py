"""Decides what must be added to a scene's digital numbers, so that scenes of all baselines and providers are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OFFSET_BASELINE = (4, 0)
"""From this processing baseline on, L2A digital numbers carry BOA_ADD_OFFSET (ESA, 25 January 2022)."""

BOA_OFFSET = -1000
"""What has to be added to such digital numbers; 10 000 is a reflectance of 1."""


def decide_offset(properties: Mapping[str, Any], baseline: tuple[int, int]) -> tuple[int, str]:
    """Decide what must be added to digital numbers, and say why.

    Earth Search says in ``earthsearch:boa_offset_applied`` whether its pixels are shifted already; its
    ``raster:bands`` offset is -0.1 either way and proves nothing (Element84/earth-search #66, #71).
    """
    name = f"{baseline[0]:02d}.{baseline[1]:02d}"
    if baseline < OFFSET_BASELINE:
        return 0, f"baseline {name} is older than 04.00" if baseline > (0, 0) else "no baseline given, taken as older than 04.00"
    if properties.get("earthsearch:boa_offset_applied") is True:
        return 0, f"baseline {name}, shifted already by the provider"
    return BOA_OFFSET, f"baseline {name} carries the offset"
