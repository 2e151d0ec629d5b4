"""Pipelines: defaults, overrides, digests, and the faults of a file that a person wrote."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from minewatch.core.errors import PipelineError
from minewatch.core.workspace import Workspace
from minewatch.settings.built_in import BUILT_IN, read_head
from minewatch.settings.document import init_workspace
from minewatch.settings.pipeline import Pipeline, check_pipeline, list_pipelines, read_pipeline, render_pipeline
from minewatch.settings.pipeline_text import count_hidden, describe_pipeline, render_few


def find_other_value(field: FieldInfo) -> Any:
    """Return a value in a key's range that is not its default: its upper bound, else its lower one; the last of several words."""
    if get_origin(field.annotation) is Literal:
        return get_args(field.annotation)[-1]
    if field.annotation not in (int, float):
        return [4, 5]
    low = next(m.ge for m in field.metadata if hasattr(m, "ge"))
    high = next(m.le for m in field.metadata if hasattr(m, "le"))
    return high if field.default != high else low


OTHER_VALUES = {
    section: {name: find_other_value(field) for name, field in type(table).model_fields.items()} for section, table in Pipeline()
}
"""A value for every key that is not its default."""

KEYS = [(section, key, value) for section, table in OTHER_VALUES.items() for key, value in table.items()]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def save(workspace: Workspace, text: str) -> Path:
    path = workspace.pipelines / "mine.toml"
    path.write_text(text)
    return path


def refuse(workspace: Workspace, text: str = "", *overrides: str) -> str:
    """Return the message with which a file or an override is refused."""
    save(workspace, text)
    with pytest.raises(PipelineError) as caught:
        read_pipeline(workspace, "mine", overrides)
    return str(caught.value)


def test_an_empty_file_is_all_defaults(workspace: Workspace) -> None:
    save(workspace, "")
    assert read_pipeline(workspace, "mine") == Pipeline() == read_pipeline(workspace, "default")


def test_what_is_written_is_read_again() -> None:
    pipeline = Pipeline.model_validate(OTHER_VALUES)
    assert check_pipeline(tomllib.loads(render_pipeline(pipeline)), "text") == pipeline
    assert check_pipeline(tomllib.loads(render_pipeline(pipeline, comment_defaults=True)), "text") == pipeline


def test_the_default_file_shows_every_key_commented_out_with_its_range() -> None:
    text = render_pipeline(Pipeline(), comment_defaults=True)
    assert tomllib.loads(text) == {section: {} for section in OTHER_VALUES}
    for _, key, _ in KEYS:
        assert f"\n# {key} = " in text
    assert "(0.01 to 100)" in text


@pytest.mark.parametrize(("section", "key", "value"), KEYS)
def test_the_digest_moves_with_every_value(section: str, key: str, value: Any) -> None:
    other = check_pipeline({section: {key: value}}, "text")
    assert getattr(getattr(other, section), key) != getattr(getattr(Pipeline(), section), key)
    assert other.digest != Pipeline().digest


def test_the_digest_depends_on_values_alone(workspace: Workspace) -> None:
    save(
        workspace, "[alerts]\nmin_area_ha = 0.1 # the default\n[scenes]\nmax_cloud_cover = 100\n[mask]\nclear_classes=[7,6,5,4,4]"
    )
    assert read_pipeline(workspace, "mine").digest == Pipeline().digest
    assert len(Pipeline().digest) == 16


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[detector]\nmin_loks = 8", "detector.min_looks"),
        ("[alerts]\nmin_area = 1", "alerts.min_area_ha"),
        ("[mask]\ncloud_magin = 1", "mask.cloud_margin"),
        ("[detecter]\nmin_looks = 8", "detector"),
        ("min_area_ha = 1", "alerts.min_area_ha"),
    ],
)
def test_an_unknown_key_names_the_nearest(workspace: Workspace, text: str, nearest: str) -> None:
    message = refuse(workspace, text)
    assert "unknown key" in message
    assert f"did you mean {nearest!r}?" in message
    assert str(workspace.pipelines / "mine.toml") in message


def test_a_setting_of_an_earlier_version_says_what_took_its_place(workspace: Workspace) -> None:
    message = refuse(workspace, "[detector]\nmine_ndvi = 0.5")
    assert "detector.mine_ndvi is no longer a setting; remove it, detector.bared_loss" in message


def test_a_key_like_no_other_lists_the_sections(workspace: Workspace) -> None:
    assert "known sections: scenes, mask, detector, alerts" in refuse(workspace, "qqqq = 1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("detector.bare_ndvi", "1.5"),
        ("detector.bare_ndvi", "nan"),
        ("detector.bare_ndvi", '"high"'),
        ("detector.min_looks", "2"),
        ("detector.min_looks", "6.5"),
        ("detector.bare_ndvi", "inf"),
        ("scenes.max_cloud_cover", "101"),
        ("scenes.max_cloud_cover", "-1"),
        ("mask.cloud_margin", "501"),
        ("mask.clear_classes", "[]"),
        ("mask.clear_classes", "[0, 4]"),
        ("mask.clear_classes", "[4, 12]"),
        ("alerts.min_area_ha", "0"),
        ("alerts.min_area_ha", "[0.1]"),
    ],
)
def test_a_value_out_of_range_is_named_in_a_file_and_in_an_override(workspace: Workspace, key: str, value: str) -> None:
    section, name = key.split(".")
    in_file, in_option = refuse(workspace, f"[{section}]\n{name} = {value}"), refuse(workspace, "", f"{key}={value}")
    assert in_file.startswith(f"{workspace.pipelines / 'mine.toml'}: {key} = ")
    assert in_option.startswith(f"--set {key}={value}: {key} = "), "the option is to blame, and no file"


def test_a_wrong_number_is_told_what_may_stand_there(workspace: Workspace) -> None:
    assert refuse(workspace, "", "detector.min_looks=2.5").endswith("give a whole number from 3 to 100")
    assert refuse(workspace, "", "mask.clear_classes=4").endswith("write a list, such as [4, 5, 7]")
    assert "give 'refuse', 'metadata' or 'pixels'" in refuse(workspace, "", "scenes.offset_conflict=no")


def test_a_decimal_comma_is_explained(workspace: Workspace) -> None:
    assert refuse(workspace, "", "alerts.min_area_ha=0,5").endswith("decimals have a point: write 0.5")
    assert refuse(workspace, "[alerts]\nmin_area_ha = 0,5 # ha").endswith("decimals have a point: write 0.5 for 0,5")


def test_the_fault_of_a_file_is_not_blamed_on_an_option(workspace: Workspace) -> None:
    assert "mine.toml: detector.min_looks = 1" in refuse(workspace, "[detector]\nmin_looks = 1", "alerts.min_area_ha=0.5")


@pytest.mark.parametrize("text", ["[detector\n", "min_looks: 8", "a = 1\na = 2"])
def test_a_broken_file_is_no_toml(workspace: Workspace, text: str) -> None:
    assert "is no TOML" in refuse(workspace, text)


def test_a_file_in_another_encoding_is_no_toml(workspace: Workspace) -> None:
    (workspace.pipelines / "mine.toml").write_bytes(b"# \xff\xfe caf\xe9\n")
    with pytest.raises(PipelineError, match="is no TOML"):
        read_pipeline(workspace, "mine")


def test_a_section_that_is_a_number_is_refused(workspace: Workspace) -> None:
    assert "detector" in refuse(workspace, "detector = 3")
    assert "make it a section: [detector]" in refuse(workspace, "detector = 3", "detector.bare_ndvi=0.2"), "the file is to blame"


def test_overrides_lie_over_the_file(workspace: Workspace) -> None:
    save(workspace, "[alerts]\nmin_area_ha = 2.0\n[mask]\ncloud_margin = 60")
    overrides = ("alerts.min_area_ha=0.5", " mask.clear_classes = [4, 5]", "alerts.min_area_ha=0.7")
    pipeline = read_pipeline(workspace, "mine", overrides)
    assert pipeline.alerts.min_area_ha == 0.7
    assert pipeline.mask.clear_classes == (4, 5)
    assert pipeline.mask.cloud_margin == 60


@pytest.mark.parametrize("override", ["threshold=0.5", "detector.bare_ndvi", "=1", ".threshold=1", "detector.=1", ""])
def test_a_malformed_override_shows_how_it_is_written(workspace: Workspace, override: str) -> None:
    assert "SECTION.KEY=VALUE" in refuse(workspace, "", override)


def test_an_unknown_override_names_the_nearest(workspace: Workspace) -> None:
    assert "did you mean 'detector.bare_ndvi'?" in refuse(workspace, "", "detector.bare_ndwi=0.2")
    assert "did you mean alerts.min_area_ha=0.5?" in refuse(workspace, "", "min_area=0.5"), "without its section too"


def test_a_missing_pipeline_names_those_there_are(workspace: Workspace) -> None:
    save(workspace, "")
    (workspace.pipelines / ".tmp-1-2-mine.toml").write_text("", "utf-8")  # as while one is written
    assert list_pipelines(workspace) == ["default", "early", "cautious", "mine"]
    with pytest.raises(PipelineError, match=r"'strict'.*default, early, cautious, mine"):
        read_pipeline(workspace, "strict")
    with pytest.raises(PipelineError, match="did you mean 'early'"):
        read_pipeline(workspace, "erly")


# --- built-in ones ---------------------------------------------------------------------------------------------------


def test_built_in_pipelines_are_there_in_every_workspace(workspace: Workspace) -> None:
    built_in = {name: read_pipeline(workspace, name) for name in BUILT_IN}
    assert len({pipeline.digest for pipeline in built_in.values()}) == len(BUILT_IN)
    assert built_in["default"] == Pipeline()
    assert all(pipeline.scenes == Pipeline().scenes and pipeline.mask == Pipeline().mask for pipeline in built_in.values())
    (workspace.pipelines / "default.toml").unlink()  # by whoever took it for a copy
    assert read_pipeline(workspace, "default") == Pipeline()


def test_a_file_takes_the_place_of_a_built_in_pipeline(workspace: Workspace) -> None:
    (workspace.pipelines / "early.toml").write_text("[alerts]\nmin_area_ha = 3\n")
    assert read_pipeline(workspace, "early").alerts.min_area_ha == 3
    assert describe_pipeline(workspace, "early") == "Your own: alerts.min_area_ha = 3.0."
    assert describe_pipeline(workspace, "cautious") == read_head("cautious")[0]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_head_of_a_built_in_pipeline_says_what_was_measured(name: str) -> None:
    sentence, *measured = read_head(name)
    assert sentence.endswith(".")
    text = "\n".join(measured)
    for words in (
        "injected, held back",
        "points in Rondônia",
        "python -m benchmarks.pipelines",
    ):
        assert words in text
    assert re.search(r"Measured on \d{4}-\d\d-\d\d", text)


def test_what_people_change_is_shown_as_a_file_that_can_be_used() -> None:
    pipeline = check_pipeline({"alerts": {"min_area_ha": 0.5}, "detector": {"soil_gain": 0.3}}, "text")
    text = render_few(pipeline, ["mine: a test"])
    shown = tomllib.loads(text)
    assert shown["alerts"]["min_area_ha"] == 0.5
    assert shown["detector"]["soil_gain"] == 0.3, "a change is never hidden"
    assert check_pipeline(shown, "text") == pipeline
    assert "default 0.1" in text
    assert text.count(" = ") + count_hidden(pipeline) == len(KEYS) + 1  # one of the descriptions has an equals sign


@pytest.mark.parametrize("name", ["../aois/x", "a/b", "..", ""])
def test_a_name_that_could_leave_the_folder_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(PipelineError, match="cannot be the name"):
        read_pipeline(workspace, name)


def test_a_pipeline_cannot_be_changed_once_read() -> None:
    pipeline = Pipeline()
    with pytest.raises(ValueError, match="frozen"):
        pipeline.alerts.min_area_ha = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        pipeline.alerts = pipeline.alerts  # type: ignore[misc]
