"""The section ``detector`` of a pipeline, as compiled code takes it."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from minewatch.pipeline import Detector

Rules = Any
"""A named tuple whose fields are the section's keys."""

_Rules = namedtuple("_Rules", list(Detector.model_fields))  # type: ignore[misc]  # noqa: PYI024 - its fields are known at run time only


def make_rules(settings: Detector) -> Rules:
    """Give the settings as a named tuple."""
    return _Rules(**settings.model_dump())
