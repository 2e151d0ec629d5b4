"""Detection: from the looks of a tile to the change of each pixel."""

from minewatch.detect.inputs import TileInput
from minewatch.detect.looks import make_looks
from minewatch.detect.scenes import Scenes, judge_scenes, measure_scenes
from minewatch.detect.tile import detect_changes

__all__ = ["Scenes", "TileInput", "detect_changes", "judge_scenes", "make_looks", "measure_scenes"]
