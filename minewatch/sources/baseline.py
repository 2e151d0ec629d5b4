"""The processing baseline of a product, as catalogues write it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

UNKNOWN = (0, 0)
"""Where an item does not say, or says what ESA never gave."""

END = 20
"""First main number that is none: ESA has come from 01 to 05 in ten years.  INPE writes N9999 for what it processed itself."""

PROPERTY = "processing_baseline"
"""Name of the property, after a prefix such as ``s2:``, ``sentinel:`` or ``sentinel2:``."""

_WRITTEN = re.compile(r"[A-Za-z]?(\d{1,2})(?:\.(\d{1,2})|(\d{2}))?", re.ASCII)
_IN_PRODUCT = re.compile(r"_N(\d{2})(\d{2})_", re.ASCII)


def parse_baseline(properties: Mapping[str, Any], product: str = "") -> tuple[int, int]:
    """Return the processing baseline, as (5, 9) for '05.09', 5.09, 'N0509' or 509; UNKNOWN where it is not given.

    A figure after the point that stands alone has lost a zero: 5.1 is 05.10.  ``product`` is ESA's product name, which counts
    where no property has a baseline.
    """
    found = (_read(value) for value in _list_values(properties))
    known = next((baseline for baseline in found if baseline != UNKNOWN), UNKNOWN)
    match = _IN_PRODUCT.search(product) if known == UNKNOWN else None
    return _check(int(match[1]), int(match[2])) if match else known


def _list_values(properties: Mapping[str, Any]) -> Iterator[Any]:
    names = sorted(name for name in properties if name.rpartition(":")[2] == PROPERTY)
    yield from (properties[name] for name in (*names, "processing:version") if name in properties)


def _read(value: Any) -> tuple[int, int]:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return UNKNOWN
    match = _WRITTEN.fullmatch(str(value).strip())
    if match is None:
        return UNKNOWN
    return _check(int(match[1]), int((match[2] or match[3] or "0").ljust(2, "0")))


def _check(main: int, sub: int) -> tuple[int, int]:
    return (main, sub) if main < END else UNKNOWN
