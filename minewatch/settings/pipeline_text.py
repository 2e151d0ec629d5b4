"""What people are told of a pipeline: a sentence, what was measured with it, and the few settings that a person changes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence

from minewatch.core.workspace import Workspace
from minewatch.settings.built_in import BUILT_IN, read_head
from minewatch.settings.pipeline import Pipeline, Section, describe_field, list_sections, read_built_in, read_pipeline

GROUPS: Mapping[str, Sequence[str]] = {
    "How small an alert may be": ("alerts.min_area_ha", "alerts.core_area_ha"),
    "How sure it must be": (
        "detector.min_score",
        "detector.strong_loss",
        "detector.bared_loss",
        "detector.settle_looks",
    ),
    "How long an answer lasts": ("detector.close_looks", "alerts.dismissal_days"),
    "How much history is needed": ("detector.baseline_years", "detector.min_looks"),
    "Clouds": ("scenes.max_cloud_cover", "mask.cloud_margin"),
}
"""The settings that a person may want to change, by what they are about; all others are for those who know the method."""

OTHERS = "Changed besides"
"""Title of the other settings that are not as in the defaults."""

WIDTH = 110
"""Letters in a line of a comment."""


def describe_pipeline(workspace: Workspace, name: str) -> str:
    """Return a pipeline in a sentence; raises PipelineError as read_pipeline does."""
    pipeline = read_pipeline(workspace, name)
    if is_built_in(name, pipeline):
        return read_head(name)[0]
    changed = ", ".join(f"{key} = {json.dumps(value)}" for key, value in list_changes(pipeline).items())
    return f"Your own: {changed or 'the same as default'}."


def is_built_in(name: str, pipeline: Pipeline) -> bool:
    """True if a pipeline is what the built-in one of its name is, wherever it stands."""
    return name in BUILT_IN and pipeline == read_built_in(name)


def list_changes(pipeline: Pipeline) -> dict[str, object]:
    """Return the settings that are not as in the defaults: SECTION.KEY to value."""
    defaults = Pipeline()
    return {key: _read(pipeline, key) for key in _list_keys() if _read(pipeline, key) != _read(defaults, key)}


def render_few(pipeline: Pipeline, head: Sequence[str]) -> str:
    """Return the settings that a person changes, and all others that were changed, as TOML with a comment above each.

    ``head`` stands as a comment above all.  Keys are written as ``--set`` takes them.
    """
    named = {key for keys in GROUPS.values() for key in keys}
    others = [key for key in list_changes(pipeline) if key not in named]
    lines = [f"# {line}".rstrip() for line in head]
    for title, keys in {**GROUPS, **({OTHERS: others} if others else {})}.items():
        lines += ["", f"## {title}"]
        for key in keys:
            field = _find_section(key).model_fields[key.partition(".")[2]]
            value, default = _read(pipeline, key), _read(Pipeline(), key)
            text = describe_field(field) + ("" if value == default else f"; default {json.dumps(default)}")
            lines += textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ")
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def count_hidden(pipeline: Pipeline) -> int:
    """Return how many settings ``render_few`` leaves out."""
    return len({*_list_keys()} - {key for keys in GROUPS.values() for key in keys} - list_changes(pipeline).keys())


def _list_keys() -> list[str]:
    return [f"{section}.{name}" for section, model in list_sections() for name in model.model_fields]


def _find_section(key: str) -> type[Section]:
    return dict(list_sections())[key.partition(".")[0]]


def _read(pipeline: Pipeline, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(pipeline, section), name)
