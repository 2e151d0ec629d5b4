"""The version of the rules of detection, and the section ``detector`` of a pipeline as compiled code takes it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minewatch.settings.pipeline import DetectorSettings

RULES_VERSION = "3"
"""Change it, to "4" and so on, when the same looks would give another state of a pixel, another change map or another layout of
records: checkpoints and recorded changes of other versions are not used.  Names and comments may change without it;
tests/detection/test_checkpoint.py checks this."""

Rules = Any
"""A record whose fields are the section's keys."""

_RULES = np.dtype([(name, field.annotation) for name, field in DetectorSettings.model_fields.items()], align=True)


@lru_cache(64)
def make_rules(settings: DetectorSettings) -> Rules:
    """Return the settings as a record."""
    return np.array([tuple(settings.model_dump().values())], _RULES).view(np.recarray)[0]
