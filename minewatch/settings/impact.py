"""``[impact]``: what is assumed where the cost of mining to the land is computed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from minewatch.settings.tables import Table

CALCULATOR = (
    "Mining Impacts Calculator, Conservation Strategy Fund: miningcalculator.conservation-strategy.org, "
    "constants as in github.com/conservation-strategy/calculadora-garimpo (useFixedCalculator.ts at 0bb66cc)"
)
"""Where the constants of alluvial mining are published."""

ACCURACY = (
    "Accuracy, as measured, in the documentation of minewatch: the upper end of the interval of the median area error, "
    "mines in simulated tropical series"
)
"""What the error of an area rests on."""

_VALUES = ("ore_grade", "mercury_per_gold")

COUNTRIES: Mapping[str, Mapping[str, Any]] = {
    "BO": {"ore_grade": 0.17, "mercury_per_gold": 7.0, "names": ("Bolivia", "Estado Plurinacional de Bolivia", "BOL")},
    "BR": {"ore_grade": 0.4, "mercury_per_gold": 2.6, "names": ("Brazil", "Brasil", "Brésil", "BRA")},
    "CO": {"ore_grade": 0.2, "mercury_per_gold": 2.33, "names": ("Colombia", "Colombie", "Colômbia", "COL")},
    "EC": {"ore_grade": 0.4, "mercury_per_gold": 2.6, "names": ("Ecuador", "Équateur", "Equador", "ECU")},
    "PE": {"ore_grade": 0.141, "mercury_per_gold": 2.6, "names": ("Peru", "Perú", "Pérou", "PER")},
}
"""The countries of the calculator whose values were read there, by ISO 3166 code."""

_CODE = re.compile(r"[A-Z]{2}")
_LARGEST = 1e6


def _read_range(value: Any) -> tuple[float, float]:
    """Return ``[low, high]``; one number is both."""
    ends = value if isinstance(value, list | tuple) else (value, value)
    if len(ends) != 2 or any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise ValueError("give [low, high], or one number")
    low, high = map(float, ends)
    if not (math.isfinite(low) and math.isfinite(high)) or not 0 <= low <= high <= _LARGEST:
        raise ValueError("give [low, high] with 0 or more, low not above high")
    return low, high


def _fill_country(code: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a country's table with what is built in; the calculator is no source of values that are not its own."""
    if code not in COUNTRIES:
        return own
    is_own = any(own.get(key, COUNTRIES[code][key]) != COUNTRIES[code][key] for key in _VALUES)
    return {"source": "" if is_own else CALCULATOR, **COUNTRIES[code], **own}


Span = Annotated[tuple[float, float], BeforeValidator(_read_range)]
"""``[low, high]``, or one number; not negative."""


class CountryTable(Table):
    """``[impact.countries.CODE]``: alluvial gold mining in one country, by its ISO 3166 code of two letters."""

    ore_grade: Span
    """Gold that is won from a tonne of gravel, grams."""

    mercury_per_gold: Span
    """Mercury that is used for a kilogram of gold, kilograms."""

    names: tuple[Annotated[str, Field(min_length=3)], ...] = ()
    """What a layer of administrative units may call the country."""

    source: str = Field("", max_length=300)
    """Where the two values are from; built-in ones are those of the Mining Impacts Calculator."""


class ImpactTable(Table):
    """``[impact]``: what is assumed where the cost of mining to the land is computed; ``[low, high]``, or one number for both."""

    mining: Literal["alluvial", "other"] | None = None
    """Kind of mining in this workspace; minewatch does not see which kind it is."""

    country: str | None = None
    """Country of all alerts, by its code; left out = as a layer of administrative units says."""

    area_error: float = Field(0.1, ge=0, lt=1)
    """Share by which the area of an alert may be too small or too large."""

    depth_m: Span = (2.5, 2.5)
    """Alluvial: depth to which the whole area was dug, metres."""

    silt_share: Span = (0.15, 0.15)
    """Alluvial: share of the moved soil that ends in the river."""

    digging_loss: Span = (2.0, 2.0)
    """Alluvial: what the moved volume is divided by before its gold is computed, for what is lost while digging."""

    density_t_m3: Span = (2.76, 2.76)
    """Alluvial: density of gravel and its cover, tonnes a cubic metre."""

    cover_per_gravel: Span = (7.0, 7.0)
    """Alluvial: cover without gold on each part of gravel with gold, by mass."""

    carbon: str | None = Field(None, min_length=1)
    """GeoTIFF with the carbon that stood on each hectare, tonnes; relative to the workspace; left out = not computed."""

    carbon_share: Span = (1.0, 1.0)
    """What turns the numbers of that file into tonnes of carbon a hectare: 1, or for dry biomass its share of carbon."""

    countries: dict[str, CountryTable] = Field(default_factory=dict, validate_default=True)
    """Values of countries, by code; what is not given stays as it is built in."""

    @field_validator("countries", mode="before")
    @classmethod
    def _fill(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("make it tables: [impact.countries.PE]")  # noqa: TRY004  pydantic turns a ValueError into a message
        for code, table in value.items():
            if not _CODE.fullmatch(str(code)):
                raise ValueError("name a country by the two capitals of its ISO 3166 code, such as PE")
            if not isinstance(table, Mapping):
                raise ValueError(f"make it a table: [impact.countries.{code}]")  # noqa: TRY004
        return {code: _fill_country(code, value.get(code, {})) for code in sorted({*COUNTRIES, *value})}

    @field_validator("depth_m", "digging_loss", "density_t_m3", "carbon_share")
    @classmethod
    def _check_above_zero(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] <= 0:
            raise ValueError("give numbers above 0")
        return value

    @field_validator("silt_share")
    @classmethod
    def _check_silt(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] > 1:
            raise ValueError("give shares of one: 0 to 1")
        return value
