"""What an item states on the pixel grid of a file (STAC's projection extension), and whether the file contradicts it.

A header whose bytes were changed on the way still opens, in another place: all of the band would read as no data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from affine import Affine

STEPS = (1.0, 2.0, 3.0, 6.0, 1 / 2, 1 / 3, 1 / 6)
"""Ratios of the pixel sizes 10, 20 and 60 m: what an item states for all of its files has the size of one of them."""

ROUNDING = 0.5
"""Pixels of the file by which its corners may differ from the stated ones; a wrong byte moves them by more."""

LOOSE = 1e-3
"""Relative difference between two pixel sizes that are the same."""


@dataclass(frozen=True)
class StatedGrid:
    """The pixel grid of one file, as its item states it; None for what it does not."""

    epsg: int | None = None
    """EPSG code of the CRS."""

    shape: tuple[int, int] | None = None
    """Rows and columns."""

    transform: tuple[float, ...] | None = None
    """Six numbers, pixel to map."""

    is_shape_own: bool = True
    """True where the shape is that of this file, False where the item gives one for all of its files."""

    is_transform_own: bool = True
    """True where the transform is that of this file, likewise."""

    def find_contradiction(self, epsg: int | None, transform: Affine, shape: tuple[int, int]) -> str:
        """Return which property the header of the file contradicts, with both values; '' where none.

        Small differences, as of rounding, are none; ``epsg`` is None where the file's CRS has no code.
        """
        if self.epsg is not None and epsg is not None and self.epsg != epsg:
            return f"its item states proj:code EPSG:{self.epsg}, and the file has EPSG:{epsg}"
        steps = STEPS[:1] if self.is_shape_own else STEPS
        if self.shape is not None and not any(self._has_shape(shape, step) for step in steps):
            return f"its item states proj:shape {_list(self.shape)}, and the file has {_list(shape)}"
        if self.transform is not None and not self._fits_transform(transform, shape):
            return f"its item states proj:transform {_list(self.transform)}, and the file has {_list(transform[:6])}"
        return ""

    def _has_shape(self, shape: tuple[int, int], step: float) -> bool:
        """True if a file whose pixels are ``step`` times as large as the stated ones may have this shape."""
        return self.shape is None or all(abs(a - step * b) <= max(1, step) for a, b in zip(self.shape, shape, strict=True))

    def _fits_transform(self, transform: Affine, shape: tuple[int, int]) -> bool:
        numbers = self.transform or ()
        # Some catalogues write GDAL's order, which begins with the corner.
        return any(self._is_near(stated, transform, shape) for stated in (Affine(*numbers), Affine.from_gdal(*numbers)))

    def _is_near(self, stated: Affine, transform: Affine, shape: tuple[int, int]) -> bool:
        if not stated.determinant or not transform.determinant:
            return False
        ratio = math.sqrt(abs(transform.determinant / stated.determinant))
        step = next((known for known in STEPS if abs(ratio / known - 1) < LOOSE), 0.0)
        if self.is_transform_own and step != 1:
            return False
        if not step or (self.is_transform_own == self.is_shape_own and not self._has_shape(shape, step)):
            return False
        apart = ~transform @ stated @ Affine.scale(step)  # from the file's pixels to the file's pixels
        corners = [(column, row) for column in (0, shape[1]) for row in (0, shape[0])]
        moved = [(apart.a * x + apart.b * y + apart.c - x, apart.d * x + apart.e * y + apart.f - y) for x, y in corners]
        return all(max(abs(across), abs(along)) <= ROUNDING for across, along in moved)


def read_stated_grid(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> StatedGrid:
    """Return what the fields of an asset, else the properties of its item, state; what is malformed counts as not stated."""
    code = next((fields for fields in (asset, properties) if "proj:code" in fields or "proj:epsg" in fields), {})
    return StatedGrid(
        epsg=read_code(code),
        shape=_read_shape(asset.get("proj:shape", properties.get("proj:shape"))),
        transform=_read_transform(asset.get("proj:transform", properties.get("proj:transform"))),
        is_shape_own="proj:shape" in asset,
        is_transform_own="proj:transform" in asset,
    )


def read_code(fields: Mapping[str, Any]) -> int | None:
    """Return the EPSG code among fields of the projection extension, old or new; None where there is none."""
    text = str(fields.get("proj:code") or fields.get("proj:epsg") or "").removeprefix("EPSG:")
    return int(text) if text.isascii() and text.isdigit() and 4 <= len(text) <= 6 else None


def _read_shape(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(side) and side >= 1 for side in value):
        return None
    return round(value[0]), round(value[1])


def _read_transform(value: Any) -> tuple[float, ...] | None:
    if not isinstance(value, list) or len(value) not in (6, 9) or not all(_is_number(number) for number in value):
        return None
    return tuple(float(number) for number in value[:6])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e15


def _list(numbers: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{number:.12g}' for number in numbers)}]"
