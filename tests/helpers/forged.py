"""Files that lie: TIFF and JPEG 2000 headers of a few hundred bytes that claim anything."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from tests.helpers.rasters import EPSG, LEFT, TOP

KINDS = {"H": 3, "I": 4, "d": 12, "Q": 16}
"""TIFF's numbers of the types of Python's struct."""


@dataclass(frozen=True)
class Claim:
    """What a TIFF says of itself."""

    width: int = 40
    height: int = 40
    block: tuple[int, int] = (16, 16)
    bands: int = 1
    bits: int = 16
    sample_format: int = 1
    compression: int = 8
    pixel: tuple[float, float] = (10.0, 10.0)
    place: tuple[float, float] = (float(LEFT), float(TOP))
    blocks: int = 9
    """Entries of its tables of blocks, which are not there: every block lies at the same place."""

    real_table: bool = True
    """False: the tables are claimed only, and lie behind the end of the file."""

    data: bytes = b"\0" * 8
    """What every block holds."""


def forge_tiff(path: Path, claim: Claim) -> Path:
    """Write a little-endian BigTIFF that claims so."""
    data = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
    where = len(data)
    data += claim.data

    def store(code: str, values: Sequence[Any]) -> tuple[int, int, bytes]:
        packed = struct.pack(f"<{len(values)}{code}", *values)
        if len(packed) <= 8:
            return KINDS[code], len(values), packed.ljust(8, b"\0")
        place = len(data)
        data.extend(packed)
        return KINDS[code], len(values), struct.pack("<Q", place)

    def table(value: int) -> tuple[int, int, bytes]:
        return store("Q", [value] * claim.blocks) if claim.real_table else (16, claim.blocks, struct.pack("<Q", 2**40))

    geo = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, EPSG]
    entries = {
        256: store("I", [claim.width]),
        257: store("I", [claim.height]),
        258: store("H", [claim.bits] * min(claim.bands, 3)),
        259: store("H", [claim.compression]),
        262: store("H", [1]),
        277: store("H", [claim.bands]),
        322: store("I", [claim.block[1]]),
        323: store("I", [claim.block[0]]),
        324: table(where),
        325: table(len(claim.data)),
        339: store("H", [claim.sample_format] * min(claim.bands, 3)),
        33550: store("d", [*claim.pixel, 0.0]),
        33922: store("d", [0.0, 0.0, 0.0, *claim.place, 0.0]),
        34735: store("H", geo),
    }
    struct.pack_into("<Q", data, 8, len(data))
    data += struct.pack("<Q", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        data += struct.pack("<HHQ", tag, kind, count) + value
    path.write_bytes(data + struct.pack("<Q", 0))
    return path


def forge_jp2(path: Path, width: int, height: int, tile: int) -> Path:
    """Write a JPEG 2000 file with a place on earth that claims another size than it has."""
    profile = {"driver": "JP2OpenJPEG", "count": 1, "height": 64, "width": 64, "dtype": "uint16", "crs": f"EPSG:{EPSG}"}
    with rasterio.open(path, "w", **profile, transform=Affine(10, 0, LEFT, 0, -10, TOP)) as raster:
        raster.write(np.full((1, 64, 64), 7, np.uint16))
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, data.index(b"ihdr") + 4, height, width)
    size = data.index(b"\xff\x4f\xff\x51") + 8  # after the markers, the length and the capabilities
    struct.pack_into(">II", data, size, width, height)
    struct.pack_into(">II", data, size + 16, tile, tile)
    path.write_bytes(data)
    return path


def main(folder: Path) -> None:
    """Read each file below a folder as a band of a scene, and tell what came of it and how much memory it took."""
    import dataclasses  # noqa: PLC0415  # this part runs in a process of its own
    import json  # noqa: PLC0415
    import resource  # noqa: PLC0415

    import minewatch.raster.read  # noqa: PLC0415
    from minewatch.core.errors import SceneError  # noqa: PLC0415
    from minewatch.sources.scene import Datatake  # noqa: PLC0415
    from tests.helpers.rasters import lay_grid, paint_bands, write_scene  # noqa: PLC0415

    minewatch.raster.read.RETRY_PAUSE = 0
    grid = lay_grid(40, 40)
    scene = write_scene(folder / "sound", paint_bands(40, 40))
    results = {}
    for name, path in [("sound", scene.hrefs["red"]), *((p.name, str(p)) for p in sorted(folder.glob("*.*")))]:
        spoiled = dataclasses.replace(scene, hrefs={**scene.hrefs, "red": path})
        for way in ("read", "picture"):
            coarse = grid if way == "read" else dataclasses.replace(grid, geobox=grid.geobox.zoom_out(2))
            try:
                with minewatch.raster.read.open_datatake(Datatake(scene.key, scene.time, (spoiled,)), coarse) as reader:
                    reader.readers[0].read("red", coarse.window)
                said = "read"
            except SceneError as error:
                said = str(error)
            results[f"{way} {name}"] = said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
