"""Splits the gallery by label file, never by chip: a file's chips were chosen, cut and labelled alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.gallery import Gallery

FOLDS = 6
"""One for each network: it is trained on the other five, and judged on its own."""


def make_folds(gallery: Gallery, folds: int = FOLDS) -> NDArray[np.intp]:
    """Return (n,) the fold of each chip.

    Files that may show the same places share one.  Mines and other ground are dealt out by themselves, the largest first, each
    to the fold that has fewest of its kind, so that every fold has both.
    """
    family, fold = gallery.family, np.zeros(len(gallery.mine), np.intp)
    for mine in (True, False):
        names, sizes = np.unique(family[gallery.mine == mine], return_counts=True)
        filled = np.zeros(folds, np.intp)
        for number in sorted(range(len(names)), key=lambda n: (-sizes[n], names[n])):
            chosen = int(filled.argmin())
            filled[chosen] += sizes[number]
            fold[(family == names[number]) & (gallery.mine == mine)] = chosen
    return fold
