"""Detection: from the looks of a tile to the change of each pixel."""

from minewatch.detect.inputs import TileInput, count_epochs
from minewatch.detect.looks import make_looks
from minewatch.detect.memory import Memory, go_on, remember
from minewatch.detect.rules import RULES_VERSION
from minewatch.detect.scenes import Scenes, judge_scenes, measure_scenes
from minewatch.detect.tile import detect_changes, tell_changes

__all__ = [
    "RULES_VERSION",
    "Memory",
    "Scenes",
    "TileInput",
    "count_epochs",
    "detect_changes",
    "go_on",
    "judge_scenes",
    "make_looks",
    "measure_scenes",
    "remember",
    "tell_changes",
]
