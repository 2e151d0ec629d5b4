"""The groups of commands, as ``minewatch`` alone and ``--help`` list them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

GROUPS: Mapping[str, Sequence[str]] = {
    "Begin": ("init", "demo", "course", "aoi", "source", "pipeline"),
    "Watch": ("scan", "watch", "schedule", "status", "notify"),
    "Look at alerts": ("alerts", "explain", "image", "animate", "report", "bulletin", "qgis", "field"),
    "Compare with what is known": ("context", "likeness", "validate", "impact"),
    "Evidence": ("verify", "pack", "receive", "stamp"),
    "Keep it in order": ("doctor", "prune", "completion"),
}
"""Title to commands, in the order of work."""

REST = "More"
"""Title of the commands that stand in no group."""


def group_commands(names: Collection[str]) -> dict[str, list[str]]:
    """Return the commands there are, by group; groups without any are left out."""
    groups = {title: [name for name in members if name in names] for title, members in GROUPS.items()}
    grouped = {name for members in groups.values() for name in members}
    groups[REST] = sorted(set(names) - grouped)
    return {title: members for title, members in groups.items() if members}
