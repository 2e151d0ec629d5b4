"""What may be asked of a bulletin: words alone."""

from __future__ import annotations

from collections.abc import Mapping

from minewatch.alerts.context.terms import CONCESSION, UNIT

AREA = "area"

UNITS: Mapping[str, str] = {
    AREA: "",
    "concession": CONCESSION,
    "territory": "indigenous-territory",
    "protected-area": "protected-area",
    "admin": UNIT,
}
"""What a bulletin may go by, to the kind of context layer that has the units; areas of interest need none."""

HTML, PDF, CSV, XLSX = "html", "pdf", "csv", "xlsx"
FORMATS = (HTML, PDF, CSV, XLSX)
"""The formats of a bulletin."""
