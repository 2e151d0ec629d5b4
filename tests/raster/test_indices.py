"""Indices and how they are kept in a byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minewatch.core.units import NODATA, SCALE
from minewatch.raster.indices import BLUE, BSI, EMPTY, LAYERS, NDVI, IndexLayer, encode_layers

BANDS = ("blue", "red", "nir", "swir16")


def compute(layer: IndexLayer, **bands: float) -> float:
    """Compute a layer with the textbook's formula, in double precision."""
    blue, red, nir, swir16 = (bands[name] for name in BANDS)
    if len(layer.bands) == 1:
        return bands[layer.bands[0]] / SCALE
    above, below = (nir - red, nir + red) if layer is NDVI else (swir16 + red - nir - blue, swir16 + red + nir + blue)
    return above / below if below else 0.0


def encode(layer: IndexLayer, bands: dict[str, np.ndarray]) -> np.ndarray:
    """Return the codes of one layer."""
    return encode_layers(bands)[LAYERS.index(layer)]


def as_bands(**values: int) -> dict[str, np.ndarray]:
    return {band: np.array([[values.get(band, 1000)]], np.int16) for band in BANDS}


@given(hnp.arrays(np.int16, (4, 6), elements=st.integers(0, 16_000)))
def test_what_is_kept_is_within_half_a_step(numbers: np.ndarray) -> None:
    bands = dict(zip(BANDS, numbers[:, None, :], strict=True))
    for layer in LAYERS:
        exact = np.array([compute(layer, **dict(zip(BANDS, map(float, column), strict=True))) for column in numbers.T]).clip(
            layer.low, layer.high
        )
        kept = layer.decode(encode(layer, bands))[0] / SCALE
        rounding = 0.5 / SCALE + 1e-6  # values are whole ten-thousandths; bands are float32
        assert np.abs(kept - exact).max() <= layer.step / 2 + rounding


@given(st.integers(1, 255))
def test_a_code_is_its_own_value(code: int) -> None:
    for layer in LAYERS:
        value = layer.decode(np.array([code], np.uint8))[0]
        assert value == pytest.approx((layer.low + (code - 1) * layer.step) * SCALE, abs=0.51)
        neighbour = layer.decode(np.array([min(255, code + 1)], np.uint8))[0]
        assert neighbour >= value


@pytest.mark.parametrize(
    ("layer", "bands", "value"),
    [
        (NDVI, {"nir": 3000, "red": 1000}, 0.5),
        (NDVI, {"nir": 1000, "red": 3000}, -0.5),
        (NDVI, {"nir": 3000, "red": 0}, 1.0),
        (BSI, {"swir16": 3000, "red": 3000, "nir": 1500, "blue": 500}, 0.5),
        (BSI, {"swir16": 0, "red": 0, "nir": 1500, "blue": 500}, -1.0),
        (BLUE, {"blue": 1200}, 0.12),
        (BLUE, {"blue": 0}, 0.0),
        (BLUE, {"blue": 9000}, 0.508),
    ],
)
def test_values_by_hand(layer: IndexLayer, bands: dict[str, int], value: float) -> None:
    kept = layer.decode(encode(layer, as_bands(**bands)))[0, 0] / SCALE
    assert kept == pytest.approx(value, abs=layer.step / 2 + 1e-4)


def test_more_vegetation_never_has_a_lower_code() -> None:
    nir = np.arange(0, 8000, 7, dtype=np.int16)[None]
    flat = np.full_like(nir, 800)
    codes = encode(NDVI, {"blue": flat, "red": flat, "nir": nir, "swir16": flat}).astype(int)
    assert (np.diff(codes) >= 0).all()
    assert len(np.unique(codes)) > 100


def test_pitch_dark_ground_is_neither_green_nor_bare() -> None:
    dark = as_bands(blue=0, red=0, nir=0, swir16=0)
    for layer in (NDVI, BSI):
        codes = encode(layer, dark)
        assert codes[0, 0] != EMPTY
        assert abs(layer.decode(codes)[0, 0]) <= layer.step / 2 * SCALE + 1


@pytest.mark.parametrize("lost", BANDS)
def test_a_band_without_data_empties_every_layer(lost: str) -> None:
    """So that one layer tells where the others have a value."""
    codes = encode_layers(as_bands(**{lost: NODATA}))
    assert (codes == EMPTY).all()
    assert all((layer.decode(layer_codes) == NODATA).all() for layer, layer_codes in zip(LAYERS, codes, strict=True))


def test_formulas_can_be_called() -> None:
    numbers = (np.float32(500), np.float32(1000), np.float32(3000), np.float32(2000))
    assert NDVI.formula(*numbers) == pytest.approx(0.5)
    assert BSI.formula(*numbers) == pytest.approx(-500 / 6500)
