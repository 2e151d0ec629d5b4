"""Reads the cell of the alerts table that says who else saw an alert: no map libraries are needed."""

from __future__ import annotations

import json
from typing import Any


def read_agreements(cell: Any) -> list[dict[str, Any]]:
    """Return what the cell ``witness_basis`` says, as ``describe_agreement`` made it; [] where it is empty or no such list."""
    if not isinstance(cell, str) or not cell:
        return []
    try:
        found = json.loads(cell)
    except ValueError:
        return []
    names = {"name", "seen", "first", "confidence", "distance_m", "inside", "days_before_first_seen", "days_before_confirmed"}
    return [one for one in found if isinstance(one, dict) and names <= one.keys()] if isinstance(found, list) else []
