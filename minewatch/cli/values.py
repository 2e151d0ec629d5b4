"""Types of what options take: days, numbers and words, whose errors say how they are written."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any

import click

from minewatch.core.text import has_decimal_comma, suggest, use_points
from minewatch.core.traffic import parse_bytes


class Day(click.DateTime):
    """A day of the calendar."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return how help shows it."""
        del param, ctx
        return "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return its midnight; fails where it is written otherwise, or there is no such day."""
        if isinstance(value, str):
            try:
                return dt.datetime.strptime(value, "%Y-%m-%d")  # noqa: DTZ007 - a day, and no moment
            except ValueError:
                is_written_so = re.fullmatch(r"\d{4}-\d\d-\d\d", value)
                why = "there is no such day" if is_written_so else "write year, month and day, like 2024-06-30"
                self.fail(f"{value!r} is no date: {why}", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A number within bounds; nan is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fails where it is none, or out of bounds."""
        if has_decimal_comma(str(value)):
            self.fail(f"{value!r}: decimals have a point: write {use_points(str(value))}", param, ctx)
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number


class DataSize(click.ParamType[int]):
    """An amount of data."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return its bytes."""
        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Budget(DataSize):
    """An amount of data, or none."""

    name = "SIZE|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return its bytes; 0 where there is to be no limit."""
        return 0 if value == "none" else super().convert(value, param, ctx)


class Choice(click.Choice[str]):
    """One of several words, whatever its capitals; the error for any other names the nearest."""

    def __init__(self, choices: Any) -> None:
        super().__init__(choices, case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return what is wrong, and what was probably meant."""
        near = suggest(str(value), self.choices, "")
        return super().get_invalid_choice_message(value, ctx) + (f" D{near[3:]}" if near.startswith("; did") else "")


class BoundingBox(click.ParamType[tuple[float, ...]]):
    """Four numbers with commas."""

    name = "W,S,E,N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Parse west, south, east, north."""
        if isinstance(value, tuple):
            return value
        try:
            west, south, east, north = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not four numbers W,S,E,N{_explain_commas(str(value))}", param, ctx)
        return west, south, east, north


def _explain_commas(text: str) -> str:
    """Return how four numbers with decimal commas are written; '' where these are none."""
    whole = [re.fullmatch(r"-?\d{1,3}", part.strip()) for part in text.split(",")[::2]]
    parts = [",".join(pair) for pair in zip(*[iter(text.split(","))] * 2, strict=False)] if len(whole) == 4 and all(whole) else []
    parts = [part.strip() for part in re.split(r"[;\s]+", text) if part] if ";" in text or " " in text.strip() else parts
    if len(parts) != 4 or not all(has_decimal_comma(part.strip()) for part in parts):
        return ""
    return f"; decimals have a point: write {','.join(use_points(part.strip()) for part in parts)}"
