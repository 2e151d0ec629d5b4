"""What a source needs to be read: environment variables and packages, by their names alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

from minewatch.settings.providers import Provider

PACKAGE = "planetary-computer"
"""Signs the addresses of Planetary Computer; also the name of the extra that installs it."""


@dataclass(frozen=True)
class Credentials:
    """What reading a provider's files requires; names only, never values."""

    found: tuple[str, ...] = ()
    """Environment variables that are set, and packages that are installed."""

    missing: tuple[str, ...] = ()
    """Required ones that are not."""

    @property
    def needed(self) -> bool:
        """True where anything is required."""
        return bool(self.found or self.missing)

    def describe(self) -> str:
        """Return a text of a few words."""
        if not self.needed:
            return "none needed"
        parts = [("found", self.found), ("missing", self.missing)]
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)


def find_credentials(provider: Provider) -> Credentials:
    """Return which environment variables and packages a provider requires, and whether they are there."""
    names = (*(provider.s3.variables if provider.s3 else ()), *(provider.token.variables if provider.token else ()))
    have = {name: bool(os.environ.get(name, "").strip()) for name in names}
    if provider.signing:
        have[PACKAGE] = find_spec(PACKAGE.replace("-", "_")) is not None
    return Credentials(tuple(name for name in have if have[name]), tuple(name for name in have if not have[name]))
