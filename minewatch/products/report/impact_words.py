"""Says what mining cost the land, in the words of a report: every figure as a range, with its formula and its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minewatch.core.text import show
from minewatch.products.impact.assess import WAS_MERGED, AlertImpact, Impact
from minewatch.products.impact.assumptions import Assumption, list_assumptions
from minewatch.products.impact.figures import CLEARED, UNITS, Figure, Range, add_figures, round_range
from minewatch.products.report.texts import Texts
from minewatch.settings.mining_kinds import ALLUVIAL

DASH = " \N{EN DASH} "


@dataclass(frozen=True)
class FigureWords:
    """One figure, as a row of a table."""

    name: str
    """What it is."""

    range: str
    """Low and high, with the unit."""

    formula: str
    """How it was computed."""

    sources: tuple[str, ...]
    """What it rests on."""


@dataclass(frozen=True)
class AssumptionWords:
    """One assumption, as a row of a table."""

    name: str
    """What it is."""

    value: str
    """Its value, or low and high, with the unit."""

    key: str
    """Its key in ``[impact]``."""

    sources: tuple[str, ...]
    """Where it is from."""


@dataclass(frozen=True)
class AlertWords:
    """One alert, as a row of a table."""

    alert_id: str
    """The alert."""

    confirmed_by: str
    """The method, a person, or both."""

    country: str
    """Whose values were used, and who says so; '' where none were."""

    ranges: tuple[str, ...]
    """Of each figure of ImpactWords.columns; '–' where it has none."""

    note: str
    """What is to be said of its carbon; '' for nothing."""


@dataclass(frozen=True)
class ImpactWords:
    """All that is said of it."""

    lead: tuple[str, ...]
    """For which kind of mining it holds, and which alerts count."""

    total_of: str
    """Of how many alerts the figures are the sum; '' where none counts."""

    figures: tuple[FigureWords, ...]
    """Of all alerts together."""

    columns: tuple[str, ...]
    """Figures that are given for each alert, with their units."""

    alerts: tuple[AlertWords, ...]
    """Each of them."""

    assumptions: tuple[AssumptionWords, ...]
    """What the figures rest on."""

    sums: str
    """How ranges were added."""

    lacks: tuple[str, ...]
    """What is not in the ranges."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that figures and assumptions rest on, to be numbered from 1."""
        rows: tuple[FigureWords | AssumptionWords, ...] = (*self.figures, *self.assumptions)
        return tuple(dict.fromkeys(source for row in rows for source in row.sources))

    def number(self, row: FigureWords | AssumptionWords) -> str:
        """Return the numbers of a row's sources, in brackets."""
        return "".join(f"[{self.sources.index(source) + 1}]" for source in row.sources)


def describe_impact(impact: Impact, texts: Texts) -> ImpactWords:
    """Return what is said of the cost of mining to the land."""
    lead = (texts.text(f"impact_{impact.mining}"), *_describe_scope(impact, texts))
    if not impact.alerts:
        return ImpactWords(lead, "", (), (), (), (), "", ())
    keys = [key for key in UNITS if any(figure.key == key for figure in impact.total)]
    return ImpactWords(
        lead=lead,
        total_of=texts.count("impact_total", len(impact.alerts)),
        figures=tuple(describe_figure(figure, texts) for figure in impact.total),
        columns=tuple(f"{texts.text(f'impact_{key}')}, {UNITS[key]}" for key in keys),
        alerts=tuple(_describe_alert(alert, keys, texts) for alert in impact.alerts),
        assumptions=tuple(_describe_assumption(one, texts) for one in list_assumptions(impact.assumed, impact.countries)),
        sums=texts.text("impact_sums"),
        lacks=tuple(texts.text(f"impact_lack_{key}") for key in _list_lacks(impact)),
    )


def _describe_scope(impact: Impact, texts: Texts) -> Iterator[str]:
    yield texts.count("impact_scope", len(impact.alerts)) if impact.alerts else texts.text("impact_none")
    parts = [
        texts.count("impact_out_merged" if reason == WAS_MERGED else f"count_{reason}", count)
        for reason, count in sorted(impact.left_out.items())
    ]
    if parts:
        yield f"{texts.text('impact_left_out')} {', '.join(parts)}."


def _list_lacks(impact: Impact) -> Iterator[str]:
    yield "area"
    yield "forest" if impact.has_biomes else "biome"
    yield "carbon" if impact.assumed.carbon else "no_carbon"
    if impact.mining == ALLUVIAL:
        yield "dug"
        yield "country"


# --- figures -----------------------------------------------------------------------------------------------------------


def describe_figure(figure: Figure, texts: Texts) -> FigureWords:
    """Return a figure in words."""
    written = f"{write_range(figure.range, texts)} {figure.unit}"
    return FigureWords(_name_figure(figure, texts), written, _find_formula(figure, texts), _list_sources(figure.sources, texts))


def _name_figure(figure: Figure, texts: Texts) -> str:
    """Return what a figure is."""
    if figure.biome is None:
        return texts.text(f"impact_{figure.key}")
    return texts.text("impact_cleared_biome", biome=show(figure.biome)) if figure.biome else texts.text("impact_cleared_rest")


def _find_formula(figure: Figure, texts: Texts) -> str:
    """Return how a figure was computed."""
    return texts.text(f"impact_formula_{figure.key}" if figure.biome is None else "impact_formula_cleared_biome")


def write_range(range_: Range, texts: Texts) -> str:
    """Return both ends of a range, always, in three digits of the upper one."""
    low, high, decimals = round_range(range_)
    form = "#,##0" + (f".{'0' * decimals}" if decimals else "")
    return f"{texts.number(low, form)}{DASH}{texts.number(high, form)}"


def _list_sources(sources: Iterable[str], texts: Texts) -> tuple[str, ...]:
    return tuple(show(source, 300) if source else texts.text("impact_own") for source in sources)


def _describe_assumption(one: Assumption, texts: Texts) -> AssumptionWords:
    ends = [texts.number(end, "#,##0.####") for end in (one.range.low, one.range.high)]
    value = DASH.join(dict.fromkeys(ends))
    name = f"{texts.text(f'impact_{one.name}')}{f' ({one.country})' if one.country else ''}"
    return AssumptionWords(name, f"{value} {one.unit}".rstrip(), one.key, _list_sources((one.source,), texts))


# --- alerts ------------------------------------------------------------------------------------------------------------


def _describe_alert(alert: AlertImpact, keys: Iterable[str], texts: Texts) -> AlertWords:
    sums = {figure.key: figure.range for figure in add_figures(figure for figure in alert.figures if figure.key != CLEARED)}
    sums[CLEARED] = alert.area
    ranges = tuple(write_range(sums[key], texts) if key in sums else "–" for key in keys)
    return AlertWords(
        show(alert.alert_id), _name_confirmers(alert, texts), _name_country(alert, texts), ranges, _note(alert, texts)
    )


def _name_confirmers(alert: AlertImpact, texts: Texts) -> str:
    """Return who confirmed an alert: the method, a person, or both."""
    names = [texts.text("impact_by_method")] if alert.by_method else []
    if alert.by_person is not None:
        names.append(show(alert.by_person) if alert.by_person else texts.text("impact_by_nameless"))
    return ", ".join(names)


def _name_country(alert: AlertImpact, texts: Texts) -> str:
    """Return the country whose values were used, and who says so; '' where none were."""
    if alert.country is None:
        return ""
    against = "_against" if alert.country_unit else ""
    key = f"impact_country_stated{against}" if alert.is_country_stated else "impact_country_layer"
    return texts.text(key, country=alert.country, unit=show(alert.country_unit))


def _note(alert: AlertImpact, texts: Texts) -> str:
    if alert.carbon_known is None or alert.carbon_known > 0.9999:
        return ""
    if alert.carbon_known <= 0:
        return texts.text("impact_carbon_without")
    return texts.text("impact_carbon_partly", share=texts.percent(alert.carbon_known))
