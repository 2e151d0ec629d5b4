"""``minewatch animate``: an area or an alert over time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.complete import complete_target
from minewatch.cli.image import FOLDER, NOTHING, Choices
from minewatch.cli.output import Session, common_options, handover_options, print_result
from minewatch.cli.values import Day
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day
from minewatch.products.images.options import COMPOSITES, MOST_FRAMES, OVERLAYS, TRUE_COLOUR, VIDEO_FORMATS

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover
    from minewatch.products.images.animation import Animation


@click.command("animate")
@click.argument("target", metavar="AOI|ALERT", shell_complete=complete_target)
@click.option("--since", type=Day(), help="First day.  [default: an alert's last normal look; of an area, when monitoring began]")
@click.option("--until", type=Day(), help="Last day.  [default: the as-of date of the last scan]")
@click.option(
    "--step", type=click.IntRange(1, 3660), default=30, show_default=True, metavar="DAYS",
    help=f"Each step of so many days gives its clearest image; at most {MOST_FRAMES} steps.",
)  # fmt: skip
@click.option(
    "--clear", type=click.IntRange(1, 100), default=90, show_default=True, metavar="PERCENT",
    help="How much of the frame, and of its outline, must be clear; a step without such an image has no frame.",
)  # fmt: skip
@click.option(
    "--bands", type=click.Choice(list(COMPOSITES)), default=TRUE_COLOUR, show_default=True,
    help="What is shown as red, green and blue; false-colour is SWIR, NIR and red.",
)  # fmt: skip
@click.option(
    "--overlay", type=Choices(OVERLAYS, NOTHING), default=",".join(OVERLAYS), show_default=True, metavar="LIST",
    help=f"What is drawn over each frame, or {NOTHING}; alerts are shown as they were known on its day, dashed before.",
)  # fmt: skip
@click.option(
    "--format", "formats", type=Choices(VIDEO_FORMATS), default="gif", show_default=True, metavar="LIST",
    help="gif, mp4 or both; mp4 needs the extra: pip install 'minewatch[video]'.",
)  # fmt: skip
@click.option("--source", metavar="NAME|URL|PATH", help="Provider, STAC API or static catalogue in place of the workspace's.")
@click.option("-o", "--output", type=FOLDER, metavar="DIR", help="Folder.  [default: output/images]")
@handover_options
@common_options
def animate(
    session: Session,
    target: str,
    since: dt.datetime | None,
    until: dt.datetime | None,
    step: int,
    clear: int,
    bands: str,
    overlay: tuple[str, ...],
    formats: tuple[str, ...],
    source: str | None,
    output: Path | None,
    handover: Handover,
) -> None:
    """Show an area or an alert over time: clear images at regular steps, of one extent and one stretch.

    An alert begins with its last normal look; that and the look that confirmed it always have a frame.  Labels say of which
    day outline and hectares are.

    \b
    Example:
      minewatch animate la-pampa-20240611-3fa9c1
      minewatch animate la-pampa --since 2023-01-01 --until 2024-06-30
      minewatch animate la-pampa-20240611-3fa9c1 --since 2024-01-01 --until 2024-09-30 --step 10 --bands false-colour
      minewatch animate la-pampa --since 2023-01-01 --until 2024-06-30 --format gif,mp4 --overlay alerts,scale
    """
    from minewatch.products.evidence.handover_log import log_image
    from minewatch.products.images.animation import AnimationRequest, make_animation

    request = AnimationRequest(
        target, since and since.date(), until and until.date(), bands, step, clear / 100, overlay, formats, output, source
    )  # fmt: skip
    with reporting() as reporter:
        made = make_animation(session.workspace, request, reporter)
    period = f"from {format_day(made.dates[0])} to {format_day(made.dates[-1])}"
    line = f"{made.target}: {count_of(len(made.dates), 'frame')} {period}, {made.size[0]} x {made.size[1]}"
    noted = log_image(session.workspace, made.target, list(made.files.values()), handover)
    print_result(session, describe_animation(made), [line, *made.files.values()], [*made.notes, *noted])


def describe_animation(made: Animation) -> dict[str, Any]:
    """Return an animation as plain data."""
    return {
        "target": made.target,
        "dates": [f"{date}" for date in made.dates],
        "steps": made.steps,
        "size": list(made.size),
        "files": {kind: str(path) for kind, path in made.files.items()},
        "notes": list(made.notes),
    }
