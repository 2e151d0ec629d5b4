"""Where things lie in the repository."""

from __future__ import annotations

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
"""This folder; scripts that QGIS's own Python runs lie here too."""

ROOT = HELPERS.parents[1]
"""The repository."""
