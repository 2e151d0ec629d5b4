"""Checks a source step by step, with advice for each failure."""

from __future__ import annotations

import datetime as dt
import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import pystac
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SceneError, SourceError, describe
from minewatch.core.text import count_of, show
from minewatch.core.traffic import LineMeasure
from minewatch.core.url_policy import is_web
from minewatch.settings.providers import Provider, infer_provider
from minewatch.sources.login import PACKAGE, find_credentials
from minewatch.sources.scene import Scene, name_assets
from minewatch.sources.search import make_scene
from minewatch.sources.stac import Source, has_search, locate_provider, make_source, read_root
from minewatch.sources.stac_io import FAULT, DocumentError, FormatError

ANYWHERE = box(-180, -90, 180, 90)
"""The area where none is given."""

FIRST_DAY = dt.date(2015, 6, 23)
"""Launch of Sentinel-2A."""

LOOKBACK_DAYS = (32, 128, 512, 2048)
"""Days to search back for the newest item, so that an API returns few pages; then all dates."""

MOST_ITEMS = 300
"""Items read where the area is the whole world."""

STALE_DAYS = 30
"""Age of the newest item that is noted: satellites pass every few days, catalogues lag by less than a month."""

ReadBytes = Callable[[Scene, str], str]
"""Reads the first bytes of a band of a scene; returns why that fails, '' where it does not."""

MeasureLine = Callable[[Scene, str], LineMeasure | None]
"""Measures the line by a band of a scene; None where nothing comes over a line, or it cannot be measured."""

MEASURED_BAND = "red"
"""Band whose file is large enough to measure the line by."""


@dataclass(frozen=True)
class SourceCheck:
    """One check and its result."""

    name: str
    """What was checked."""

    passed: bool | None
    """None where it was skipped since an earlier check failed."""

    text: str
    """The result, in a few words."""

    advice: str = ""
    """What to do where it failed."""


@dataclass(frozen=True)
class Newest:
    """The newest item over an area."""

    aoi: str
    """The area's name; '' for the whole world."""

    id: str
    """The item's id."""

    time: dt.datetime
    """Acquisition, UTC."""

    age_days: int
    """Days since acquisition."""


@dataclass(frozen=True)
class SourceReport:
    """All checks of one source."""

    provider: Provider
    """The source that was checked."""

    checks: tuple[SourceCheck, ...]
    """In order."""

    newest: tuple[Newest, ...]
    """By area; areas without an item are left out."""

    line: LineMeasure | None = None
    """How fast the line to its files is; None where it was not measured."""

    @property
    def passed(self) -> bool:
        """True where nothing failed."""
        return not any(check.passed is False for check in self.checks)


def check_source(
    name: str,
    providers: Mapping[str, Provider],
    areas: Mapping[str, BaseGeometry],
    today: dt.date,
    read_bytes: ReadBytes,
    measure_line: MeasureLine = lambda _scene, _band: None,
) -> SourceReport:
    """Check all that a scan requires of a source over the areas; without areas, any item will do.

    ``read_bytes`` fetches the first bytes of files as a scan would, ``measure_line`` times more of one.
    Raises SourceError where there is no such source.
    """
    provider = locate_provider(name, providers)
    checks, source = _check_root(provider)
    checks.append(_check_collection(source) if source else _skip("collection"))
    usable = source if all(check.passed for check in checks) else None
    items: dict[str, pystac.Item] = {}
    for aoi, area in (areas or {"": ANYWHERE}).items():
        checks.append(_check_newest(usable, aoi, area, today, items))
    item = max(items.values(), key=_find_time, default=None)
    found, scene = _check_item(usable, item)
    checks += [*found, _check_credentials(_complete_provider(provider, item)), _check_pixels(scene, read_bytes)]
    newest = (Newest(aoi, it.id, _find_time(it), (today - _find_time(it).date()).days) for aoi, it in items.items())
    line = measure_line(scene, MEASURED_BAND) if scene and checks[-1].passed else None
    if line:
        checks.append(SourceCheck("line", passed=True, text=line.describe()))
    return SourceReport(provider, tuple(checks), tuple(newest), line)


def _check_root(provider: Provider) -> tuple[list[SourceCheck], Source | None]:
    start = time.perf_counter()
    is_remote = is_web(provider.root)
    try:
        document = read_root(provider)
    except SourceError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FormatError):
            advice = "check address, network and proxy, or try again later" if is_remote else "check that the file can be read"
            text = describe(error).removesuffix("; check the address")
            return [SourceCheck("address", passed=False, text=text, advice=advice), _skip("STAC")], None
        advice = "give the address of a STAC API, or of a catalog.json"
        return [_report_answer(start, is_remote), SourceCheck("STAC", passed=False, text=describe(error), advice=advice)], None
    checks = [_report_answer(start, is_remote), _check_kind(provider, document)]
    return checks, make_source(provider, is_api=has_search(document)) if checks[1].passed else None


def _report_answer(start: float, is_remote: bool) -> SourceCheck:
    text = f"answers in {time.perf_counter() - start:.2f} s" if is_remote else "a file on this machine"
    return SourceCheck("address", passed=True, text=text)


def _check_kind(provider: Provider, document: Mapping[str, Any]) -> SourceCheck:
    if provider.is_api and not has_search(document):
        advice = "its address may have moved; see what its owner says"
        return SourceCheck(
            "STAC", passed=False, text="a catalogue that cannot be searched, in place of a STAC API", advice=advice
        )
    kind = "STAC API" if has_search(document) else "static catalogue"
    title, version = document.get("title") or document.get("id"), document.get("stac_version") or "not given"
    return SourceCheck("STAC", passed=True, text=f"{kind} {show(title, 60)!r}, STAC version {show(version, 20)}")


def _check_collection(source: Source) -> SourceCheck:
    if not source.is_api:
        return SourceCheck("collection", passed=True, text="a static catalogue is read whole")
    try:
        return SourceCheck("collection", passed=True, text=f"{source.collection}: {show(source.find_collection(), 60)}")
    except SourceError as error:
        return SourceCheck("collection", passed=False, text=describe(error), advice=_suggest_collection(source))


def _suggest_collection(source: Source) -> str:
    try:
        known = source.list_collections()
    except SourceError:
        return "try again later"
    near = difflib.get_close_matches(source.collection, known, n=3, cutoff=0.4) or known[:5]
    return f"it has {', '.join(show(name, 60) for name in near) or 'none'}; name one in a [sources.NAME] table of minewatch.toml"


def _check_newest(
    source: Source | None, aoi: str, area: BaseGeometry, today: dt.date, items: dict[str, pystac.Item]
) -> SourceCheck:
    """Search the newest item over an area and add it to ``items``."""
    name = f"newest item over {aoi}" if aoi else "an item anywhere"
    if source is None:
        return _skip(name)
    try:
        item = _find_newest(source, area, today)
    except SourceError as error:
        cause = error.__cause__
        is_refusal = isinstance(cause, DocumentError) and cause.is_refusal
        advice = "ask its owner" if is_refusal else "try again later, or ask its owner"
        return SourceCheck(name, passed=False, text=describe(error), advice=advice)
    if item is None:
        return SourceCheck(name, passed=False, text="no item at all", advice="check the place of the area, and the collection")
    items[aoi] = item
    day = _find_time(item).date()
    age = (today - day).days
    late = "older than a month: the source lags, or does not cover this area any more" if aoi and age > STALE_DAYS else ""
    return SourceCheck(name, passed=True, text=f"{show(item.id)} of {day}, {count_of(age, 'day')} old", advice=late)


def _find_newest(source: Source, area: BaseGeometry, today: dt.date) -> pystac.Item | None:
    tomorrow = today + dt.timedelta(days=1)  # in some time zones it is tomorrow already
    for days in LOOKBACK_DAYS if source.is_api else ():
        item = _pick_newest(source, Query(area, today - dt.timedelta(days=days), tomorrow))
        if item:
            return item
    return _pick_newest(source, Query(area, FIRST_DAY, dt.date(2100, 1, 1)))


def _pick_newest(source: Source, query: Query) -> pystac.Item | None:
    """Return the newest item of a search; raises SourceError where there are items but none has a date."""
    items = list(islice(source.items(query), MOST_ITEMS if query.area is ANYWHERE else None))
    dated = [item for item in items if FAULT not in item.extra_fields and item.datetime is not None]
    if items and not dated:
        raise SourceError(f"source {source.name}: {items[0].extra_fields.get(FAULT) or f'item {show(items[0].id)} has no date'}")
    return max(dated, key=_find_time, default=None)


def _find_time(item: pystac.Item) -> dt.datetime:
    assert item.datetime is not None, "only items with a date are compared"
    return item.datetime.astimezone(dt.UTC) if item.datetime.tzinfo else item.datetime.replace(tzinfo=dt.UTC)


def _check_item(source: Source | None, item: pystac.Item | None) -> tuple[list[SourceCheck], Scene | None]:
    """Check what a scan requires of an item: the names of its assets, their addresses, and its offset."""
    if source is None or item is None:
        return [_skip("assets"), _skip("files"), _skip("offset")], None
    try:
        names = name_assets(item, source.provider.assets)
    except SceneError as error:
        advice = "name them in a table [sources.NAME.assets] of minewatch.toml, or look for a collection of Sentinel-2 L2A scenes"
        fault = SourceCheck("assets", passed=False, text=describe(error), advice=advice)
        return [fault, _skip("files"), _skip("offset")], None
    named = ", ".join(f"{band} = {name}" if band != name else band for band, name in names.items())
    assets = SourceCheck("assets", passed=True, text=named)
    try:
        scene = make_scene(item, source)
    except (SceneError, SourceError) as error:
        advice = "a scan refuses this item" if isinstance(error, SceneError) else "a scan finds no scene"
        files = SourceCheck("files", passed=False, text=describe(error), advice=advice)
        return [assets, files, _skip("offset")], None
    rule = _complete_provider(source.provider, item).offset
    added = f"{scene.offset:+d} to its digital numbers" if scene.offset else "nothing is added"
    offset = SourceCheck("offset", passed=True, text=f"rule {rule}: {added}, since {scene.offset_reason}")
    return [assets, _report_hosts(scene), offset], scene


def _check_pixels(scene: Scene | None, read_bytes: ReadBytes) -> SourceCheck:
    """Read the first bytes of one file of each host, with the login that a scan would use."""
    if scene is None:
        return _skip("pixels")
    bands: dict[str, str] = {}
    for band, href in scene.hrefs.items():
        bands.setdefault(urlsplit(href).netloc, band)
    start = time.perf_counter()
    for band in bands.values():
        if fault := read_bytes(scene, band):
            return SourceCheck("pixels", passed=False, text=f"{band}: {fault}", advice=_advise(fault, scene))
    seconds = time.perf_counter() - start
    return SourceCheck("pixels", passed=True, text=f"the first bytes of {', '.join(bands.values())} read in {seconds:.2f} s")


def _advise(fault: str, scene: Scene) -> str:
    if "ignores ranges" in fault or "compresses" in fault:
        return "have its server or the proxy changed, or copy the files to this machine"
    if "denied" in fault and scene.token is None and scene.s3 is None:
        return "if it wants a key, name it in a table [sources.NAME.token] of minewatch.toml"
    return "a scan could not read it either"


def _report_hosts(scene: Scene) -> SourceCheck:
    parts = [urlsplit(href) for href in scene.hrefs.values()]
    places = {f"{part.scheme}://{part.netloc.rpartition('@')[2]}" if part.scheme else "on this machine" for part in parts}
    is_public = scene.s3 is None and any(part.scheme == "s3" for part in parts)
    advice = "taken for public files at Amazon; name another store in a table [sources.NAME.s3] of minewatch.toml"
    return SourceCheck("files", passed=True, text=", ".join(sorted(places)), advice=advice if is_public else "")


def _check_credentials(provider: Provider) -> SourceCheck:
    login = find_credentials(provider)
    variables = [name for name in login.missing if name != PACKAGE]
    advice = [f"set {' and '.join(variables)} in the environment"] if variables else []
    if PACKAGE in login.missing:
        advice.append(f"pip install 'minewatch[{PACKAGE}]'")
    return SourceCheck("credentials", passed=not login.missing, text=login.describe(), advice="; ".join(advice))


def _complete_provider(provider: Provider, item: pystac.Item | None) -> Provider:
    if item is None:
        return provider
    return infer_provider(provider, item.properties, [asset.href for asset in item.assets.values()])


def _skip(name: str) -> SourceCheck:
    return SourceCheck(name, passed=None, text="not checked: something before it failed")
