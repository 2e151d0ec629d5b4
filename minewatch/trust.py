"""What strangers' data may name: which addresses are followed, and which files are opened."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from minewatch.errors import SceneError


def is_web(href: str) -> bool:
    """Tell whether an address is one of the web."""
    return urlsplit(href).scheme in ("http", "https")


def resolve_href(href: str, base: str, root: str, where: str) -> str:
    """Give the address that a document at ``base`` of the catalogue ``root`` names; raises SceneError as check_href does."""
    return check_href(href if _is_absolute(href) else _join(base, href), root, where)


def _is_absolute(href: str) -> bool:
    return bool(urlsplit(href).scheme) or Path(href).is_absolute()


def _join(base: str, href: str) -> str:
    return urljoin(base, href) if is_web(base) else str(Path(base).parent / href)


def check_href(href: str, root: str, where: str) -> str:
    """Return an address that strangers' data may name: http(s), s3, or a file below the catalogue's own folder.

    Raises SceneError for everything else.
    """
    scheme = urlsplit(href).scheme
    if scheme in ("http", "https", "s3"):
        return href
    if is_web(root):
        raise SceneError(f"{where}: a catalogue on the web may not name the local file {href!r}")
    path = Path(unquote(urlsplit(href).path)) if scheme == "file" else Path(href)
    folder = Path(root).parent.resolve()
    if scheme not in ("", "file") or href.startswith("/vsi") or not path.resolve().is_relative_to(folder):
        raise SceneError(f"{where}: {href!r} lies outside the catalogue's folder {folder}")
    return str(path.resolve())
