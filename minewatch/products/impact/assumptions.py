"""Lists what is assumed: every number that a figure rests on, with its unit and its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from minewatch.products.impact.figures import Range
from minewatch.settings.impact import ACCURACY, CALCULATOR, ImpactTable
from minewatch.settings.mining_kinds import ALLUVIAL

_ALWAYS, _CARBON = ("area_error",), ("carbon_share",)
_ALLUVIAL = ("depth_m", "silt_share", "digging_loss", "density_t_m3", "cover_per_gravel")

UNITS: Mapping[str, str] = {
    "area_error": "",
    "depth_m": "m",
    "silt_share": "",
    "digging_loss": "m³/m³",
    "density_t_m3": "t/m³",
    "cover_per_gravel": "t/t",
    "ore_grade": "g/t",
    "mercury_per_gold": "kg/kg",
    "carbon_share": "",
}
"""Assumption to its unit; '' = none."""

SOURCES: Mapping[str, str] = {"area_error": ACCURACY} | dict.fromkeys(_ALLUVIAL, CALCULATOR)
"""Assumption to the source of its default."""


@dataclass(frozen=True)
class Assumption:
    """One of them."""

    name: str
    """Its key in ``[impact]``, or in the table of a country."""

    range: Range
    """Its value."""

    source: str
    """Where it is from; '' = it is set in the workspace or by the command."""

    country: str = ""
    """Code of the country of which it holds; '' = of all."""

    @property
    def key(self) -> str:
        """Its whole key in ``[impact]``, as ``--set`` takes it."""
        return f"countries.{self.country}.{self.name}" if self.country else self.name

    @property
    def unit(self) -> str:
        """Its unit; '' = none."""
        return UNITS[self.name]


def find_source(assumed: ImpactTable, name: str) -> str:
    """Return the source of an assumption; '' where its value is not the default."""
    is_default = getattr(assumed, name) == ImpactTable.model_fields[name].default
    return SOURCES.get(name, "") if is_default else ""


def list_assumptions(assumed: ImpactTable, countries: Iterable[str]) -> list[Assumption]:
    """Return what the figures of some countries rest on, in the order of the formulas."""
    names = [*_ALWAYS, *(_ALLUVIAL if assumed.mining == ALLUVIAL else ()), *(_CARBON if assumed.carbon else ())]
    values = {name: getattr(assumed, name) for name in names}
    ranges = {name: Range(value, value) if isinstance(value, float) else Range(*value) for name, value in values.items()}
    found = [Assumption(name, range_, find_source(assumed, name)) for name, range_ in ranges.items()]
    for code in countries:
        table = assumed.countries[code]
        found.append(Assumption("ore_grade", Range(*table.ore_grade), table.source, code))
        found.append(Assumption("mercury_per_gold", Range(*table.mercury_per_gold), table.source, code))
    return found
