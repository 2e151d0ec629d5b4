"""The sources of imagery that a user knows, from which pixels of evidence may be read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minewatch.settings.providers import PROVIDERS, Provider


@dataclass(frozen=True)
class Sources:
    """The sources that a user knows; evidence of unknown origin may name any other."""

    providers: Mapping[str, Provider] = field(default_factory=lambda: PROVIDERS)
    """By name: the built-in ones, and those of the user's settings."""

    roots: Mapping[str, str] = field(default_factory=dict)
    """Root, as manifests state it, to the source of the settings."""

    given: str = ""
    """The source that the user names for this check; '' = that of the manifest, where it is known."""
