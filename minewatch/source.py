"""Sources of scenes: a STAC API, or a static STAC catalogue on disk or on the web."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pystac
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.exceptions import RequestException
from shapely.geometry.base import BaseGeometry

from minewatch.documents import GuardedIO, StaticIO, tell
from minewatch.errors import SourceError
from minewatch.footprint import list_boxes, read_footprint
from minewatch.provider import COLLECTION, PROVIDERS
from minewatch.trust import is_web

PAGE = 100
"""Items asked for at a time."""


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
            raise SourceError(f"source {self.name} does not answer: {tell(error)}; try again later") from error
        except pystac.STACError as error:  # pystac wraps what went wrong with a link
            cause = error.__cause__
            if isinstance(cause, SourceError):
                raise cause from error
            if isinstance(cause, (APIError, RequestException, OSError)):
                raise SourceError(f"source {self.name} does not answer: {tell(cause)}; try again later") from error
            raise SourceError(f"source {self.name} gave something that is no STAC: {tell(cause or error)}") from error
        except (pystac.STACTypeError, RecursionError, KeyError, TypeError, ValueError) as error:
            raise SourceError(f"source {self.name} gave something that is no STAC: {tell(error)}") from error

    def _search(self, query: Query) -> Iterator[pystac.Item]:
        client = Client.open(self.root, stac_io=self._io)
        for box in list_boxes(query.area):
            search = client.search(
                collections=[self.collection],
                bbox=box,
                datetime=f"{query.start}T00:00:00Z/{query.end}T23:59:59Z",
                limit=PAGE,
            )
            yield from search.items()

    def _walk(self) -> Iterator[pystac.Item]:
        kind = pystac.Collection if self._io.read_json(self.root).get("type") == "Collection" else pystac.Catalog
        return kind.from_file(self.root, stac_io=self._io).get_items(recursive=True)


def open_source(name: str) -> Source:
    """Find out what ``name`` is: a provider, an address, or the path of a static catalogue.

    Raises SourceError where it does not exist or is no STAC.
    """
    if name in PROVIDERS:
        provider = PROVIDERS[name]
        return Source(name, provider.root, provider.collection, True, GuardedIO(provider.root))
    root = name if is_web(name) else _find_catalog(name)
    try:
        document = json.loads(GuardedIO(root).read_text(root))
    except (OSError, RequestException, APIError) as error:
        raise SourceError(f"source {name} does not answer: {tell(error)}; check the address") from error
    except ValueError as error:
        raise SourceError(f"source {name} is no STAC: it does not give JSON") from error
    if not isinstance(document, dict) or document.get("type") not in ("Catalog", "Collection"):
        raise SourceError(f"source {name} is no STAC catalogue or API: its type is not Catalog or Collection")
    is_api = _has_search(document)
    return Source(name, root, COLLECTION, is_api, GuardedIO(root) if is_api else StaticIO(root))


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


def _matches(item: pystac.Item, query: Query) -> bool:
    if item.datetime is None or not item.geometry:
        return False
    day = item.datetime.astimezone(dt.UTC).date() if item.datetime.tzinfo else item.datetime.date()
    return query.start <= day <= query.end and bool(read_footprint(item.geometry).intersects(query.area))
