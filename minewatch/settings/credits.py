"""What the licences of the data ask for: the words of the credit, and what a catalogue states on its data.

The words are those of the Legal notice on the use of Copernicus Sentinel Data and Service Information, which follows Commission
Delegated Regulation (EU) No 1159/2013: who passes the data on names their source, and says so where they were modified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minewatch import __version__
from minewatch.core.text import show
from minewatch.core.url_policy import hide_secrets, is_web

LEGAL_NOTICE = "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"
"""Address of the licence of Sentinel data; Earth Search and Planetary Computer link to it too."""

LEGAL_NOTICE_TITLE = "Legal notice on the use of Copernicus Sentinel Data and Service Information"

SIMULATION = "minewatch simulation"
"""Producer that the collections of simulated catalogues state: no satellite took their scenes."""

ROLES = ("producer", "licensor", "processor", "host")
"""Of a provider, as STAC has them."""

MOST_PROVIDERS, LONGEST_NAME = 6, 80
"""Providers that are taken over from a catalogue, and letters of their names."""

UNNAMED_LICENSES = ("", "other", "proprietary", "various")
"""Values of STAC's ``license`` that name none."""

_LICENSE = re.compile(r"[\w.+-]{1,60}", re.ASCII)

_COPERNICUS = re.compile(r"\bESA\b|European Space Agency|Copernicus|European (Union|Commission)", re.IGNORECASE)


@dataclass(frozen=True)
class DataProvider:
    """An organisation that made, licensed, processed or hosts the data."""

    name: str
    """As the catalogue states it."""

    roles: tuple[str, ...] = ()
    """Some of ROLES."""

    url: str = ""
    """Its page; '' where none is stated."""

    def as_record(self) -> dict[str, Any]:
        """Return it as STAC has it, without what is not stated."""
        record = {"name": self.name, "roles": list(self.roles), "url": self.url}
        return {key: value for key, value in record.items() if value}


@dataclass(frozen=True)
class DataTerms:
    """What a catalogue states on its data: who made them, and under which licence; empty where it states nothing."""

    providers: tuple[DataProvider, ...] = ()
    """As stated."""

    license: str = ""
    """SPDX's name, or one of UNNAMED_LICENSES."""

    license_url: str = ""
    """Address of the licence; '' where none is stated."""

    def or_else(self, other: DataTerms) -> DataTerms:
        """Return it with what another one states in place of what it does not."""
        return DataTerms(self.providers or other.providers, self.license or other.license, self.license_url or other.license_url)

    @property
    def is_simulated(self) -> bool:
        """True if no satellite took the scenes."""
        return any(provider.name == SIMULATION for provider in self.providers)


UNSTATED = DataTerms()
"""Of a catalogue that states nothing."""

SENTINEL_TERMS = DataTerms(
    (DataProvider("European Union, Copernicus / ESA", ("producer", "licensor"), "https://www.copernicus.eu"),),
    "other",
    LEGAL_NOTICE,
)
"""Of Sentinel data, where a catalogue does not state any."""


def parse_terms(document: Mapping[str, Any]) -> DataTerms:
    """Return what a STAC item or collection states; what is malformed counts as not stated, since documents are untrusted."""
    stated = document.get("properties") if document.get("type") == "Feature" else document
    fields = stated if isinstance(stated, Mapping) else {}
    providers = [_parse_provider(entry) for entry in _list(fields.get("providers"))[:MOST_PROVIDERS]]
    license_name = fields.get("license")
    links = [link for link in _list(document.get("links")) if isinstance(link, Mapping) and link.get("rel") == "license"]
    return DataTerms(
        tuple(provider for provider in providers if provider),
        license_name if isinstance(license_name, str) and _LICENSE.fullmatch(license_name) else "",
        next((url for link in links if (url := parse_url(link.get("href")))), ""),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _parse_provider(entry: object) -> DataProvider | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        return None
    roles = tuple(role for role in ROLES if role in _list(entry.get("roles")))
    return DataProvider(show(entry["name"], LONGEST_NAME), roles, parse_url(entry.get("url")))


def parse_url(value: object) -> str:
    """Return an address of the web that untrusted input states, without secrets; '' where it is none."""
    if not isinstance(value, str) or not is_web(value) or len(value) > 500 or re.search(r"[\s<>\"\\]", value):
        return ""
    try:
        return hide_secrets(value)
    except ValueError:  # no address
        return ""


# --- words -----------------------------------------------------------------------------------------------------------


def describe_years(years: Iterable[int]) -> str:
    """Return years as text: ``2024``, ``2022-2024``, ``2018-2020, 2022``; a range names no year that is not among them."""
    runs: list[list[int]] = []
    for year in sorted(set(years)):
        if runs and year == runs[-1][1] + 1:
            runs[-1][1] = year
        else:
            runs.append([year, year])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def credit_sentinel(years: Iterable[int], *, modified: bool = True) -> str:
    """Return the words for Sentinel data acquired in these years; everything that minewatch makes of them is modified."""
    words = "Contains modified Copernicus Sentinel data" if modified else "Copernicus Sentinel data"
    return f"{words} {describe_years(years)}".rstrip()


def credit_data(terms: Iterable[DataTerms], years: Iterable[int], *, modified: bool = True) -> str:
    """Return the words for Sentinel-2 scenes acquired in these years, and what their catalogues state beyond Copernicus."""
    known = list(dict.fromkeys(terms)) or [UNSTATED]
    words = credit_sentinel(years, modified=modified)
    if all(one.is_simulated for one in known):
        return f"Simulated scenes, not real imagery; of real ones it would say: {words}"
    simulated = ["in part simulated"] if any(one.is_simulated for one in known) else []
    stated = [text for one in known if not one.is_simulated and (text := _credit_others(one))]
    return "; ".join([words, *dict.fromkeys(stated), *simulated])


def _credit_others(terms: DataTerms) -> str:
    """Return the providers other than Copernicus, and a licence other than that of Sentinel data; '' where none is stated."""
    names = [provider.name for provider in terms.providers if not _COPERNICUS.search(provider.name)]
    named = terms.license not in UNNAMED_LICENSES
    place = terms.license_url if not terms.license_url.startswith(LEGAL_NOTICE) else ""
    license_name = f"licence {terms.license}" if named else f"licence {place}" if place else ""
    if not names:
        return license_name
    return f"provided by {', '.join(names)}" + (f" ({license_name})" if license_name else "")


def tag_credit(credit: str) -> dict[str, str]:
    """Return the tags of a GeoTIFF with a credit: TIFF's own, which any program reads, and GDAL's ``credit``."""
    return {"credit": credit, "TIFFTAG_COPYRIGHT": credit, "TIFFTAG_SOFTWARE": f"minewatch {__version__}"}


def list_license_links(terms: Sequence[DataTerms]) -> list[dict[str, str]]:
    """Return the licences as links of STAC, that of Sentinel data where none is stated."""
    links = {}
    for one in terms:
        href = one.license_url or ("" if one.is_simulated else LEGAL_NOTICE)
        if href:
            title = {"title": LEGAL_NOTICE_TITLE} if href.startswith(LEGAL_NOTICE) else {}
            links[href] = {"rel": "license", "href": href, **title}
    return list(links.values())
