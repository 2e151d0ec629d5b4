"""Reads the documents of catalogues: with time limits and retries, and only from where they may lead."""

from __future__ import annotations

from typing import Any

import pystac
from pystac.stac_io import StacIO
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.exceptions import RequestException
from urllib3.util import Retry

from minewatch.errors import SceneError, SourceError
from minewatch.trust import check_href

TIMEOUT = 30
"""Seconds to wait for a catalogue's answer."""

RETRIES = Retry(total=4, backoff_factor=0.5, backoff_jitter=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
"""Bounded, with growing pauses; Retry-After is honoured; POST pages are repeated too, since a search changes nothing."""


class GuardedIO(StacApiIO):
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


class StaticIO(GuardedIO):
    """The same for static catalogues, whose collections are no API endpoints."""

    def stac_object_from_dict(self, *args: Any, **kwargs: Any) -> pystac.STACObject:
        """Make plain pystac objects."""
        return StacIO.stac_object_from_dict(self, *args, **kwargs)


def tell(error: BaseException) -> str:
    """Say what went wrong in a few words, without addresses: they may carry secrets."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (APIError, RequestException)):
        response = getattr(error, "response", None)
        code = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        return f"status {code}" if code else "no connection"
    return " ".join(str(error).split())[:200] or type(error).__name__
