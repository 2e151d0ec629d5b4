"""``minewatch image``: an area or an alert as it was on a date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from minewatch.chips import COMPOSITES, TRUE_COLOUR
from minewatch.cli.output import Session, common_options, echo, print_json, say
from minewatch.image import FORMATS, OVERLAYS, Drawn, ImageRequest, make_image

DAY = click.DateTime(["%Y-%m-%d"])
FOLDER = click.Path(path_type=Path, file_okay=False)

NOTHING = "none"
"""In place of overlays: the bare image."""


class Choices(click.ParamType[tuple[str, ...]]):
    """Some of a few words, with commas between them."""

    name = "list"

    def __init__(self, words: Sequence[str], nothing: str = "") -> None:
        self.words, self.nothing = tuple(words), nothing

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Give the words, each once, in their own order."""
        if isinstance(value, tuple):
            return value
        if self.nothing and value == self.nothing:
            return ()
        asked = [word.strip() for word in value.split(",") if word.strip()]
        known = ", ".join((*self.words, self.nothing) if self.nothing else self.words)
        for word in asked:
            if word not in self.words:
                self.fail(f"{word!r} is none of {known}", param, ctx)
        if not asked:
            self.fail(f"give some of {known}", param, ctx)
        return tuple(word for word in self.words if word in asked)


@click.command("image")
@click.argument("target", metavar="AOI|ALERT")
@click.option(
    "--date", "day", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The image is of this day or an earlier one."
)
@click.option(
    "--bands", type=click.Choice(list(COMPOSITES)), default=TRUE_COLOUR, show_default=True,
    help="What is shown as red, green and blue; false-colour is SWIR, NIR and red.",
)  # fmt: skip
@click.option(
    "--overlay", type=Choices(OVERLAYS, NOTHING), default=",".join(OVERLAYS), show_default=True, metavar="LIST",
    help=f"What is drawn over the picture, or {NOTHING}.",
)  # fmt: skip
@click.option(
    "--format", "formats", type=Choices(FORMATS), default=",".join(FORMATS), show_default=True, metavar="LIST",
    help="png: the picture with overlays; tif: the bare image for maps (COG, red, green, blue, opacity, 8 bits).",
)  # fmt: skip
@click.option("--source", metavar="NAME|URL|PATH", help="Provider, STAC API or static catalogue in place of the workspace's.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Folder.  [default: output/images]"
)
@common_options
def image(
    session: Session,
    target: str,
    day: dt.datetime,
    bands: str,
    overlay: tuple[str, ...],
    formats: tuple[str, ...],
    source: str | None,
    output: Path | None,
) -> None:
    """Make the best clear image of an area or alert at or before a date, at full resolution (10 m).

    The newest image that is clear is taken; where none is, the clearest, and a line says so.

    \b
    Example:
      minewatch image la-pampa --date 2024-06-30
      minewatch image la-pampa-20240611-3fa9c1 --date 2024-09-30 --bands false-colour --overlay alerts,compass,scale
    """
    request = ImageRequest(target, day.date(), bands, overlay, formats, output, source)
    drawn = make_image(session.workspace, request)
    for note in drawn.notes:
        say(note)
    if session.as_json:
        print_json(describe_image(drawn))
        return
    chip = drawn.chip
    echo(f"{drawn.target}: {chip.date}, {chip.look.clear_share:.0%} clear, {', '.join(chip.scenes)}")
    for path in drawn.files.values():
        echo(str(path))


def describe_image(drawn: Drawn) -> dict[str, Any]:
    """Give an image as plain data."""
    chip = drawn.chip
    return {
        "target": drawn.target,
        "date": f"{chip.date}",
        "scenes": list(chip.scenes),
        "bands": list(chip.bands),
        "clear_share": round(chip.look.clear_share, 4),
        "outline_clear_share": round(chip.look.outline_share, 4),
        "crs": f"EPSG:{chip.frame.epsg}",
        "bounds": list(chip.frame.bounds),
        "files": {kind: str(path) for kind, path in drawn.files.items()},
        "notes": list(drawn.notes),
    }
