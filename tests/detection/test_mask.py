"""Which pixels of a scene are clear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minewatch.areas.grid import Window
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.settings.pipeline import MaskSettings

CLOUDS = (8, 9, 10)
SCENES = hnp.arrays(np.uint8, (2, 14, 15), elements=st.sampled_from([0, 4, 4, 4, 5, 8, 9, 3]))
MASKS = st.builds(
    MaskSettings,
    cloud_margin=st.integers(0, 45),
    cloud_window=st.integers(0, 45),
    cloud_share=st.sampled_from([0, 0.1, 0.25, 0.5, 1]),
)


def paint(*rows: str) -> np.ndarray:
    """Make one scene's SCL from hexadecimal digits, a digit a pixel."""
    return np.array([[[int(code, 16) for code in row] for row in rows]], np.uint8)


def show(clear: np.ndarray) -> list[str]:
    return ["".join("#" if pixel else "." for pixel in row) for row in clear[0]]


def cut(flags: np.ndarray, row: int, column: int, reach: int) -> np.ndarray:
    """Cut the square around a pixel, as much of it as there is."""
    return flags[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]


def judge_slowly(codes: np.ndarray, mask: MaskSettings) -> np.ndarray:
    """Say the rule again, pixel by pixel."""
    reach, margin = mask.cloud_window // 10, mask.cloud_margin // 10
    cloud = np.isin(codes, CLOUDS)
    large = np.zeros_like(cloud)
    clear = np.zeros_like(cloud)
    for row, column in np.argwhere(cloud):
        large[row, column] = cut(cloud, row, column, reach).sum() >= mask.cloud_share * (2 * reach + 1) ** 2
    for row, column in np.ndindex(codes.shape):
        clear[row, column] = codes[row, column] in mask.clear_classes and not cut(large, row, column, margin).any()
    return clear


@pytest.mark.parametrize("code", range(12))
def test_the_classes_taken_as_clear(code: int) -> None:
    clear = find_clear(np.full((1, 2, 2), code, np.uint8), MaskSettings())
    assert clear.all() == clear.any() == (code in (4, 5, 6, 7))


def test_a_pipeline_chooses_the_classes() -> None:
    assert show(find_clear(paint("4567b"), MaskSettings(clear_classes=(5, 11)))) == [".#..#"]


def test_a_cloud_has_a_margin_and_a_bright_patch_called_cloud_has_none() -> None:
    scene = paint("99444444", "99444444", "44444444", "44444484", "44444444")
    found = find_clear(scene, MaskSettings(cloud_window=10, cloud_share=0.25, cloud_margin=10))
    assert show(found) == ["...#####", "...#####", "...#####", "######.#", "########"]


@pytest.mark.parametrize("margin", [0, 9])
def test_without_a_margin_only_the_cloud_itself_is_lost(margin: int) -> None:
    assert show(find_clear(paint("44944"), MaskSettings(cloud_margin=margin, cloud_share=0))) == ["##.##"]


@pytest.mark.parametrize("code", range(12))
def test_clouds_have_a_margin_and_no_other_class_has(code: int) -> None:
    scene = np.full((1, 5, 5), 4, np.uint8)
    scene[0, 1:4, 1:4] = code
    clear = find_clear(scene, MaskSettings(cloud_margin=10, cloud_window=10))
    assert bool(clear[0, 0, 2]) == (code not in CLOUDS)


@given(SCENES, MASKS)
@settings(max_examples=40, deadline=None)
def test_the_rule_pixel_by_pixel(scenes: np.ndarray, mask: MaskSettings) -> None:
    assert np.array_equal(find_clear(scenes, mask), [judge_slowly(codes, mask) for codes in scenes])


def test_a_cloud_of_one_scene_says_nothing_about_another() -> None:
    scenes = np.full((2, 4, 4), 4, np.uint8)
    scenes[0] = 9
    assert find_clear(scenes, MaskSettings()).sum(axis=(1, 2)).tolist() == [0, 16]


def test_the_classes_that_came_in_are_left_alone() -> None:
    scenes = paint("4494")
    find_clear(scenes, MaskSettings())
    assert scenes.tolist() == [[[4, 4, 9, 4]]]


@given(SCENES, MASKS)
@settings(deadline=None)
def test_a_window_read_with_its_margin_gives_what_the_whole_gives(scenes: np.ndarray, mask: MaskSettings) -> None:
    whole = find_clear(scenes, mask)
    window = Window(5, 6, 4, 3)
    around = window.grow(margin_pixels(mask), (14, 15))
    part = find_clear(scenes[:, *around.slices], mask)
    assert np.array_equal(part[:, *window.within(around)], whole[:, *window.slices])
