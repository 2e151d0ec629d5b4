"""The version of the rules of detection, and the section ``detector`` of a pipeline as compiled code takes it."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from minewatch.settings.pipeline import DetectorSettings

RULES_VERSION = "3"
"""Change it, to "4" and so on, when the same looks would give another state of a pixel, another change map or another layout of
records: checkpoints and recorded changes of other versions are not used.  Names and comments may change without it;
tests/detection/test_checkpoint.py checks this."""

Rules = Any
"""A named tuple whose fields are the section's keys."""

_Rules = namedtuple("_Rules", list(DetectorSettings.model_fields))  # type: ignore[misc]  # noqa: PYI024 - its fields are known at run time only


def make_rules(settings: DetectorSettings) -> Rules:
    """Return the settings as a named tuple."""
    return _Rules(**settings.model_dump())


LASTING_DAYS = 60
"""The clearing that is told of stays bare so long: confirmed where two looks count from its first day to the 60th after it."""
