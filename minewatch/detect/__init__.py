"""Detection: from the looks of a tile to the change of each pixel."""

from minewatch.detect.inputs import TileInput
from minewatch.detect.looks import make_looks
from minewatch.detect.shifts import Shifts, find_shifts, measure_scenes
from minewatch.detect.tile import HALO, detect_changes

__all__ = ["HALO", "Shifts", "TileInput", "detect_changes", "find_shifts", "make_looks", "measure_scenes"]
