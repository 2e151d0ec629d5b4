"""The compass rose of printed maps, as SVG without fonts: a star of eight points, with an N at the north."""

from __future__ import annotations

import base64
import math

_SIZE = 100
_LONG, _SHORT, _WAIST = 36.0, 20.0, 8.0
"""Distances from the middle: tips of the cardinal points, tips of the others, and where the points meet."""

_CENTRE = (50.0, 60.0)
_DARK, _LIGHT = "#202020", "#ffffff"

_LETTER_N = "M43 17 V3 H46 L53.5 12.5 V3 H57 V17 H54 L46.5 7.5 V17 Z"


def render_compass() -> str:
    """Return the rose as SVG."""
    points = [(angle, _SHORT) for angle in (45, 135, 225, 315)] + [(angle, _LONG) for angle in (0, 90, 180, 270)]
    halves = "".join(_draw_point(angle, length) for angle, length in points)
    ring = f'<circle cx="{_CENTRE[0]:g}" cy="{_CENTRE[1]:g}" r="26" fill="none" stroke="{_DARK}" stroke-width="1"/>'
    letter = f'<path d="{_LETTER_N}" fill="{_DARK}" stroke="{_LIGHT}" stroke-width="0.6"/>'
    size = f'width="{_SIZE}" height="{_SIZE}" viewBox="0 0 {_SIZE} {_SIZE}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{ring}{halves}{letter}</svg>'


def embed_compass() -> str:
    """Return the rose as QGIS embeds images in a project."""
    return "base64:" + base64.b64encode(render_compass().encode()).decode()


def _draw_point(angle: float, length: float) -> str:
    """Draw a point of the star: its left half dark, its right half light."""
    tip = _place(angle, length)
    sides = [(_place(angle + turn, _WAIST), colour) for turn, colour in ((-45, _DARK), (45, _LIGHT))]
    middle = _place(0, 0)
    outline = f'stroke="{_DARK}" stroke-width="0.6" stroke-linejoin="round"'
    return "".join(f'<path d="M{middle} L{side} L{tip} Z" fill="{colour}" {outline}/>' for side, colour in sides)


def _place(angle: float, length: float) -> str:
    turn = math.radians(angle)
    return f"{_CENTRE[0] + length * math.sin(turn):.2f} {_CENTRE[1] - length * math.cos(turn):.2f}"
