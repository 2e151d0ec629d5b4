"""Providers of Sentinel-2 L2A scenes: their catalogues, and how their files are named, opened and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from minewatch.core.url_policy import name_origin

COLLECTION = "sentinel-2-l2a"
"""The collection searched in an API that is given by its address."""

BANDS = ("blue", "green", "red", "nir", "swir16", "scl")
"""Bands by their common names; SCL is the scene classification map of Sen2Cor."""

REQUIRED_BANDS = ("blue", "red", "nir", "swir16", "scl")
"""Bands without which a scene cannot be archived; green serves pictures only."""

ASSET_NAMES: tuple[Mapping[str, str], ...] = (
    {band: band for band in BANDS},  # Earth Search
    dict(zip(BANDS, ("B02", "B03", "B04", "B08", "B11", "SCL"), strict=True)),  # Planetary Computer
    dict(zip(BANDS, ("B02_10m", "B03_10m", "B04_10m", "B08_10m", "B11_20m", "SCL_20m"), strict=True)),  # CDSE
)
"""Asset names by catalogue; the best match of an item is used."""

Signing = Literal["", "planetary-computer"]
"""Who signs the addresses of assets before they are read; '' = nobody."""

OffsetRule = Literal["", "earth-search", "metadata", "baseline", "none"]
"""What decides on the reflectance offset: Earth Search's flag, the metadata of the bands, or the processing baseline alone;
"none" adds nothing, and '' = each item says."""


@dataclass(frozen=True)
class S3Login:
    """How to log in to an object store; the keys are only in the environment."""

    endpoint: str
    """Host and port of the store, with ``http://`` where it is not encrypted; '' = Amazon."""

    region: str
    """Region name; '' = us-east-1."""

    key_variable: str
    """Environment variable with the access key; '' where no login is required."""

    secret_variable: str
    """Environment variable with the secret key."""

    requester_pays: bool = False
    """True where the reader pays for the traffic."""

    session_variable: str = ""
    """Environment variable with the session token of temporary keys; '' = the keys are lasting ones."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the environment variables that must be set."""
        return tuple(name for name in (self.key_variable, self.secret_variable, self.session_variable) if name)


@dataclass(frozen=True)
class TokenLogin:
    """A key or token that goes along with requests to some hosts; what it is stands in the environment alone."""

    origins: tuple[str, ...]
    """Scheme, host and port of those to which it belongs; it is sent to no other, also not along redirects."""

    variable: str = ""
    """Environment variable with the key; '' = a token is fetched."""

    url: str = ""
    """Where tokens are fetched (OAuth 2.0, client credentials)."""

    id_variable: str = ""
    """Environment variable with the client's id."""

    secret_variable: str = ""
    """Environment variable with the client's secret."""

    scope: str = ""
    """Scope that is asked for; '' = the service's own choice."""

    header: str = ""
    """Header that holds it; '' = ``Authorization: Bearer``, unless ``query`` is given."""

    query: str = ""
    """Parameter of the address that holds it."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the environment variables that must be set."""
        return tuple(name for name in (self.variable, self.id_variable, self.secret_variable) if name)

    def belongs_to(self, href: str) -> bool:
        """True if it may be sent to an address."""
        return name_origin(href) in self.origins


@dataclass(frozen=True)
class Provider:
    """A place that lists scenes, and how its files are opened and read."""

    name: str
    """As users call it."""

    root: str
    """Address of its root document, or the path of a static catalogue."""

    collection: str = COLLECTION
    """The collection that is searched; a static catalogue is read whole."""

    title: str = ""
    """For people."""

    is_api: bool | None = None
    """True for a STAC API, False for a static catalogue; None = its root document says."""

    assets: Mapping[str, str] | None = None
    """Band to asset name; None = recognised from each item."""

    offset: OffsetRule = ""
    """What decides on the reflectance offset."""

    signing: Signing = ""
    """Who signs the addresses of its assets."""

    s3: S3Login | None = None
    """Login for its s3:// addresses; None where it has none of its own."""

    token: TokenLogin | None = None
    """Key or token for its catalogue and files; None where they need none."""

    hosts: tuple[str, ...] = ()
    """Hosts (``name`` or ``name:port``) that its items may name though they are near, or served by plain http."""

    outline: bool = False
    """True where a search may send the outline of an area; else it sends its box."""


@dataclass(frozen=True)
class Imagery:
    """Pictures of a collection that are sharper than Sentinel-2: a commercial archive, say, or aerial photographs."""

    provider: Provider
    """Where they are listed, and how their files are opened."""

    assets: tuple[str, ...]
    """One asset with red, green and blue, or three with one of them each."""

    credit: str
    """The credit that the licence requires."""

    max_cloud: float
    """Largest cloud cover of an item that counts as clear, per cent."""

    @property
    def name(self) -> str:
        """As users call it."""
        return self.provider.name


_EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"
_PLANETARY_COMPUTER = "https://planetarycomputer.microsoft.com/api/stac/v1"
_CDSE = "https://stac.dataspace.copernicus.eu/v1"

_CDSE_LOGIN = S3Login("eodata.dataspace.copernicus.eu", "default", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY")
"""Keys are free (documentation.dataspace.copernicus.eu/APIs/S3.html); the region has that name (CS-SI/eodag #2144)."""

_PLANETARY_HOST = "sentinel2l2a01.blob.core.windows.net"
"""Planetary Computer's blob store of Sentinel-2 scenes; others may belong to anyone."""

PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("earth-search", _EARTH_SEARCH, COLLECTION, "Earth Search", is_api=True, offset="earth-search"),
        # Collection 1 leaves the offset in the pixels, of old dates too (Element84/earth-search #41).
        Provider(
            "earth-search-c1",
            _EARTH_SEARCH,
            "sentinel-2-c1-l2a",
            "Earth Search, Collection 1",
            is_api=True,
            offset="metadata",
        ),
        Provider(
            "planetary-computer",
            _PLANETARY_COMPUTER,
            COLLECTION,
            "Planetary Computer",
            is_api=True,
            offset="metadata",
            signing="planetary-computer",
        ),
        Provider("cdse", _CDSE, COLLECTION, "Copernicus Data Space", is_api=True, offset="metadata", s3=_CDSE_LOGIN),
    )
}
"""Built-in providers, by name."""


def find_provider(name: str, providers: Mapping[str, Provider] = PROVIDERS) -> Provider | None:
    """Return a provider by its name, or by its address, which then becomes its name; None where there is none."""
    if name in providers:
        return providers[name]
    known = (provider for provider in providers.values() if provider.root.rstrip("/") == name.rstrip("/"))
    provider = next(known, None)
    return replace(provider, name=name) if provider else None


def infer_provider(provider: Provider, properties: Mapping[str, Any], hrefs: Iterable[str]) -> Provider:
    """Return a provider with offset rule and signing, where open, inferred from one of its items.

    Properties of Earth Search and the host of Planetary Computer are recognised in copies too.  A login is never inferred:
    untrusted input would decide where keys are sent.
    """
    from_flag: OffsetRule = "earth-search" if any(name.startswith("earthsearch:") for name in properties) else "metadata"
    signed: Signing = "planetary-computer" if _PLANETARY_HOST in map(_find_host, hrefs) else ""
    return replace(provider, offset=provider.offset or from_flag, signing=provider.signing or signed)


def _find_host(href: str) -> str | None:
    try:
        return urlsplit(href).hostname
    except (ValueError, TypeError, AttributeError):  # not an address; it is refused where it is used
        return None
