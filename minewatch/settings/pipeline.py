"""Pipelines: every setting of a scan, frozen and checked before the first byte is read.

The defaults are defined here only; ``pipelines/default.toml`` is written from them.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from minewatch.core.errors import PipelineError, WorkspaceError
from minewatch.core.text import suggest
from minewatch.core.workspace import Workspace, check_name
from minewatch.settings.built_in import BUILT_IN, find_built_in
from minewatch.settings.scl import CLASSES, CLEAR_CLASSES


def _check_classes(classes: tuple[int, ...]) -> tuple[int, ...]:
    if not classes or not set(classes) <= set(CLASSES[1:]):
        raise ValueError("SCL classes are numbers from 1 to 11, at least one")
    return tuple(sorted(set(classes)))


Conflict = Literal["refuse", "metadata", "pixels"]
"""What to do with a scene whose pixels contradict its metadata: leave it out, or believe one of the two."""


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are fixed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SceneSettings(Section):
    """Which scenes are asked for."""

    max_cloud_cover: float = Field(
        100, ge=0, le=100, description="scenes with more cloud over the whole tile are left out, per cent"
    )
    offset_conflict: Conflict = Field(
        "refuse",
        description='scenes whose dark pixels contradict the reflectance offset in their metadata: "refuse" leaves them out, '
        '"metadata" or "pixels" says which of the two is believed',
    )


class MaskSettings(Section):
    """Which pixels of a scene count as clear."""

    clear_classes: Annotated[tuple[int, ...], AfterValidator(_check_classes)] = Field(
        CLEAR_CLASSES, description="SCL classes taken as clear: vegetation, bare, water, unclassified (fresh tailings often are)"
    )
    cloud_margin: int = Field(30, ge=0, le=500, description="metres around clouds that are hazy, though SCL calls them clear")
    cloud_window: int = Field(
        100, ge=0, le=500, description="metres around a pixel that tell a cloud from bright ground called cloud"
    )
    cloud_share: float = Field(0.25, ge=0, le=1, description="share of those under cloud from which the cloud has a margin")


class DetectorSettings(Section):
    """How a change is found and confirmed; docs/method.md explains each step."""

    baseline_years: int = Field(
        3, ge=1, le=10, description="years of looks before each year of monitoring that make its baseline"
    )
    min_looks: int = Field(6, ge=3, le=100, description="clear looks a pixel's baseline needs; with fewer it is not monitored")
    bare_ndvi: float = Field(0.15, ge=0, le=0.4, description="NDVI of bare ground; loss is counted from the baseline down to it")
    min_vegetation: float = Field(
        0.35, ge=0.1, le=0.8, description="best NDVI of the year below which there is no vegetation to lose"
    )
    min_contrast: float = Field(
        0.2, ge=0.05, le=0.6, description="expected NDVI above bare ground from which a look tells them apart"
    )
    scene_fall: float = Field(
        0.2, ge=0, le=1, description="largest fall of a scene's stable ground, NDVI; beyond it is snow or smoke"
    )
    scene_rise: float = Field(0.3, ge=0, le=1, description="largest rise of it, NDVI; neither haze nor snow makes ground greener")
    scene_spread: float = Field(0.15, ge=0, le=1, description="largest half width (quartiles) of its residuals, NDVI")
    scene_witnesses: float = Field(
        0.3, ge=0, le=1, description="least share of the clear vegetated pixels that must be free of haze"
    )
    haze_blue: float = Field(
        0.04, ge=0, le=1, description="blue above its baseline from which a pixel is no witness of the scene's shift"
    )
    bare_bsi: float = Field(
        0.0, ge=-0.5, le=0.5, description="bare soil index above which a look with little green shows bare ground"
    )
    tilled_share: float = Field(
        0.1, ge=0, le=1, description="share of the baseline's looks that show bare ground, from which it is tilled"
    )
    season_slip: int = Field(20, ge=0, le=60, description="days by which a season may come early or late")
    strong_loss: float = Field(
        0.3, ge=0.05, le=1, description="share of the vegetation lost, haze taken out, that speaks for a mine"
    )
    weak_loss: float = Field(0.2, ge=0.05, le=1, description="share lost as seen that keeps an anomaly going")
    dense_ndvi: float = Field(
        0.7, ge=0.1, le=1, description="expected NDVI of dense vegetation, under which soil shows only where it was cleared"
    )
    soil_gain: float = Field(
        0.18, ge=0.02, le=1, description="rise of the bare soil index above its season's by which a look shows soil"
    )
    soil_swir: float = Field(
        0.2, ge=0, le=1, description="short-wave infrared, reflectance, below which ground is too dark for soil"
    )
    soil_haze: float = Field(0.08, ge=0, le=1, description="blue above its baseline beyond which a look is too hazy to show soil")
    normal_loss: float = Field(0.15, ge=0, le=1, description="share lost below which a look is normal")
    same_blue: float = Field(0.03, ge=0, le=1, description="two looks whose blue is this close see the ground, not haze")
    same_share: float = Field(0.25, ge=0, le=2, description="the same as a share of that blue")
    agree_days: int = Field(180, ge=10, le=1000, description="days beyond which two looks do not agree on a change")
    cloud_blue: float = Field(0.25, ge=0, le=1, description="blue above its baseline from which a look sees a cloud")
    snow_bsi: float = Field(
        0.15, ge=0, le=1, description="fall of the bare soil index that may be snow, with bright blue and infrared"
    )
    snow_blue: float = Field(0.06, ge=0, le=1, description="blue above its baseline from which snow is thought of")
    water_nir: float = Field(
        0.15, ge=0, le=1, description="near infrared below which dark ground is water, not snow, reflectance"
    )
    char_red: float = Field(
        0.04, ge=-1, le=1, description="red above the blue expected, reflectance, below which dry ground is char, not soil"
    )
    water_swir: float = Field(
        0.1, ge=0, le=1, description="short-wave infrared below which dark ground is water or mud, not char, reflectance"
    )
    char_share: float = Field(0.34, ge=0, le=1, description="largest share of the anomalous looks that may show char")
    lasting_share: float = Field(
        0.6, ge=0, le=1, description="share of the largest loss, or soil gain, so far that a confirming look must show"
    )
    bared_loss: float = Field(
        0.4, ge=0.05, le=1, description="mean share lost over the anomalous looks from which ground is bared, soil seen or not"
    )
    min_score: float = Field(
        1.5,
        ge=0.1,
        le=20,
        description="mean evidence x (anomalous looks) squared that a change needs, evidence being the loss and the soil gain: "
        "1.5 is an evidence of 0.375 on two looks",
    )
    settle_looks: int = Field(3, ge=2, le=20, description="anomalous looks from which a confirmed pixel is settled")
    fade_looks: int = Field(1, ge=1, le=10, description="normal looks in a row that end an anomaly that was not confirmed")
    close_looks: int = Field(3, ge=1, le=20, description="normal looks in a row that close a confirmed one")
    close_days: int = Field(15, ge=0, le=365, description="days that those must span")


class AlertSettings(Section):
    """What becomes an alert."""

    min_area_ha: float = Field(0.1, ge=0.01, le=100, description="smallest alert, hectares (0.1 = 10 pixels)")
    core_area_ha: float = Field(0.12, ge=0.01, le=100, description="confirmed ground that confirms an alert, hectares")
    split_distance: int = Field(
        100, ge=0, le=5000, description="metres; parts of an alert that come apart by less stay one alert"
    )
    settled_area_ha: float = Field(0.1, ge=0.01, le=100, description="settled ground that confirms a small one, hectares")
    dismissal_days: int = Field(730, ge=0, le=36500, description="days for which dismissed ground raises no alert")
    dismissal_growth_ha: float = Field(
        0.2, ge=0.01, le=1000, description="hectares by which an alert outgrows its dismissal and is raised again"
    )


RETIRED = {
    "detector.mine_ndvi": "remove it, detector.bared_loss and detector.soil_gain took its place",
    "detector.begin_loss": "remove it, an anomaly begins with a loss of detector.strong_loss",
    "detector.provisional_score": "remove it, detector.min_score took its place",
    "detector.confirmed_score": "remove it, detector.min_score took its place",
}
"""Settings of earlier versions, and what to do about them."""


class Pipeline(Section):
    """Everything a scan can be told, in one value."""

    scenes: SceneSettings = SceneSettings()
    mask: MaskSettings = MaskSettings()
    detector: DetectorSettings = DetectorSettings()
    alerts: AlertSettings = AlertSettings()

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any value."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def pipeline_path(workspace: Workspace, name: str) -> Path:
    """Return the file of a pipeline; raises PipelineError where the name cannot be a file's."""
    try:
        return workspace.pipelines / f"{check_name('a pipeline', name)}.toml"
    except WorkspaceError as error:
        raise PipelineError(str(error)) from error


def list_pipelines(workspace: Workspace) -> list[str]:
    """Return the names of the built-in pipelines, then those of the workspace's own in alphabetical order."""
    return list(dict.fromkeys([*BUILT_IN, *sorted(path.stem for path in workspace.pipelines.glob("[!.]*.toml"))]))


def read_pipeline(workspace: Workspace, name: str, overrides: tuple[str, ...] = ()) -> Pipeline:
    """Read a pipeline of the workspace, else the built-in one of this name, and apply ``KEY=VALUE`` overrides.

    Raises PipelineError for a missing file, broken TOML, an unknown key (naming the nearest one) or a bad value; it names the
    file, or the override.
    """
    path = find_pipeline(workspace, name)
    document = _read_document(path)
    pipeline = check_pipeline(document, str(path))
    for override in overrides:
        _set(document, override)
        pipeline = check_pipeline(document, f"--set {override}")
    return pipeline


def read_built_in(name: str) -> Pipeline:
    """Read one of BUILT_IN, whatever a workspace has under its name."""
    path = find_built_in(name)
    return check_pipeline(_read_document(path), str(path))


def find_pipeline(workspace: Workspace, name: str) -> Path:
    """Return the file of a pipeline: the workspace's, else the built-in one; raises PipelineError where there is neither."""
    path = pipeline_path(workspace, name)
    if path.exists() or path.is_symlink():
        return path
    if name in BUILT_IN:
        return find_built_in(name)
    near = suggest(name, list_pipelines(workspace), "pipelines")
    raise PipelineError(f"there is no pipeline {name!r} in {workspace.pipelines}{near}")


def _read_document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is no TOML: {error}") from error
    except ValueError as error:
        found = _COMMA_LINE.search(text)
        hint = f"; decimals have a point: write {found[1]}.{found[2]} for {found[1]},{found[2]}" if found else ""
        raise PipelineError(f"{path} is no TOML: {error}{hint}") from error


_COMMA = re.compile(r"([+-]?\d+),(\d+)")
"""A number with a decimal comma."""

_COMMA_LINE = re.compile(rf"(?m)^\s*[\w.]+\s*=\s*{_COMMA.pattern}\s*(?:#.*)?$")
"""A line that sets a key to one."""


def _set(document: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (separator and dot and section and name):
        near = _find_near(key.strip()) if separator else ""
        hint = f"; did you mean {near}={text.strip()}?" if "." in near else ", for example --set alerts.min_area_ha=0.5"
        raise PipelineError(f"--set {override}: write it as SECTION.KEY=VALUE{hint}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()
    document.setdefault(section, {})[name] = value


def check_pipeline(document: dict[str, Any], where: str) -> Pipeline:
    """Return a parsed document as a Pipeline; raises PipelineError naming ``where`` and the first fault."""
    try:
        return Pipeline.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"][:2])
        if key in RETIRED:
            raise PipelineError(f"{where}: {key} is no longer a setting; {RETIRED[key]}") from error
        if fault["type"] == "extra_forbidden":
            raise PipelineError(f"{where}: unknown key {key!r}{_suggest(key)}") from error
        raise PipelineError(f"{where}: {key} = {fault['input']!r}: {_explain(key, fault)}") from error


def _explain(key: str, fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, and what may stand there."""
    if isinstance(fault["input"], str) and (comma := _COMMA.fullmatch(fault["input"])):
        return f"decimals have a point: write {comma[1]}.{comma[2]}"
    section, _, name = key.partition(".")
    field = dict(list_sections())[section].model_fields.get(name) if name else None
    if field and field.annotation in (int, float) and (limits := describe_range(field.metadata)):
        return f"give a {'whole number' if field.annotation is int else 'number'} from {limits}"
    if fault["type"] == "model_type":
        return f"make it a section: [{key}], and below it one line for each setting"
    if fault["type"] == "tuple_type":
        return "write a list, such as [4, 5, 7]"
    return str(fault["msg"]).removeprefix("Value error, ").replace("Input should be", "give")


def _suggest(key: str) -> str:
    near = _find_near(key)
    return f"; did you mean {near!r}?" if near else f"; known sections: {', '.join(s for s, _ in list_sections())}"


def _find_near(key: str) -> str:
    """Return the known key or section that is most like one, '' where none is."""
    keys = [f"{section}.{name}" for section, model in list_sections() for name in model.model_fields] + [
        s for s, _ in list_sections()
    ]
    return next(iter(difflib.get_close_matches(key, keys, n=1, cutoff=0.5)), "")


def list_sections() -> list[tuple[str, type[Section]]]:
    """Return the tables of the file by name."""
    return [(name, field.annotation) for name, field in Pipeline.model_fields.items() if isinstance(field.annotation, type)]


@lru_cache(8)
def render_pipeline(pipeline: Pipeline, *, comment_defaults: bool = False) -> str:
    """Return a pipeline as TOML with a comment above each key; ``comment_defaults`` comments out the defaults."""
    lines = ["# A minewatch pipeline: every setting of a scan. A key that is left out has its default."]
    for section, model in list_sections():
        lines += ["", f"# {' '.join((model.__doc__ or '').split())}", f"[{section}]"]
        for name, field in model.model_fields.items():
            value = getattr(getattr(pipeline, section), name)
            mark = "# " if comment_defaults and value == field.get_default() else ""
            lines += [f"# {describe_field(field)}", f"{mark}{name} = {json.dumps(value)}"]
    return "\n".join(lines) + "\n"


def describe_field(field: FieldInfo) -> str:
    """Return what a setting is, and its range."""
    limits = describe_range(field.metadata)
    return f"{field.description} ({limits})" if limits else str(field.description)


def describe_range(metadata: list[Any]) -> str:
    """Return the range of a number in words, '' where it has none."""
    low = next((m.ge for m in metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in metadata if hasattr(m, "le")), None)
    return f"{low} to {high}" if low is not None and high is not None else ""
