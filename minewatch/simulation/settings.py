"""Settings of the simulator, and three presets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from minewatch.core.errors import SimulationError

SMALLEST, LARGEST = 48, 10980
"""Side of a scene in pixels: below the first there is no room for a mine, the second is a Sentinel-2 tile."""


@dataclass(frozen=True)
class Simulation:
    """The settings of one simulated series; the same settings give the same bytes."""

    seed: int = 1
    """Seed of all random numbers, 0 or more."""
    longitude: float = -69.9
    """Longitude of the centre, decimal degrees, east positive."""
    latitude: float = -12.75
    """Latitude of the centre, decimal degrees, within the UTM zones (-80 to 84)."""
    width: int = 600
    """Width in pixels of 10 m, even (SWIR and SCL have 20 m)."""
    height: int = 600
    """Height in pixels of 10 m, even."""
    first: dt.date = dt.date(2022, 7, 1)
    """First date on which a scene may be acquired, UTC."""
    last: dt.date = dt.date(2024, 12, 31)
    """Last date on which a scene may be acquired, UTC."""
    changes_from: dt.date | None = None
    """Mines and other changes appear on or after this date; None: when 60 % of the period has passed."""
    revisit_days: int = 5
    """Days between overpasses."""
    missing: float = 0.05
    """Share of the overpasses that are missing from the catalogue."""
    cloudiness: float = 0.45
    """Share of the area under cloud, mean over the year."""
    climate: Literal["temperate", "tropical"] = "tropical"
    """Temperate: leafless winters, snow. Tropical: evergreen, cloudy season, smoke haze, braided river."""
    mines: int = 4
    """Mines that appear in the period, 0.2 to 8 ha each."""
    clearings: int = 1
    """Clearings that are green again within weeks."""
    burns: int = 1
    """Burnt patches that regrow within months."""
    landslides: int = 1
    """Landslides, bare for good."""
    logged: int = 0
    """Logged patches that do not regrow within the period."""
    cleared: int = 0
    """Patches cleared for fields or pasture: felled, often burnt, then soil and weeds, green again within 3 to 7 months."""
    offset_share: float = 0.0
    """Share of the scenes with processing baseline 04.00 or later, whose reflectance offset is -0.1."""
    offset_applied: bool = True
    """True if the pixels of those scenes are already corrected (the items say so), as in Earth Search v1."""

    def __post_init__(self) -> None:
        for ok, complaint in _checks(self):
            if not ok:
                raise SimulationError(f"simulation: {complaint}")

    @property
    def changes_start(self) -> dt.date:
        """First date of a change."""
        return self.changes_from or self.first + (self.last - self.first) * 3 // 5


def _checks(s: Simulation) -> list[tuple[bool, str]]:
    """Return each condition with its error message."""
    sides = f"width and height must be even and {SMALLEST} to {LARGEST} pixels, not {s.width} x {s.height}"
    counts = {name: getattr(s, name) for name in ("mines", "clearings", "burns", "landslides", "logged", "cleared")}
    shares = {name: getattr(s, name) for name in ("missing", "cloudiness", "offset_share")}
    return [
        (s.seed >= 0, f"seed must be 0 or more, not {s.seed}"),
        (-180 <= s.longitude <= 180, f"longitude must be -180 to 180, not {s.longitude}"),
        (-80 <= s.latitude < 84, f"latitude must be -80 to 84 (UTM), not {s.latitude}"),
        (all(SMALLEST <= n <= LARGEST and n % 2 == 0 for n in (s.width, s.height)), sides),
        (s.last > s.first, f"last date {s.last} must be after first date {s.first}"),
        (s.first <= s.changes_start <= s.last, f"changes_from {s.changes_from} must lie within {s.first} to {s.last}"),
        (1 <= s.revisit_days <= 100, f"revisit_days must be 1 to 100, not {s.revisit_days}"),
        (s.climate in ("temperate", "tropical"), f"climate must be temperate or tropical, not {s.climate!r}"),
        *((n >= 0, f"{name} must be 0 or more, not {n}") for name, n in counts.items()),
        *((0 <= x <= 1, f"{name} must be 0 to 1, not {x}") for name, x in shares.items()),
    ]


def demo_simulation() -> Simulation:
    """Settings of the demo: 6 x 6 km of Madre de Dios, Peru, two and a half years, mines in the last one."""
    return Simulation(
        seed=7,
        changes_from=dt.date(2024, 1, 15),
        revisit_days=10,
        missing=0.15,
        cloudiness=0.4,
        mines=5,
        offset_share=1.0,
    )


def tropical_simulation(seed: int) -> Simulation:
    """Settings of the tropical accuracy benchmark: 2 x 2 km, four years, sky and overpasses as over Rondônia."""
    return Simulation(
        seed=seed,
        width=200,
        height=200,
        first=dt.date(2020, 1, 1),
        last=dt.date(2023, 12, 31),
        changes_from=dt.date(2023, 1, 1),
        revisit_days=10,
        cloudiness=0.48,
        mines=3,
        cleared=2,
        offset_share=0.5,
    )


def temperate_simulation(seed: int) -> Simulation:
    """Settings of the temperate accuracy benchmark: 2 x 2 km in the Carpathians, four years, winters with snow."""
    return Simulation(
        seed=seed,
        longitude=22.15,
        latitude=45.2,
        width=200,
        height=200,
        first=dt.date(2018, 1, 1),
        last=dt.date(2021, 12, 31),
        changes_from=dt.date(2021, 1, 1),
        cloudiness=0.55,
        climate="temperate",
        mines=3,
        burns=0,
        landslides=0,
        logged=1,
    )
