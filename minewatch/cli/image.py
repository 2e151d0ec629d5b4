"""``minewatch image``: an area or an alert as it was on a date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.complete import complete_target
from minewatch.cli.output import Session, common_options, handover_options, print_result
from minewatch.cli.values import Day
from minewatch.core.errors import ImageError
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day, format_percent
from minewatch.products.images.options import COMPOSITES, FORMATS, OVERLAYS, TRUE_COLOUR

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover
    from minewatch.products.images.chips.pixels import Chip
    from minewatch.products.images.dated_image import ImageRequest
    from minewatch.products.images.image_files import ImageResult
    from minewatch.products.images.imagery.best_image import SharpImage

FOLDER = click.Path(path_type=Path, file_okay=False)

NOTHING = "none"
"""In place of overlays: the image alone."""


class Choices(click.ParamType[tuple[str, ...]]):
    """Some of a few words, separated by commas."""

    name = "list"

    def __init__(self, words: Sequence[str], nothing: str = "") -> None:
        self.words, self.nothing = tuple(words), nothing

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the words, each once, in the order of ``words``."""
        if isinstance(value, tuple):
            return value
        if self.nothing and value == self.nothing:
            return ()
        chosen = [word.strip() for word in value.split(",") if word.strip()]
        known = ", ".join((*self.words, self.nothing) if self.nothing else self.words)
        for word in chosen:
            if word not in self.words:
                self.fail(f"{word!r} is none of {known}", param, ctx)
        if not chosen:
            self.fail(f"give some of {known}", param, ctx)
        return tuple(word for word in self.words if word in chosen)


@click.command("image")
@click.argument("target", metavar="AOI|ALERT", shell_complete=complete_target)
@click.option("--date", "day", type=Day(), required=True, help="The image is of this day or an earlier one.")
@click.option(
    "--since", type=Day(), metavar="DATE",
    help="Make the least cloudy composite of the days from then to --date: each pixel from the clearest day that shows it.",
)  # fmt: skip
@click.option(
    "--bands", type=click.Choice(list(COMPOSITES)), default=TRUE_COLOUR, show_default=True,
    help="What is shown as red, green and blue; false-colour is SWIR, NIR and red.",
)  # fmt: skip
@click.option(
    "--imagery", metavar="NAME|best",
    help="The sharpest clear picture that imagery of your own has ([imagery.NAME] in minewatch.toml); best: of all of it. "
    "With --since: not older than that.",
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
@click.option("-o", "--output", type=FOLDER, metavar="DIR", help="Folder.  [default: output/images]")
@handover_options
@common_options
def image(
    session: Session,
    target: str,
    day: dt.datetime,
    since: dt.datetime | None,
    bands: str,
    imagery: str | None,
    overlay: tuple[str, ...],
    formats: tuple[str, ...],
    source: str | None,
    output: Path | None,
    handover: Handover,
) -> None:
    """Make the best clear image of an area or alert at or before a date, at full resolution (10 m).

    The newest clear image is used; if none is clear, the clearest one, and a note says so.

    \b
    Example:
      minewatch image la-pampa --date 2024-06-30
      minewatch image la-pampa --date 2024-06-30 --since 2024-04-01
      minewatch image la-pampa-20240611-3fa9c1 --date 2024-09-30 --bands false-colour --overlay alerts,compass,scale
      minewatch image la-pampa-20240611-3fa9c1 --date 2024-09-30 --imagery best
    """
    from minewatch.products.evidence.handover_log import log_image
    from minewatch.products.images.chips.acquisitions import EARLIEST
    from minewatch.products.images.dated_image import ImageRequest
    from minewatch.products.images.sharpest_image import SharpRequest, make_sharpest

    first = since.date() if since else None
    check_period(first, day.date())
    if imagery is None:
        show_image(session, ImageRequest(target, day.date(), bands, overlay, formats, output, source, first), handover)
        return
    if source is not None or bands != TRUE_COLOUR:
        raise click.UsageError("--imagery has sources and bands of its own: leave out --source and --bands")
    request = SharpRequest(target, day.date(), imagery, first or EARLIEST, overlay, formats, output)
    with reporting() as reporter:
        photo = make_sharpest(session.workspace, request, reporter)
    candidate, pixels = photo.image.candidate, f"pixels of {photo.image.pixel:.2g} m"
    line = f"{photo.target}: {format_day(photo.image.date)}, {candidate.imagery.name}, {pixels}, {candidate.id}"
    noted = log_image(session.workspace, photo.target, list(photo.files.values()), handover)
    print_result(session, describe_photo(photo), [line, *photo.files.values()], [*photo.notes, *noted])


def check_period(since: dt.date | None, until: dt.date) -> None:
    """Raise ImageError where a period ends before it begins."""
    if since is not None and since > until:
        raise ImageError(f"the period from {since} to {until} ends before it begins; give an earlier --since")


def show_image(session: Session, request: ImageRequest, handover: Handover) -> None:
    """Make an image of Sentinel-2, and print what it shows."""
    from minewatch.products.evidence.handover_log import log_image
    from minewatch.products.images.dated_image import make_image

    with reporting() as reporter:
        drawn = make_image(session.workspace, request, reporter)
    chip = drawn.image
    days = format_day(chip.date)
    if chip.parts:
        days = f"{format_day(chip.first_date)} to {days}, composite of {count_of(len(chip.parts), 'day')}"
    line = f"{drawn.target}: {days}, {format_percent(chip.look.clear_share)} clear, {', '.join(chip.scenes)}"
    noted = log_image(session.workspace, drawn.target, list(drawn.files.values()), handover)
    print_result(session, describe_image(drawn), [line, *drawn.files.values()], [*drawn.notes, *noted])


def describe_image(drawn: ImageResult[Chip]) -> dict[str, Any]:
    """Return an image as plain data."""
    chip = drawn.image
    return {
        "target": drawn.target,
        "date": f"{chip.date}",
        "scenes": list(chip.scenes),
        "bands": list(chip.bands),
        "clear_share": round(chip.look.clear_share, 4),
        "outline_clear_share": round(chip.look.outline_share, 4),
        "parts": [{"date": f"{part.date}", "share": round(part.share, 4)} for part in chip.parts],
        "crs": f"EPSG:{chip.frame.epsg}",
        "bounds": list(chip.frame.bounds),
        "files": {kind: str(path) for kind, path in drawn.files.items()},
        "notes": list(drawn.notes),
    }


def describe_photo(drawn: ImageResult[SharpImage]) -> dict[str, Any]:
    """Return a picture of other imagery as plain data."""
    photo = drawn.image
    return {
        "target": drawn.target,
        "date": f"{photo.date}",
        "imagery": photo.candidate.imagery.name,
        "scenes": [photo.candidate.id],
        "credit": photo.candidate.imagery.credit,
        "pixel_metres": photo.pixel,
        "native_pixel_metres": photo.native,
        "cloud_cover": photo.candidate.cloud,
        "crs": f"EPSG:{photo.grid.epsg}",
        "bounds": list(photo.grid.bounds),
        "files": {kind: str(path) for kind, path in drawn.files.items()},
        "notes": list(drawn.notes),
    }
