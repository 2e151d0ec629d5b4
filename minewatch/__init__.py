"""Watch areas of interest for illegal mining in Sentinel-2 imagery.

This is the whole of the Python interface; what lies deeper may move.  Each name is loaded when it is first
asked for.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "1.0.0"

__all__ = [
    "Workspace",
    "add_area",
    "explain",
    "find_workspace",
    "init_workspace",
    "read_alerts",
    "read_series",
    "scan",
    "score_mine_likeness",
    "simulate",
    "validate",
]

if TYPE_CHECKING:
    from minewatch.alerts.read import read_alerts
    from minewatch.alerts.series import read_series
    from minewatch.areas.register import add_area
    from minewatch.core.workspace import Workspace, find_workspace
    from minewatch.likeness.model import score_mine_likeness
    from minewatch.operations.notebook import explain, scan, simulate, validate
    from minewatch.settings.document import init_workspace
else:
    _HOMES = {
        "Workspace": "core.workspace",
        "add_area": "areas.register",
        "explain": "operations.notebook",
        "find_workspace": "core.workspace",
        "init_workspace": "settings.document",
        "read_alerts": "alerts.read",
        "read_series": "alerts.series",
        "scan": "operations.notebook",
        "score_mine_likeness": "likeness.model",
        "simulate": "operations.notebook",
        "validate": "operations.notebook",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__():
        return [*__all__, "__version__"]
