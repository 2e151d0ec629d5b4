"""Which addresses in untrusted input (catalogues, redirects) may be followed, and which files may be opened.

Host names are checked as they are written, and then by the addresses that they lead to where this machine resolves them itself.
"""

from __future__ import annotations

import enum
import re
import socket
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from minewatch.core.errors import SceneError
from minewatch.core.text import show

LONGEST_HREF = 4096
"""Characters of an address; signed ones have a thousand or two."""

LONGEST_ID = 200
"""Characters of an item's id; those of Sentinel-2 have 25 to 70."""

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?)(?::\d{1,5})?")
"""Host in ASCII, and port; no user, no percent-encoding, no IPv6 zone."""

_OBJECT = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,62}/[^?#]+")
"""A bucket and a key."""

_LOCAL_NAMES = (
    *("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa", "localnet"),
    *("svc", "cluster", "consul", "docker"),
)
"""Last labels of names in private networks, and in clusters."""

_METADATA_SERVICES = {
    *("metadata", "metadata.google.internal", "metadata.goog", "metadata.tencentyun.com", "metadata.packet.net"),
    *("instance-data", "instance-data.ec2.internal", "rancher-metadata", "metadata.platformequinix.com"),
    *("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
    *map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")),
}
"""Metadata services, where clouds give credentials to their machines, besides link-local addresses; and those of clusters."""

_WILDCARD_NAMES = (
    *("nip.io", "sslip.io", "xip.io", "ip6.name", "backname.io", "traefik.me", "local-ip.co", "local-ip.sh", "1u.ms"),
    *("localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "localho.st", "local.gd", "rbndr.us", "lcl.host"),
)
"""Ends of names that lead to whatever address stands before them, in many spellings, or to this machine."""

_EMBEDDING = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
"""IPv6 addresses that hold an IPv4 address in their last four bytes (RFC 6052, RFC 8215, RFC 4291, RFC 7915)."""

_ISATAP = (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe")
"""Third quarter of IPv6 addresses that hold an IPv4 address in the last one (RFC 5214)."""

_IN_NAME = re.compile(r"(?<![0-9a-z])(?=(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?![0-9a-z]))")
"""An IPv4 address in a name, as in 10-0-0-1.example.org."""


class NetworkZone(enum.IntEnum):
    """How near a host is to this machine: a catalogue may name none that is nearer than itself."""

    PUBLIC = 0
    """On the web."""

    PRIVATE = 1
    """In a private network."""

    HERE = 2
    """This machine."""

    FORBIDDEN = 3
    """Infrastructure such as link-local addresses, names that stand for any address, and what is not a host."""


def is_web(href: str) -> bool:
    """True if an address is http or https."""
    return href.partition(":")[0].lower() in ("http", "https")


def check_id(name: object) -> str:
    """Return an item's id; raises SceneError unless it could safely be a file's name."""
    if not isinstance(name, str) or not name.strip() or name.strip(".") == "":
        raise SceneError(f"item {show(name)}: its id is no name")
    if len(name) > LONGEST_ID:
        raise SceneError(f"item {show(name, 60)}: its id has {len(name)} characters, more than {LONGEST_ID}")
    if not name.isprintable() or "/" in name or "\\" in name:
        raise SceneError(f"item {show(name)}: its id holds a slash or characters that cannot be shown")
    return name


def resolve_href(href: object, base: str, root: str, where: str, allowed: Collection[str] = ()) -> str:
    """Return the address that a document at ``base`` of the catalogue ``root`` names; raises SceneError as check_href does."""
    href = _check_text(href, where)
    try:
        if not urlsplit(href).scheme and not Path(href).is_absolute():
            href = urljoin(base, href) if is_web(base) else str(Path(base).parent / href)
        return check_href(href, root, where, allowed)
    except ValueError:
        raise SceneError(f"{where}: {_hide(href)!r} is no address") from None


def check_href(href: str, root: str, where: str, allowed: Collection[str] = (), longest: int = LONGEST_HREF) -> str:
    """Return an address if the catalogue at ``root`` may name it: https, s3, or a file below the catalogue's own folder.

    Plain http is for the host that served the catalogue by plain http, for this machine, and for the hosts
    (``name`` or ``name:port``) in ``allowed``.  Raises SceneError for everything else.
    """
    href = _check_text(href, where, longest)
    try:
        scheme = urlsplit(href).scheme
        if scheme in ("http", "https"):
            return _check_web(href, root, where, allowed)
        if scheme == "s3":
            if not _OBJECT.fullmatch(href) or {"", ".", ".."} & set(unquote(href[5:]).split("/")):
                raise SceneError(f"{where}: {_hide(href)!r} is no object of a bucket (s3://bucket/key)")
            return href
        if is_web(root):
            raise SceneError(f"{where}: a catalogue on the web may not name the local file {_hide(href)!r}")
        return _check_file(href, root, where)
    except (ValueError, OSError) as error:  # a port that is not a number, a path that is too long
        raise SceneError(f"{where}: {_hide(href)!r} is no address ({type(error).__name__})") from None


def _check_text(href: object, where: str, longest: int = LONGEST_HREF) -> str:
    if not isinstance(href, str) or not href:
        raise SceneError(f"{where}: the address is no text")
    if len(href) > longest:
        raise SceneError(f"{where}: an address of {len(href)} characters, more than {longest}")
    # Parsers treat these differently, so another one could read another address.
    if not href.isprintable() or "\\" in href:
        raise SceneError(f"{where}: {_hide(href)!r} holds a backslash or characters that cannot be shown")
    return href


# --- the web ---------------------------------------------------------------------------------------------------------


def _check_web(href: str, root: str, where: str, allowed: Collection[str]) -> str:
    new, old = urlsplit(href), urlsplit(root)
    if is_web(root) and (new.scheme, new.netloc) == (old.scheme, old.netloc):
        return href  # the user gave this host
    if not _HOST.fullmatch(new.netloc) or new.port == 0:
        raise SceneError(f"{where}: {_hide(href)!r} names no plain host")
    if {new.netloc.lower(), new.hostname} & {name.lower() for name in allowed}:
        return href
    zone = find_zone(new.hostname or "")
    root_zone = find_zone(old.hostname or "") if is_web(root) else NetworkZone.HERE
    _refuse_zone(zone, root_zone, href, where)
    # Any port of the host: whoever controls one can redirect to the others.
    is_same = zone is NetworkZone.HERE or (old.scheme == "http" and old.hostname == new.hostname)
    if new.scheme == "http" and not is_same:
        raise SceneError(f"{where}: {_hide(href)!r} is plain http, and not of the host that served the catalogue; use https")
    if zone is NetworkZone.PUBLIC and (reached := find_resolved_zone(new.hostname or "", new.scheme)) > zone:
        _refuse_zone(reached, find_resolved_zone(old.hostname or "", old.scheme) if is_web(root) else root_zone, href, where)
    return href


def _refuse_zone(zone: NetworkZone, root_zone: NetworkZone, href: str, where: str) -> None:
    """Raise SceneError where a host lies nearer than the catalogue that names it, or where no scene lies."""
    if zone is NetworkZone.FORBIDDEN:
        raise SceneError(
            f"{where}: {_hide(href)!r} leads into a private network, to a metadata service, or wherever its name says;"
            " no catalogue may"
        )
    if zone > root_zone:
        raise SceneError(f"{where}: {_hide(href)!r} leads into a private network; a catalogue from outside may not")


def _hide(href: str) -> str:
    """Return an address without its user and query, which may be secret."""
    return show(re.sub("//[^/]*@", "//", href.partition("?")[0]))


def find_zone(host: str) -> NetworkZone:
    """Return how near a host is, by its name or IP address, without resolving it."""
    host = host.rstrip(".").lower()
    if not host:
        return NetworkZone.FORBIDDEN
    try:
        return _find_address_zone(ip_address(host))
    except ValueError:
        if _is_number(host):  # 2130706433, 0x7f.1, 0177.0.0.1: written so in order to deceive
            return NetworkZone.FORBIDDEN
    if host in _METADATA_SERVICES or _has_ending(host, _WILDCARD_NAMES):
        return NetworkZone.FORBIDDEN
    if host == "localhost" or host.endswith(".localhost"):
        return NetworkZone.HERE
    is_local = "." not in host or _has_ending(host, _LOCAL_NAMES)
    return max(NetworkZone.PRIVATE if is_local else NetworkZone.PUBLIC, *_find_zones_in_name(host))


def _has_ending(host: str, names: Iterable[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)


def _find_zones_in_name(host: str) -> Iterator[NetworkZone]:
    """Yield the zones of the IPv4 addresses that a name spells, and PUBLIC."""
    yield NetworkZone.PUBLIC
    for match in _IN_NAME.finditer(host):
        octets = [int(part) for part in match.groups()]
        if max(octets) < 256:
            yield _find_address_zone(IPv4Address(bytes(octets)))


@lru_cache(4096)
def find_resolved_zone(host: str, scheme: str) -> NetworkZone:
    """Return how near a host is, by its name and by the addresses that it has.

    A name is resolved once by a process, and not at all where a proxy would resolve it; one that has no address is judged by its
    name.
    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  brings all of HTTP

    zone = find_zone(host)
    if zone is not NetworkZone.PUBLIC or (getproxies().get(scheme) and not proxy_bypass(host)):
        return zone
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return zone
    return max(zone, *(_find_address_zone(ip_address(str(entry[4][0]).partition("%")[0])) for entry in found))


def _is_number(host: str) -> bool:
    """True if a resolver could read a name as an IPv4 address."""
    last = host.rpartition(".")[2]
    try:
        socket.inet_aton(host)
    except OSError:
        return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
    return True


def _find_address_zone(address: IPv4Address | IPv6Address) -> NetworkZone:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        is_embedding = any(address in network for network in _EMBEDDING) or address.packed[8:12] in _ISATAP
        if is_embedding and address.packed[-4:] > b"\0\0\0\1":
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return _find_address_zone(inner)
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA_SERVICES:
        return NetworkZone.FORBIDDEN
    if address.is_loopback:
        return NetworkZone.HERE
    is_site = isinstance(address, IPv6Address) and address.is_site_local
    return NetworkZone.PUBLIC if address.is_global and not is_site else NetworkZone.PRIVATE


# --- stores and files ------------------------------------------------------------------------------------------------


def _check_file(href: str, root: str, where: str) -> str:
    parts = urlsplit(href)
    if parts.scheme not in ("", "file") or (parts.scheme and parts.netloc not in ("", "localhost")) or href.startswith("/vsi"):
        raise SceneError(f"{where}: {_hide(href)!r} lies outside the catalogue's folder: it is no path of this machine")
    path = Path(_check_text(unquote(parts.path), where)) if parts.scheme else Path(href)
    folder, path = Path(root).parent.resolve(), path.resolve()
    if not path.is_relative_to(folder):
        raise SceneError(f"{where}: {_hide(href)!r} lies outside the catalogue's folder {folder}")
    if path.exists() and not path.is_file():  # a pipe would block, a device never ends
        raise SceneError(f"{where}: {_hide(href)!r} is no plain file")
    return str(path)


def hide_secrets(address: str) -> str:
    """Return an http(s) address without login and query, which may be secret; other text unchanged."""
    if not is_web(address):
        return address
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def list_secrets(address: str) -> tuple[str, ...]:
    """Return the parts of an address that may be secret: its login, and the values of its query."""
    if not is_web(address):
        return ()
    parts = urlsplit(address)
    values = (value for pair in (parts.username, parts.password, *re.split("[&;]", parts.query)) for value in [pair or ""])
    return tuple(unquote(value.partition("=")[2] or value) for value in values if value)


def name_origin(address: str) -> str:
    """Return scheme, host and port of an address, in one form; '' for what is no address of the web."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if is_web(address) and parts.hostname else ""
