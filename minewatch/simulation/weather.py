"""Overpasses and their weather: dates, sun, clouds with their shadows, haze, smoke and snow."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from minewatch.simulation.noise import Field, make_fractal_noise, smooth_step
from minewatch.simulation.settings import Simulation

_MARGIN = 160
"""Pixels of 20 m around the scene in which clouds may cast a shadow into it."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """One overpass and its weather."""

    when: dt.datetime
    """Start of the sensing, UTC."""
    platform: str
    orbit: int
    """Absolute orbit number."""
    seed: tuple[int, int, int]
    """Seed of the fields of this overpass."""
    baseline: str
    """Processing baseline, such as ``05.09``."""
    shifted: bool
    """True if the digital numbers include the offset of 1000."""
    sun_azimuth: float
    """Degrees from north, clockwise."""
    sun_elevation: float
    """Degrees above the horizon."""
    gain: Field
    """``(band,) float32``, illumination and calibration, about 1."""
    offset: Field
    """``(band,) float32``, error of the atmospheric correction, in reflectance."""
    misregistration: tuple[float, float]
    """Misregistration in rows and columns of 10 m."""
    cloud_share: float
    """Share of the scene behind cloud."""
    cloud_height: float
    """Metres above the ground."""
    haze: float
    """Strength of haze, 0 to 1; haze is not in the SCL."""
    haze_flagged: bool
    """True if the SCL classifies haze as thin cirrus."""
    smoke: float
    """Strength of smoke, 0 to 1."""
    snow: float
    """Share of open ground below snow, 0 to 1."""
    wetness: float
    """Wetness of the soil, 0 dry to 1 wet."""
    water: float
    """Level of rivers against the mean."""
    swath_edge: float | None
    """Share of the scene beyond the edge of the swath; None where the scene is whole."""

    @property
    def day(self) -> dt.date:
        """UTC date of the overpass."""
        return self.when.date()


@dataclass(frozen=True, eq=False)
class Sky:
    """Fields ``(y, x) float32`` of 20 m between 0 (nothing) and 1."""

    cloud: Field
    """Opacity of clouds."""
    missed_cloud: Field
    """Opacity of small clouds that the SCL misses."""
    shadow: Field
    """Depth of the shadow of both."""
    haze: Field
    """Opacity of haze."""
    smoke: Field
    """Opacity of smoke."""

    def find_obstruction(self) -> Field:
        """Return the obstruction of the view, 0 to 1; below 0.15 a pixel is clear."""
        veil = 1 - (1 - self.cloud) * (1 - self.missed_cloud) * (1 - self.haze) * (1 - self.smoke)
        obstruction: Field = np.maximum(veil, np.float32(0.6) * self.shadow)
        return obstruction


def plan_acquisitions(settings: Simulation) -> list[Acquisition]:
    """Draw all overpasses of the period; each depends on the seed and its own date alone."""
    days = range(settings.first.toordinal(), settings.last.toordinal() + 1, settings.revisit_days)
    drawn = (_draw_acquisition(settings, dt.date.fromordinal(d)) for d in days)
    return [a for a in drawn if a is not None]


def find_sun(day: dt.date, hour: float, latitude: float) -> tuple[float, float]:
    """Return azimuth and elevation of the sun in degrees at a solar hour (Cooper's declination, 1969)."""
    declination = np.radians(23.45 * np.sin(2 * np.pi * (284 + day.timetuple().tm_yday) / 365))
    phi, angle = np.radians(latitude), np.radians(15 * (hour - 12))
    sine = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(angle)
    return float(np.degrees(np.arctan2(east, north)) % 360), float(np.degrees(np.arcsin(sine)))


def _draw_acquisition(settings: Simulation, day: dt.date) -> Acquisition | None:
    """Draw one overpass, None where it is missing from the catalogue."""
    seed = (settings.seed, 5, day.toordinal())
    rng = np.random.default_rng(seed)
    if rng.random() < settings.missing:
        return None
    tropical, southern = settings.climate == "tropical", settings.latitude < 0
    season = 2 * np.pi * (day.timetuple().tm_yday / 365.25 + (0.5 if southern else 0))  # 0 = midwinter
    azimuth, elevation = find_sun(day, 10.6, settings.latitude)
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    when = noon + dt.timedelta(hours=10.6 - 12 - settings.longitude / 15, seconds=float(rng.integers(-240, 240)))
    late = rng.random() < settings.offset_share
    wet = -np.cos(season) if tropical else np.cos(season)  # tropical rain comes with the high sun
    cloudy = _expect_cloud(settings, float(wet)) if settings.cloudiness else 0.0
    share = rng.beta(1.1 * cloudy, 1.1 * (1 - cloudy)) if cloudy else 0.0
    rough = rng.random() < 0.08
    return Acquisition(
        when=when.replace(microsecond=0),
        platform=("sentinel-2a", "sentinel-2b")[(day.toordinal() // settings.revisit_days) % 2],
        orbit=20000 + (day.toordinal() - 736000) * 143 // 10,
        seed=(settings.seed, 6, day.toordinal()),
        baseline=("05.09" if day.year > 2021 else "05.00") if late else "02.14",
        shifted=late and not settings.offset_applied,
        sun_azimuth=azimuth,
        sun_elevation=elevation,
        gain=(rng.normal(1, 0.04) * rng.normal(1, [0.03, 0.02, 0.02, 0.012, 0.012])).astype(np.float32),
        offset=rng.normal([0.003, 0.003, 0.002, 0.002, 0.001], [0.006, 0.0045, 0.0035, 0.004, 0.003]).astype(np.float32),
        misregistration=(float(rng.normal(0, 0.5 if rough else 0.12)), float(rng.normal(0, 0.5 if rough else 0.12))),
        cloud_share=float(share),
        cloud_height=float(rng.uniform(700, 2600)),
        haze=_draw_haze(rng, settings),
        haze_flagged=bool(rng.random() < 0.25),
        smoke=_draw_smoke(rng, settings, season),
        snow=_draw_snow(rng, settings, season),
        wetness=float(rng.beta(2, 2)),
        water=float(0.55 * wet + rng.normal(0, 0.25)),
        swath_edge=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.04 else None,
    )


def _expect_cloud(settings: Simulation, wet: float) -> float:
    """Return the mean share under cloud of a day; ``wet`` rises from -1 in the driest week to 1 in the wettest."""
    if settings.climate == "tropical":  # a third of the year is all but cloudless, the rest is equally cloudy
        swing = 0.8 * settings.cloudiness * (1.5 * float(smooth_step(np.array(wet), -0.75, -0.1)) - 1)
    else:
        swing = 0.12 * wet
    return float(np.clip(settings.cloudiness + swing, 0.02, 0.95))


def _draw_haze(rng: np.random.Generator, settings: Simulation) -> float:
    """Draw the strength of haze: rare and thin in the tropics.

    Clouds, haze and smoke of the tropics follow a year of real series of Rondônia (albhasan/deforestation-sentinel2), haze of the
    temperate zone six summers of the Carpathians, of whose clear looks 8 % are hazy.
    """
    tropical = settings.climate == "tropical"
    likely, strength = (0.07, (0.03, 0.26)) if tropical else (0.13, (0.1, 0.5))
    drawn = float(rng.uniform(*strength))
    return drawn if rng.random() < likely * (settings.cloudiness > 0) else 0.0


def _draw_smoke(rng: np.random.Generator, settings: Simulation, season: float) -> float:
    """Draw the strength of smoke: the late dry season of the tropics."""
    dryness = float(smooth_step(np.array(np.cos(season - 0.9)), 0.4, 1.0))
    strength, chance = rng.uniform(0.02, 0.15), rng.random()
    likely = 0.35 * dryness * (settings.climate == "tropical") * (settings.cloudiness > 0)
    return float(strength) if chance < likely else 0.0


def _draw_snow(rng: np.random.Generator, settings: Simulation, season: float) -> float:
    """Draw the snow cover: some of the temperate winter's dates."""
    strength, chance = rng.uniform(0.3, 1.0), rng.random()
    likely = 0.55 * float(smooth_step(np.array(np.cos(season)), 0.35, 0.9)) * (settings.climate == "temperate")
    return float(strength) if chance < likely else 0.0


def make_sky(acquisition: Acquisition, shape: tuple[int, int]) -> Sky:
    """Draw the sky over a scene of ``shape`` pixels of 20 m."""
    rng = np.random.default_rng([*acquisition.seed, 1])
    wide = (shape[0] + 2 * _MARGIN, shape[1] + 2 * _MARGIN)
    cloud = _draw_clouds(rng, wide, acquisition.cloud_share)
    missed_cloud = _draw_puffs(rng, wide, acquisition.cloud_share)
    inner = slice(_MARGIN, _MARGIN + shape[0]), slice(_MARGIN, _MARGIN + shape[1])
    shade = _cast_shadow(acquisition, np.maximum(cloud, missed_cloud), shape)
    fields = []
    for strength in (acquisition.haze, acquisition.smoke):
        field = make_fractal_noise(rng, shape, rng.uniform(30, 120), 5, 0.6) if strength else np.zeros(shape, np.float32)
        fields.append((strength * np.clip(0.7 + 0.35 * field, 0.05, 1.3)).astype(np.float32) if strength else field)
    return Sky(
        cloud[inner],
        missed_cloud[inner],
        shade * (1 - 0.85 * cloud[inner]),
        np.minimum(fields[0], 0.8),
        np.minimum(fields[1], 0.6),
    )


def _draw_clouds(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Field:
    """Draw clouds over a share of the scene, thick in the middle, thin at the edge, of any size from puffs to decks."""
    if share < 0.004:
        return np.zeros(shape, np.float32)
    scale = float(np.exp(rng.uniform(np.log(15), np.log(90))))
    field = make_fractal_noise(rng, shape, scale, 5, rng.uniform(0.5, 0.65))
    if share > 0.985:
        deck: Field = np.clip(0.85 + 0.1 * field, 0.4, 1).astype(np.float32)
        return deck
    height = field - np.quantile(field[::3, ::3], 1 - share)
    return smooth_step(height, -0.12, rng.uniform(0.2, 0.9))


def _draw_puffs(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Field:
    """Draw a few small clouds on broken days, of one to five pixels of 20 m."""
    density = rng.uniform(0, 0.006) if 0.02 < share < 0.9 and rng.random() < 0.5 else 0.0
    if not density:
        return np.zeros(shape, np.float32)
    field = make_fractal_noise(rng, shape, 3.5, 2)
    return np.float32(0.8) * smooth_step(field - np.quantile(field[::3, ::3], 1 - density), -0.1, 0.6)


def _cast_shadow(acquisition: Acquisition, cloud: Field, shape: tuple[int, int]) -> Field:
    """Shift the clouds away from the sun by their height over its tangent."""
    length = acquisition.cloud_height / np.tan(np.radians(max(12.0, acquisition.sun_elevation))) / 20
    length = min(length, _MARGIN - 2)
    azimuth = np.radians(acquisition.sun_azimuth)
    down, right = round(float(np.cos(azimuth) * length)), round(float(-np.sin(azimuth) * length))
    top, left = _MARGIN - down, _MARGIN - right
    return smooth_step(cloud[top : top + shape[0], left : left + shape[1]], 0.1, 0.7)
