"""The figures: ranges of physical quantities, from an area and what is assumed of it.

Alluvial gold mining is computed as the public method of the Mining Impacts Calculator does (see ``settings/impact.py``), stated
anew: pits of one depth, of which a part is gravel with gold under its cover.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from minewatch.settings.impact import CALCULATOR, CountryTable, ImpactTable

CLEARED, CARBON, CO2, SOIL, SILT, GOLD, MERCURY = "cleared", "carbon", "co2", "soil", "silt", "gold", "mercury"

UNITS: Mapping[str, str] = {CLEARED: "ha", CARBON: "t C", CO2: "t CO₂", SOIL: "m³", SILT: "m³", GOLD: "kg", MERCURY: "kg"}
"""Figure to its unit, in their order."""

MERCURY_PAPER = "Bakker et al. 2021, doi 10.3390/ijerph182211869"
"""On the way of mercury from the pit to people; its ratio of mercury to gold is a setting of each country."""

SQUARE_METRES = 10_000.0
"""Of a hectare."""

CO2_PER_CARBON = 44 / 12
"""Molar masses of carbon dioxide and carbon."""


@dataclass(frozen=True)
class Range:
    """A quantity that is not known better than between two ends, neither below zero."""

    low: float
    """The lower end."""

    high: float
    """The upper end."""

    def __add__(self, other: Range) -> Range:
        """Add low to low and high to high: what is assumed is assumed of both, so errors do not cancel."""
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        """Multiply the ends."""
        low, high = (other.low, other.high) if isinstance(other, Range) else (other, other)
        return Range(self.low * low, self.high * high)

    def __truediv__(self, other: Range) -> Range:
        """Divide the low by the high, and the high by the low; ``other`` is above zero."""
        return Range(self.low / other.high, self.high / other.low)


@dataclass(frozen=True)
class Figure:
    """One figure."""

    key: str
    """One of UNITS."""

    range: Range
    """How much, in its unit."""

    biome: str | None = None
    """Of cleared ground, where layers of biomes were consulted: its biome, or '' outside all of them; None otherwise."""

    sources: tuple[str, ...] = ()
    """What it rests on; '' = what is set in the workspace or by the command."""

    @property
    def unit(self) -> str:
        """Its unit."""
        return UNITS[self.key]


def measure_area(hectares: float, assumed: ImpactTable) -> Range:
    """Return the area of an alert with its error: hectares."""
    return Range(hectares * (1 - assumed.area_error), hectares * (1 + assumed.area_error))


def list_cleared(area: Range, biomes: Mapping[str, float] | None, source: str) -> Iterator[Figure]:
    """Yield the cleared ground, by biome where the share of each is known: '' for the share outside all biomes."""
    for biome, share in sorted(biomes.items(), key=lambda item: (not item[0], item[0])) if biomes else [(None, 1.0)]:
        yield Figure(CLEARED, area * share, biome, (source,))


def list_carbon(area: Range, per_hectare: Range, source: str) -> Iterator[Figure]:
    """Yield the carbon that stood on an area, tonnes, and the carbon dioxide that it makes once all of it is oxidised."""
    carbon = area * per_hectare
    yield Figure(CARBON, carbon, sources=(source,))
    yield Figure(CO2, carbon * CO2_PER_CARBON, sources=(source,))


def list_alluvial(area: Range, assumed: ImpactTable, country: CountryTable) -> Iterator[Figure]:
    """Yield soil and silt, cubic metres, gold and mercury, kilograms, of pits on an area."""
    soil = area * SQUARE_METRES * Range(*assumed.depth_m)
    yield Figure(SOIL, soil, sources=(CALCULATOR,))
    yield Figure(SILT, soil * Range(*assumed.silt_share), sources=(CALCULATOR,))
    cover = Range(*assumed.cover_per_gravel)
    gravel = soil / Range(*assumed.digging_loss) * Range(*assumed.density_t_m3) / Range(1 + cover.low, 1 + cover.high)
    gold = gravel * Range(*country.ore_grade) * 0.001
    yield Figure(GOLD, gold, sources=(country.source,))
    yield Figure(MERCURY, gold * Range(*country.mercury_per_gold), sources=tuple(dict.fromkeys((country.source, MERCURY_PAPER))))


def add_figures(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """Add the figures of several alerts, those of each key and biome, in their order; sources are listed once."""
    sums: dict[tuple[str, str | None], Figure] = {}
    for figure in figures:
        kind = figure.key, figure.biome
        known = sums.get(kind)
        if known is None:
            sums[kind] = figure
        else:
            sources = tuple(dict.fromkeys((*known.sources, *figure.sources)))
            sums[kind] = Figure(figure.key, known.range + figure.range, figure.biome, sources)
    order = list(UNITS)
    return tuple(sorted(sums.values(), key=lambda f: (order.index(f.key), f.biome is None, f.biome == "", f.biome or "")))


def round_range(range_: Range) -> tuple[float, float, int]:
    """Return the ends for people to read, in three digits of the upper one, and the decimals that they have."""
    if range_.high <= 0:
        return 0.0, 0.0, 0
    decimals = 2 - math.floor(math.log10(range_.high))
    return round(range_.low, decimals), round(range_.high, decimals), max(0, decimals)
