"""Reflectance at the sensor: that of the surface, blurred and displaced, then changed by the atmosphere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from minewatch.simulation import spectra
from minewatch.simulation.landscape import Cover, Landscape, Surface, Units, paint_surface
from minewatch.simulation.noise import Field, double_resolution, smooth_step
from minewatch.simulation.patches import SimulatedPatch, apply_patch
from minewatch.simulation.spectra import BANDS, GroundSpectrum
from minewatch.simulation.weather import Acquisition, Sky

_HALO = 4
"""Extra rows on each side for blur and misregistration; even."""


def compute_reflectance(
    land: Landscape, patches: Sequence[SimulatedPatch], acquisition: Acquisition, part: slice
) -> tuple[Field, Field]:
    """Return surface reflectance ``(band, y, x)`` and snow cover of some rows, blurred and displaced."""
    day = acquisition.day
    wide = slice(max(0, part.start - _HALO), min(land.shape[0], part.stop + _HALO))
    surface = paint_surface(land, day, acquisition.water, wide)
    for patch in patches:
        apply_patch(patch, surface, day, wide)
    snow = _compute_snow(acquisition, land, surface, wide)
    soils, foliage = _tint_soils(acquisition.wetness), _tint_leaves(land.units, day, land.southern)
    unit, crowns = land.unit[wide], 1 + land.canopy[wide] * np.float32(0.01)
    leafy, shown = surface.leaves * crowns, slice(part.start - wide.start, part.stop - wide.start)
    light = np.empty((len(BANDS), part.stop - part.start, land.shape[1]), np.float32)
    for band in range(len(BANDS)):
        plane = soils[band][surface.ground] * (1 - surface.leaves) + foliage[band][unit] * leafy
        if acquisition.snow:
            plane += snow * (spectra.SNOW[band] - plane)
        light[band] = _blur(plane, acquisition.misregistration)[shown]
    return light, snow[shown]


def _tint_soils(wetness: float) -> Field:
    """Return the palette, darker where soil is wet; water keeps its colour."""
    palette = spectra.PALETTE * np.float32(1.06 - 0.18 * wetness)
    for water in spectra.WATERS:
        own = slice(water * spectra.TONES, (water + 1) * spectra.TONES)
        palette[:, own] = spectra.PALETTE[:, own]
    return palette


def _tint_leaves(units: Units, day: dt.date, southern: bool) -> Field:
    """Return the reflectance of the leaves of every unit, ``(band, unit)``: fresh in spring, yellow in autumn."""
    season = np.float32((day.timetuple().tm_yday + (182.5 if southern else 0)) % 365.25)
    kinds = (spectra.TROPICAL_LEAF, spectra.BROAD_LEAF, spectra.NEEDLE_LEAF, spectra.CROP_LEAF, spectra.GRASS_LEAF)
    table = np.stack([*kinds, spectra.GRASS_LEAF, spectra.GRASS_LEAF])[units.cover].T.copy()
    broad, level = units.cover == Cover.BROADLEAF, np.clip(units.level, -2, 2)
    table[3:] *= 1 + 0.035 * level
    table[4] *= np.where(units.cover == Cover.EVERGREEN, 1 + 0.07 * level, 1)
    table[3] *= np.where(broad, 1.1 - 0.3 * smooth_step(np.array(season), 150, 290), 1)
    table[3] *= np.where(units.cover == Cover.EVERGREEN, 1 + 0.05 * np.cos((season - units.phase) / 365.25 * 2 * np.pi), 1)
    table[2] *= np.where(broad, 1 + 1.2 * smooth_step(season - units.phase, 260, 300), 1)
    return table.astype(np.float32)


def _compute_snow(acquisition: Acquisition, land: Landscape, surface: Surface, rows: slice) -> Field:
    """Return the snow cover of each pixel: open ground fully, forest less."""
    if not acquisition.snow:
        return np.zeros(surface.leaves.shape, np.float32)
    forest = (land.units.cover <= Cover.CONIFER)[land.unit[rows]] & (surface.ground // spectra.TONES <= GroundSpectrum.LEAFLESS)
    flat = surface.ground // spectra.TONES
    open_water = np.isin(flat, [int(w) for w in spectra.WATERS])
    patchy = 0.85 + land.canopy[rows] * np.float32(0.006)
    cover = np.where(forest, 0.45, 0.95) * acquisition.snow * patchy
    return np.where(open_water, 0, np.clip(cover, 0, 1)).astype(np.float32)


def _blur(plane: Field, misregistration: tuple[float, float]) -> Field:
    """Blur like the optics (0.45 pixels) and displace by up to 1.2 pixels."""
    steps = np.arange(-2, 3)
    for axis, shift in enumerate(misregistration):
        taps = np.exp(-((steps - np.clip(shift, -1.2, 1.2)) ** 2) / (2 * 0.45**2))
        taps[taps < 0.004 * taps.max()] = 0
        plane = ndimage.correlate1d(plane, taps / taps.sum(), axis=axis, mode="nearest")
    return plane


def add_atmosphere(acquisition: Acquisition, sky: Sky, light: Field, half: slice) -> Field:
    """Add shadow, illumination, haze, smoke and clouds to reflectance, in place."""
    edge = slice(max(0, half.start - 1), half.stop + 1)
    shown = slice(2 * (half.start - edge.start), 2 * (half.start - edge.start) + light.shape[1])

    def enlarge(field: Field) -> Field | None:
        return double_resolution(field[edge])[shown] if field[edge].any() else None

    shadow, haze, smoke = enlarge(sky.shadow), enlarge(sky.haze), enlarge(sky.smoke)
    cloud = enlarge(np.maximum(sky.cloud, sky.missed_cloud))
    for band in range(len(light)):
        plane = light[band]
        if shadow is not None:
            plane *= 1 - shadow * (1 - spectra.SHADE[band])
        plane *= acquisition.gain[band]
        plane += acquisition.offset[band]
        for veil, colour in ((haze, spectra.HAZE), (smoke, spectra.SMOKE)):
            if veil is not None:
                plane += veil * (colour[band] - plane)
        if cloud is not None:
            plane += cloud * (spectra.CLOUD[band] * (0.45 + 0.55 * cloud) - plane)
    return light
