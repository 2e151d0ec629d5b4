"""Sources of scenes: STAC APIs, and static STAC catalogues on disk or on the web."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pystac
from pystac_client.exceptions import APIError
from requests.exceptions import RequestException
from shapely.errors import ShapelyError
from shapely.geometry import mapping

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.http import DENIED_STATUSES
from minewatch.core.text import find_nearest
from minewatch.core.url_policy import hide_secrets, is_web
from minewatch.settings.credits import UNSTATED, DataTerms, parse_terms
from minewatch.settings.providers import PROVIDERS, Provider, find_provider
from minewatch.sources.composite import find_span
from minewatch.sources.footprint import list_boxes, read_footprint
from minewatch.sources.pages import find_search, read_pages
from minewatch.sources.stac_io import FAULT, DocumentError, FormatError, GuardedIO, StaticIO, format_error, make_item
from minewatch.sources.tokens import list_missing

PAGE = 100
"""Items requested at a time."""

COLLECTION_DENIALS = 3
"""Answers without a collection after which there is none: a bad line, or a proxy, may give one or two."""

LIBRARY_ERRORS = (
    APIError, RequestException, OSError, pystac.STACError, pystac.STACTypeError, ShapelyError, RecursionError, KeyError,
    AttributeError, TypeError, ValueError, OverflowError, NotImplementedError,
)  # fmt: skip
"""Raised by the libraries for malformed documents."""


@dataclass(frozen=True)
class Source:
    """A catalogue of scenes."""

    provider: Provider
    """Its address, and how its files are opened and read."""

    is_api: bool = False
    """True for a STAC API, False for a static catalogue."""

    _io: GuardedIO = field(default_factory=lambda: GuardedIO(""), compare=False, repr=False)
    """Reads its documents."""

    _collections: dict[str, dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    """Documents of its collections, as far as they were asked for."""

    @property
    def name(self) -> str:
        """Name, address or path as the user gave it."""
        return self.provider.name

    @property
    def root(self) -> str:
        """Address or path of the catalogue's or API's root document."""
        return self.provider.root

    @property
    def collection(self) -> str:
        """The collection searched in an API."""
        return self.provider.collection

    def items(self, query: Query) -> Iterator[pystac.Item]:
        """Yield the items whose footprint intersects the area within the dates, each once; raises SourceError.

        Items without a date or with an unusable outline are included: they are refused later, by name.  An incomplete
        answer is an error: a part of the scenes must not count as all of them.
        """
        if is_web(self.root):
            self._io.begin()
        try:
            for item in _drop_repeats(self._search(query) if self.is_api else self._walk()):
                self._io.check_clock()
                if _matches(item, query):
                    yield item
        except SourceError:
            raise
        except LIBRARY_ERRORS as error:
            # pystac wraps errors of links.
            cause = error.__cause__ if isinstance(error, pystac.STACError) and error.__cause__ else error
            if isinstance(cause, SourceError):
                raise cause from error
            raise self._explain(cause) from error

    def _explain(self, error: BaseException) -> SourceError:
        """Return the error that says why a search failed."""
        if isinstance(error, DocumentError) and error.is_refusal:
            fault = "refuses the search" if self.is_api else "does not answer"
            return SourceError(f"source {self.name} {fault}: {format_error(error)}; {_advise(error)}")
        if isinstance(error, (APIError, RequestException, OSError)) and not isinstance(error, FormatError):
            is_lasting = isinstance(error, DocumentError) and error.attempts == 1
            advice = "" if is_lasting else "; try again later"
            return SourceError(f"source {self.name} does not answer: {format_error(error)}{advice}")
        what = (
            f"{type(error).__name__} {format_error(error)}" if isinstance(error, (KeyError, TypeError)) else format_error(error)
        )
        return SourceError(f"source {self.name} gave something that is no STAC: {what}; check the address, or try again later")

    def find_collection(self) -> str:
        """Return the title of the searched collection of an API; raises SourceError where it does not exist."""
        address = f"{self.root.rstrip('/')}/collections"
        try:
            document = self._io.read_json(f"{address}/{quote(self.collection, safe='')}")
        except (APIError, RequestException, OSError) as error:
            is_missing = isinstance(error, DocumentError) and error.status == HTTPStatus.NOT_FOUND
            fault = "has no" if is_missing else "does not answer when asked for"
            raise SourceError(f"source {self.name} {fault} collection {self.collection!r}: {format_error(error)}") from error
        return str(document.get("title") or self.collection)

    def read_terms(self) -> DataTerms:
        """Return what the searched collection of an API states on its data; raises SourceError."""
        return parse_terms(found) if (found := self.read_collection()) else UNSTATED

    def read_collection(self) -> dict[str, Any]:
        """Return the document of the searched collection of an API; {} where there is none, for the scenes can be used without.

        Kept once it is read.  A server that gives none has to say so three times; one that does not answer may have one, which
        tells whose data the scenes are: then SourceError is raised.  The collections of built-in providers are known to hold
        Sentinel data, and are not asked.
        """
        if self.provider.root in {provider.root for provider in PROVIDERS.values()}:
            return {}
        if self.collection not in self._collections:
            answers = (self._ask_for_collection() for _ in range(COLLECTION_DENIALS))
            self._collections[self.collection] = next(filter(None, answers), {})
        return self._collections[self.collection]

    def _ask_for_collection(self) -> dict[str, Any]:
        try:
            document = self._io.read_json(f"{self.root.rstrip('/')}/collections/{quote(self.collection, safe='')}")
        except LIBRARY_ERRORS as error:
            if isinstance(error, DocumentError) and error.is_passing:
                raise self._explain(error) from error
            return {}
        # Before STAC 1.0 a collection stated no type.
        return document if document.get("type") == "Collection" or document.get("id") == self.collection else {}

    def list_collections(self) -> list[str]:
        """Return the ids of the collections on an API's first page; raises SourceError."""
        try:
            document = self._io.read_json(f"{self.root.rstrip('/')}/collections")
        except (APIError, RequestException, OSError) as error:
            raise SourceError(f"source {self.name} does not list its collections: {format_error(error)}") from error
        found = document.get("collections")
        return [str(c.get("id")) for c in found if isinstance(c, dict)] if isinstance(found, list) else []

    def _search(self, query: Query) -> Iterator[pystac.Item]:
        href, may_post = find_search(self._io.read_json(self.root))
        # Bounding boxes reveal less of a case than its outline, which is sent only where the user says so.
        boxes = [{"bbox": box} for box in list_boxes(query.area)]
        for area_filter in [{"intersects": mapping(query.area)}] if self.provider.outline else boxes:
            question = {
                "collections": [self.collection],
                "datetime": f"{query.start}T00:00:00Z/{query.end}T23:59:59Z",
                "limit": PAGE,
                **area_filter,
            }
            for page in read_pages(self._io, href, question, may_post=may_post):
                yield from map(make_item, page["features"])

    def _walk(self) -> Iterator[pystac.Item]:
        kind = pystac.Collection if self._io.read_json(self.root).get("type") == "Collection" else pystac.Catalog
        return kind.from_file(self.root, stac_io=self._io).get_items(recursive=True)


def _advise_first(error: Exception) -> str:
    """Return what to do where a root document cannot be read; '' where the error says it."""
    if isinstance(error, DocumentError) and error.is_refusal:
        return f"; {_advise(error)}"
    is_said = isinstance(error, DocumentError) and error.status is None and error.attempts == 1
    return "" if is_said else "; check the address"


def _advise(error: DocumentError) -> str:
    """Return what to do about a refusal."""
    if error.status in DENIED_STATUSES:
        return "it wants a login, or another one: name it in a table [sources.NAME.token] of minewatch.toml"
    return "check its address and collection"


def open_source(name: str, providers: Mapping[str, Provider] = PROVIDERS) -> Source:
    """Return the source of a provider's name, an address, or the path of a static catalogue.

    Raises SourceError where it does not exist or is not STAC.
    """
    provider = locate_provider(name, providers)
    is_api = provider.is_api
    return make_source(provider, is_api=has_search(read_root(provider)) if is_api is None else is_api)


def make_source(provider: Provider, *, is_api: bool) -> Source:
    """Return the source of a located provider."""
    return Source(provider, is_api, (GuardedIO if is_api else StaticIO)(provider.root, provider.token))


def locate_provider(name: str, providers: Mapping[str, Provider] = PROVIDERS) -> Provider:
    """Return the provider of a name, an address or a path; raises SourceError where there is no such file.

    Secrets in an address are not part of the provider's name.
    """
    provider = find_provider(name, providers) or Provider(hide_secrets(name), name)
    return provider if is_web(provider.root) else replace(provider, root=_find_catalog(provider, providers))


def _find_catalog(provider: Provider, providers: Mapping[str, Provider]) -> str:
    path = Path(provider.root).expanduser()
    if path.is_dir():
        path = path / "catalog.json"
    if path.is_file():
        return str(path.resolve())
    if provider.name in providers:
        raise SourceError(f"source {provider.name} does not exist: {path} is not there; check its path in the settings")
    known, near = ", ".join(providers), find_nearest(provider.name, providers)
    raise SourceError(
        f"source {provider.name} does not exist: it is no provider ({known}), no address, and {path} is not there"
        f"{f'; did you mean {near!r}?' if near else ''}"
    )


def read_root(provider: Provider) -> dict[str, Any]:
    """Read the root document; raises SourceError where it cannot be read or is not STAC."""
    name, root = provider.name, provider.root
    if provider.token and provider.token.belongs_to(root) and (missing := list_missing(provider.token)):
        raise SourceError(f"source {name} needs a key: set {' and '.join(missing)} in the environment")
    try:
        document = GuardedIO(root, provider.token).read_json(root)
    except FormatError as error:
        raise SourceError(f"source {name} is no STAC: {error}") from error
    except (OSError, RequestException, APIError) as error:
        raise SourceError(f"source {name} does not answer: {format_error(error)}{_advise_first(error)}") from error
    if document.get("type") not in ("Catalog", "Collection"):
        raise SourceError(f"source {name} is no STAC catalogue or API: its type is not Catalog or Collection")
    return document


def has_search(document: Mapping[str, object]) -> bool:
    """True if a root document is that of a STAC API that can be searched."""
    links = document.get("links")
    return isinstance(links, list) and any(isinstance(link, dict) and link.get("rel") == "search" for link in links)


def _drop_repeats(items: Iterable[pystac.Item]) -> Iterator[pystac.Item]:
    """Yield items without repeats: items move between pages, or lie in two boxes of one search."""
    seen = set()
    for item in items:
        properties = item.properties
        key = item.get_self_href() or item.collection_id, item.id, str(properties.get("updated")), str(item.datetime)
        if key not in seen:
            seen.add(key)
            yield item


def _to_day(time: dt.datetime) -> dt.date:
    return time.astimezone(dt.UTC).date() if time.tzinfo else time.date()


def _matches(item: pystac.Item, query: Query) -> bool:
    """True if an item meets the query; one without date or outline does, so that it is refused by name.

    A composite does where any of its days lies in the period.
    """
    if FAULT in item.extra_fields:
        return True
    span = find_span(item, item.assets)
    is_long = span is not None and (span.is_composite or item.datetime is None)
    days = [_to_day(time) for time in (span if is_long and span else [item.datetime]) if time is not None]
    if days and not (days[0] <= query.end and query.start <= days[-1]):
        return False
    try:
        return bool(read_footprint(item.geometry, item.id).intersects(query.area))
    except SceneError:
        return True
