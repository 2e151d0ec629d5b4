"""Computes what mining cost the land, for the alerts of the table that stand for it."""

from __future__ import annotations

import contextlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.cells import is_empty, read_day
from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.context.layer import open_layer
from minewatch.alerts.context.overlap import Overlap
from minewatch.alerts.context.place import find_overlaps
from minewatch.alerts.context.region import frame_sites
from minewatch.alerts.context.terms import BIOME
from minewatch.alerts.decisions import CONFIRM, DISMISS
from minewatch.alerts.record import CLOSED, DISMISSED
from minewatch.areas.aoi import measure_area_ha
from minewatch.core.errors import ImpactError
from minewatch.core.text import show
from minewatch.core.workspace import Workspace
from minewatch.products.impact.assumptions import find_source
from minewatch.products.impact.figures import (
    Figure,
    Range,
    add_figures,
    list_alluvial,
    list_carbon,
    list_cleared,
    measure_area,
)
from minewatch.raster.area_mean import AreaMean, open_map
from minewatch.settings.impact import ImpactTable
from minewatch.settings.mining_kinds import ALLUVIAL, MININGS

Row = Mapping[Any, Any]
Measure = Callable[[BaseGeometry], AreaMean]

PROVISIONAL_ONLY, NEVER_CONFIRMED, WAS_DISMISSED, WAS_MERGED = "provisional", "closed", "dismissed", "merged"
"""Why an alert does not stand for mining."""

MOST_CARBON = 2000.0
"""Tonnes of carbon on a hectare; no forest has more."""


@dataclass(frozen=True)
class AlertImpact:
    """What one alert stands for."""

    alert_id: str
    """The alert."""

    aoi: str
    """Its area of interest."""

    by_method: bool
    """True if the method confirmed it."""

    by_person: str | None
    """Who confirmed it, '' where the name is not known; None where nobody did."""

    country: str | None
    """Code of the country whose values were used; None where none were."""

    is_country_stated: bool
    """True if a person stated the country, or the settings did."""

    country_unit: str
    """The administrative unit that names the country, or where one is stated, another one; '' where none does."""

    area: Range
    """Hectares."""

    figures: tuple[Figure, ...]
    """Its figures."""

    carbon_known: float | None
    """Share of its ground for which the carbon map has data; None where there is no map."""


@dataclass(frozen=True)
class Impact:
    """What mining cost the land."""

    mining: str
    """The kind of mining for which it holds: one of MININGS."""

    assumed: ImpactTable
    """Everything that was assumed."""

    alerts: tuple[AlertImpact, ...]
    """Those that stand for it."""

    left_out: Mapping[str, int]
    """Why others do not, to how many."""

    has_biomes: bool
    """True if a layer of biomes was consulted."""

    @property
    def total(self) -> tuple[Figure, ...]:
        """Sums of the figures of all alerts."""
        return add_figures(figure for alert in self.alerts for figure in alert.figures)

    @property
    def countries(self) -> tuple[str, ...]:
        """Those whose values were used."""
        return tuple(sorted({alert.country for alert in self.alerts if alert.country}))


def check_assumptions(
    assumed: ImpactTable, mining: str | None = None, country: str | None = None, carbon: str | None = None
) -> ImpactTable:
    """Return the assumptions with what the command says; raises ImpactError where the kind of mining is not said."""
    known = next((code for code in assumed.countries if country and code.upper() == country.upper()), country)
    said = {"mining": mining, "country": known, "carbon": carbon}
    chosen = assumed.model_copy(update={name: value for name, value in said.items() if value is not None})
    if chosen.mining is None:
        raise ImpactError(
            "the kind of mining is not known, and satellites do not show it; give --mining alluvial "
            "(pits in the sand of rivers) or --mining other, or set mining in [impact]"
        )
    if chosen.country is not None and chosen.country not in chosen.countries:
        raise ImpactError(
            f"there are no values for country {show(chosen.country)}; known: {', '.join(chosen.countries)}; "
            "others: [impact.countries.CODE] with ore_grade and mercury_per_gold"
        )
    return chosen


def explain_exclusion(row: Row) -> str | None:
    """Return why an alert does not stand for mining; None where it does: it was confirmed, not dismissed, and not merged."""
    if row["status"] == DISMISSED or row["review"] == DISMISS:
        return WAS_DISMISSED
    if row["status"] == CLOSED and row["merged_into"]:
        return WAS_MERGED
    if row["review"] == CONFIRM or read_day(row["confirmed_on"]) is not None:
        return None
    return NEVER_CONFIRMED if row["status"] == CLOSED else PROVISIONAL_ONLY


def assess_impact(workspace: Workspace, rows: Sequence[Row], assumed: ImpactTable) -> Impact:
    """Compute the figures of alerts, given as rows of the table with their ``geometry``.

    ``assumed`` is as check_assumptions returns it.  Raises ImpactError where the country of an alert is needed and not known,
    ContextError and MapFileError where a layer or the carbon map cannot be used.
    """
    excluded = [explain_exclusion(row) for row in rows]
    chosen = [row for row, reason in zip(rows, excluded, strict=True) if reason is None]
    countries = _find_countries(chosen, assumed) if assumed.mining == ALLUVIAL else [(None, "")] * len(chosen)
    biomes = _find_biomes(workspace, [row["geometry"] for row in chosen])
    shares_of: Sequence[Mapping[str, float] | None] = [None] * len(chosen) if biomes is None else biomes
    with _open_carbon(workspace, assumed) as measure:
        alerts = tuple(
            _assess(row, assumed, *country, shares, measure)
            for row, country, shares in zip(chosen, countries, shares_of, strict=True)
        )
    assert assumed.mining in MININGS
    return Impact(assumed.mining, assumed, alerts, dict(Counter(filter(None, excluded))), biomes is not None)


def _assess(
    row: Row,
    assumed: ImpactTable,
    country: str | None,
    unit: str,
    biomes: Mapping[str, float] | None,
    measure: Measure | None,
) -> AlertImpact:
    area = measure_area(float(row["area_ha"]), assumed)
    figures = list(list_cleared(area, biomes, find_source(assumed, "area_error")))
    found = measure(row["geometry"]) if measure else None
    if found is not None and found.share > 0:
        carbon = _read_carbon(found, assumed, str(row["alert_id"]))
        figures += list_carbon(area, carbon, Path(assumed.carbon or "").name)
    if country is not None:
        figures += list_alluvial(area, assumed, assumed.countries[country])
    is_reviewed = row["review"] == CONFIRM
    return AlertImpact(
        alert_id=str(row["alert_id"]),
        aoi=str(row["aoi"]),
        by_method=read_day(row["confirmed_on"]) is not None,
        by_person=str(row["reviewed_by"] or "") if is_reviewed else None,
        country=country,
        is_country_stated=country is not None and assumed.country is not None,
        country_unit=unit,
        area=area,
        figures=tuple(figures),
        carbon_known=None if found is None else found.share,
    )


# --- country ---------------------------------------------------------------------------------------------------------


def _find_countries(rows: Sequence[Row], assumed: ImpactTable) -> list[tuple[str | None, str]]:
    """Return the country of each alert, and the unit that names it; raises ImpactError where one is not known."""
    names = {_fold(name): code for code, table in assumed.countries.items() for name in table.names}
    found = [find_country(row["admin_unit"], names) for row in rows]
    if assumed.country is not None:
        return [(assumed.country, unit if code != assumed.country else "") for code, unit in found]
    unknown = [str(row["alert_id"]) for row, (code, _) in zip(rows, found, strict=True) if code is None]
    if unknown:
        more = f" and of {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ImpactError(
            f"the country of {unknown[0]}{more} is not known; give --country ({', '.join(assumed.countries)}), "
            "set country in [impact], or declare a layer of kind administrative-unit that names it, and scan"
        )
    return found


def find_country(units: object, names: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the one country that the names of administrative units say, and the name; (None, '') where none or several do."""
    if is_empty(units):
        return None, ""
    parts = [part.strip() for part in str(units).split(",")]
    found = {names[_fold(part)]: part for part in parts if _fold(part) in names}
    return next(iter(found.items())) if len(found) == 1 else (None, "")


def _fold(name: str) -> str:
    """Return a name without accents and capitals."""
    plain = unicodedata.normalize("NFKD", name)
    return "".join(character for character in plain if not unicodedata.combining(character)).casefold().strip()


# --- biomes ----------------------------------------------------------------------------------------------------------


def _find_biomes(workspace: Workspace, outlines: Sequence[BaseGeometry]) -> list[Mapping[str, float]] | None:
    """Return the share of each alert in each biome, '' for what lies in none; None where no layer of biomes is declared."""
    declared = {name: found for name, found in read_declarations(workspace).items() if found.kind == BIOME}
    if not declared:
        return None
    if not outlines:
        return []
    layers = [open_layer(workspace, name, declaration) for name, declaration in declared.items()]
    framed = frame_sites(list(outlines))
    overlaps = find_overlaps(layers, BIOME, framed, {})
    return [_share_out(found or (), outline) for found, outline in zip(overlaps, framed, strict=True)]


def _share_out(found: Iterable[Overlap], outline: BaseGeometry) -> Mapping[str, float]:
    """Return shares that add up to 1: ground in several biomes counts for the first by name, so none is counted twice."""
    total, shares = measure_area_ha(outline), defaultdict[str, float](float)
    taken: BaseGeometry = shapely.Polygon()
    for overlap in sorted(found, key=lambda overlap: overlap.name):
        piece = shapely.difference(shapely.union_all(overlap.pieces), taken)
        shares[overlap.name] += measure_area_ha(piece) / total
        taken = shapely.union(taken, piece)
    rest = 1 - sum(shares.values())
    return dict(shares) | ({"": rest} if rest > 1e-6 else {})


# --- carbon ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_carbon(workspace: Workspace, assumed: ImpactTable) -> Iterator[Measure | None]:
    if assumed.carbon is None:
        yield None
        return
    with open_map(workspace.root / Path(assumed.carbon).expanduser()) as measure:
        yield measure


def _read_carbon(found: AreaMean, assumed: ImpactTable, alert_id: str) -> Range:
    """Return the carbon on a hectare of an alert: of ground without data there may be none, or as much as of the rest."""
    share = Range(*assumed.carbon_share)
    if found.lowest < 0 or found.highest * share.high > MOST_CARBON:
        raise ImpactError(
            f"{assumed.carbon}: on {alert_id} it has numbers from {found.lowest:g} to {found.highest:g}, which are no tonnes of "
            "carbon a hectare; set carbon_share in [impact] for what they are, and no data in the file for what is none"
        )
    return Range(found.mean * found.share, found.mean) * share
