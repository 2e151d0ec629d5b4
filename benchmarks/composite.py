"""The usual way without minewatch: odc-stac loads the scenes, xarray compares the median before with the median after."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from benchmarks.series import EPSG, open_series

CLEAR = (4, 5, 6, 7)
"""Scene classes that count."""

NDVI_LOSS, BSI_GAIN = 0.25, 0.1
"""From which the difference of the medians is a change."""


def is_installed() -> bool:
    """True if odc-stac is there."""
    return find_spec("odc.stac") is not None


def prepare_composite(series: str, chunk: int) -> Callable[[], dict[str, Any]]:
    """Compare composites of a whole series, in chunks of so many pixels a side; odc-stac is set up as its docs advise."""
    import dask  # noqa: PLC0415 - optional
    from odc.stac import configure_rio, load  # noqa: PLC0415 - optional

    opened = open_series(Path(series))
    configure_rio(cloud_defaults=False)
    items = [pystac.Item.from_file(opened.folder / name / f"{name}.json") for name in opened.items]

    def work() -> dict[str, Any]:
        with dask.config.set(scheduler="threads", num_workers=2):
            bands = ["blue", "red", "nir", "swir16", "scl"]
            data = load(items, bands=bands, crs=f"EPSG:{EPSG}", resolution=10, chunks={"x": chunk, "y": chunk}, groupby="id")
            clear = data.scl.isin(CLEAR)
            blue, red, nir, swir = (data[name].where(clear).astype("float32") for name in bands[:4])
            ndvi, bsi = (nir - red) / (nir + red), (swir + red - nir - blue) / (swir + red + nir + blue)
            later = data.time.values >= np.datetime64(opened.settings.monitor_from)
            fall, rise = (
                index.isel(time=later).chunk(time=-1).median("time") - index.isel(time=~later).chunk(time=-1).median("time")
                for index in (ndvi, bsi)
            )
            changed = ((fall < -NDVI_LOSS) & (rise > BSI_GAIN)).compute()
        return {"changed": int(changed.sum())}

    return work
