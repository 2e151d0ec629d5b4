"""Providers of Sentinel-2 L2A scenes, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLLECTION = "sentinel-2-l2a"
"""The collection asked of an API that is given by its address."""


@dataclass(frozen=True)
class Provider:
    """A public STAC API."""

    name: str
    """As users call it."""

    root: str
    """Address of its root document."""

    collection: str = COLLECTION
    """The collection that is searched."""


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider for provider in (Provider("earth-search", "https://earth-search.aws.element84.com/v1"),)
}
"""Those that need no address, by name."""
