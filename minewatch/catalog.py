"""Finds the scenes over an area: a STAC API, or a static STAC catalogue on disk or on the web."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pystac
import shapely
from pystac.stac_io import StacIO
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.exceptions import RequestException
from shapely.geometry.base import BaseGeometry
from urllib3.util import Retry

from minewatch.aoi import GridHint
from minewatch.errors import SceneError, SourceError
from minewatch.scene import Scene, name_assets, parse_scene

PROVIDERS = {
    "earth-search": ("https://earth-search.aws.element84.com/v1", "sentinel-2-l2a"),
}
"""Public catalogues by name: address and collection."""

COLLECTION = "sentinel-2-l2a"
"""The collection asked of an API that is given by its address."""

TIMEOUT = 30
"""Seconds to wait for a catalogue's answer."""

PAGE = 100
"""Items asked for at a time."""

RETRIES = Retry(total=4, backoff_factor=0.5, backoff_jitter=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
"""Bounded, with growing pauses; Retry-After is honoured; POST pages are repeated too, since a search changes nothing."""


@dataclass(frozen=True)
class Refusal:
    """A scene that was found and cannot be used."""

    id: str
    """The item's id."""

    reason: str
    """Why, in one line."""


@dataclass(frozen=True)
class Found:
    """The answer to a search."""

    scenes: tuple[Scene, ...]
    """What can be read, by time and id."""

    refused: tuple[Refusal, ...] = ()
    """Items that lack an asset or point where they may not."""

    cloudy: tuple[str, ...] = ()
    """Ids left out for the cloud cover of their tile."""


@dataclass(frozen=True)
class Query:
    """What is asked of a source."""

    area: BaseGeometry
    """Lon/lat outline; only its bounding box is sent."""

    start: dt.date
    """First acquisition date."""

    end: dt.date
    """Last acquisition date."""

    max_cloud_cover: float = 100
    """Per cent of the whole tile."""


@dataclass(frozen=True)
class Source:
    """A place that lists scenes."""

    name: str
    """As the user gave it."""

    root: str
    """Address or path of the catalogue's or API's root document."""

    collection: str = COLLECTION
    """The collection searched in an API."""

    is_api: bool = False
    """True for a STAC API, False for a static catalogue."""

    _io: StacApiIO = field(default_factory=StacApiIO, compare=False, repr=False)
    """Reads its documents."""

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Yield the items whose footprint meets the area within the dates; raises SourceError."""
        try:
            found = self._search(query) if self.is_api else self._walk()
            yield from (item for item in found if _matches(item, query))
        except SourceError:
            raise
        except (APIError, RequestException, OSError) as error:
            raise SourceError(f"source {self.name} does not answer: {_tell(error)}; try again later") from error
        except pystac.STACError as error:  # pystac wraps what went wrong with a link
            cause = error.__cause__
            if isinstance(cause, SourceError):
                raise cause from error
            if isinstance(cause, (APIError, RequestException, OSError)):
                raise SourceError(f"source {self.name} does not answer: {_tell(cause)}; try again later") from error
            raise SourceError(f"source {self.name} gave something that is no STAC: {_tell(cause or error)}") from error
        except (pystac.STACTypeError, RecursionError, KeyError, TypeError, ValueError) as error:
            raise SourceError(f"source {self.name} gave something that is no STAC: {_tell(error)}") from error

    def _search(self, query: Query) -> Iterator[pystac.Item]:
        client = Client.open(self.root, stac_io=self._io)
        search = client.search(
            collections=[self.collection],
            bbox=query.area.bounds,
            datetime=f"{query.start}T00:00:00Z/{query.end}T23:59:59Z",
            limit=PAGE,
        )
        return search.items()

    def _walk(self) -> Iterator[pystac.Item]:
        kind = pystac.Collection if self._io.read_json(self.root).get("type") == "Collection" else pystac.Catalog
        return kind.from_file(self.root, stac_io=self._io).get_items(recursive=True)


def open_source(name: str) -> Source:
    """Find out what ``name`` is: a provider, an address, or the path of a static catalogue.

    Raises SourceError where it does not exist or is no STAC.
    """
    if name in PROVIDERS:
        root, collection = PROVIDERS[name]
        return Source(name, root, collection, True, _GuardedIO(root))
    root = name if _is_web(name) else _find_catalog(name)
    try:
        document = json.loads(_GuardedIO(root).read_text(root))
    except (OSError, RequestException, APIError) as error:
        raise SourceError(f"source {name} does not answer: {_tell(error)}; check the address") from error
    except ValueError as error:
        raise SourceError(f"source {name} is no STAC: it does not give JSON") from error
    if not isinstance(document, dict) or document.get("type") not in ("Catalog", "Collection"):
        raise SourceError(f"source {name} is no STAC catalogue or API: its type is not Catalog or Collection")
    is_api = _has_search(document)
    return Source(name, root, COLLECTION, is_api, _GuardedIO(root) if is_api else _StaticIO(root))


def _find_catalog(name: str) -> str:
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / "catalog.json"
    if not path.is_file():
        known = ", ".join(PROVIDERS)
        raise SourceError(f"source {name} does not exist: it is no provider ({known}), no address, and {path} is not there")
    return str(path.resolve())


def _has_search(document: dict[str, object]) -> bool:
    links = document.get("links")
    return isinstance(links, list) and any(isinstance(link, dict) and link.get("rel") == "search" for link in links)


def _is_web(href: str) -> bool:
    return urlsplit(href).scheme in ("http", "https")


Track = Callable[[Iterator[pystac.Item]], Iterator[pystac.Item]]


def find_scenes(source: Source, query: Query, track: Track = iter) -> Found:
    """Search a source; ``track`` may watch the items pass.

    Raises SourceError where items were found and none is a Sentinel-2 L2A scene with the bands that are needed.
    """
    scenes, refused, cloudy = [], [], []
    for item in track(source.items(query)):
        try:
            scene = parse_scene(item, source.name, resolve_hrefs(item, source))
        except SceneError as error:
            refused.append(Refusal(item.id, str(error)))
            continue
        if scene.cloud_cover > query.max_cloud_cover:
            cloudy.append(scene.id)
        else:
            scenes.append(scene)
    if refused and not scenes and not cloudy:
        raise SourceError(f"source {source.name} has no usable Sentinel-2 L2A scene: {refused[0].reason}")
    scenes.sort(key=lambda scene: (scene.time, scene.id))
    return Found(tuple(scenes), tuple(refused), tuple(sorted(cloudy)))


def has_scenes(source: Source, area: BaseGeometry) -> bool:
    """Tell whether a source has any scene over an area, whatever its date."""
    query = Query(area, dt.date(2015, 1, 1), dt.date(2100, 1, 1))
    return next(source.items(query), None) is not None


def _matches(item: pystac.Item, query: Query) -> bool:
    if item.datetime is None or not item.geometry:
        return False
    day = item.datetime.astimezone(dt.UTC).date() if item.datetime.tzinfo else item.datetime.date()
    return query.start <= day <= query.end and bool(shapely.geometry.shape(item.geometry).intersects(query.area))


def resolve_hrefs(item: pystac.Item, source: Source) -> dict[str, str]:
    """Give the address of each band; raises SceneError where one is missing or points where it may not."""
    hrefs = {}
    for band, name in name_assets(item).items():
        href = item.assets[name].href
        base = item.get_self_href() or source.root
        hrefs[band] = check_href(href if _is_absolute(href) else _join(base, href), source.root, f"item {item.id}, asset {name}")
    return hrefs


def _is_absolute(href: str) -> bool:
    return bool(urlsplit(href).scheme) or Path(href).is_absolute()


def _join(base: str, href: str) -> str:
    return urljoin(base, href) if _is_web(base) else str(Path(base).parent / href)


def check_href(href: str, root: str, where: str) -> str:
    """Return an address that strangers' data may name: http(s), s3, or a file below the catalogue's own folder.

    Raises SceneError for everything else.
    """
    scheme = urlsplit(href).scheme
    if scheme in ("http", "https", "s3"):
        return href
    if _is_web(root):
        raise SceneError(f"{where}: a catalogue on the web may not name the local file {href!r}")
    path = Path(unquote(urlsplit(href).path)) if scheme == "file" else Path(href)
    folder = Path(root).parent.resolve()
    if scheme not in ("", "file") or href.startswith("/vsi") or not path.resolve().is_relative_to(folder):
        raise SceneError(f"{where}: {href!r} lies outside the catalogue's folder {folder}")
    return str(path.resolve())


class _GuardedIO(StacApiIO):
    """Reads documents with a time limit and retries, and only from where the catalogue's root allows."""

    def __init__(self, root: str) -> None:
        super().__init__(max_retries=RETRIES, timeout=TIMEOUT)
        self.root = root

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """Read a document; raises SourceError where a link leaves the catalogue."""
        is_link = isinstance(source, pystac.Link)
        try:
            href = check_href(source.href if is_link else str(source), self.root, "a link")
        except SceneError as error:
            raise SourceError(f"catalogue {self.root}: {error}") from error
        return super().read_text(source if is_link else href, *args, **kwargs)


class _StaticIO(_GuardedIO):
    """The same for static catalogues, whose collections are no API endpoints."""

    def stac_object_from_dict(self, *args: Any, **kwargs: Any) -> pystac.STACObject:
        """Make plain pystac objects."""
        return StacIO.stac_object_from_dict(self, *args, **kwargs)


def _tell(error: BaseException) -> str:
    """Say what went wrong in a few words, without addresses: they may carry secrets."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (APIError, RequestException)):
        response = getattr(error, "response", None)
        code = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        return f"status {code}" if code else "no connection"
    return " ".join(str(error).split())[:200] or type(error).__name__


def find_lattice(source: Source, area: BaseGeometry) -> GridHint:
    """Read the pixel lattice of a source's scenes over an area, from the metadata of the first that tells it.

    Raises SourceError where none does.
    """
    query = Query(area, dt.date(2015, 1, 1), dt.date(2100, 1, 1))
    for item in source.items(query):
        try:
            name = name_assets(item)["scl"]
        except SceneError:
            continue
        fields = item.properties | item.assets[name].extra_fields
        code = str(fields.get("proj:code") or fields.get("proj:epsg") or "").removeprefix("EPSG:")
        transform = fields.get("proj:transform")
        if code.isdigit() and isinstance(transform, list) and len(transform) >= 6:
            return GridHint(int(code), (float(transform[2]), float(transform[5])))
    raise SourceError(f"source {source.name} has no scene over the area that tells its lattice (proj:code and proj:transform)")
