"""Trains the networks and writes the weights: ``python -m training GALLERY``; what a step has reached is gone on with."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from minewatch.likeness.model import WEIGHTS
from training.ensemble import Run, assemble, render, train_ensemble


def main() -> int:
    """Train until done or until the time of the step is over; return 0 when the weights are written, 3 while more is to do."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("gallery", type=Path, help="gallery.npz, or a clone of the repository that publishes the gallery")
    parser.add_argument("--folder", type=Path, default=Path("build/likeness"), help="where what was reached is kept")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="file to write")
    parser.add_argument("--epochs", type=int, default=12, help="of each network (default: 12)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is random (default: 1)")
    parser.add_argument("--minutes", type=float, default=20, help="after which no epoch is begun (default: 20)")
    parser.add_argument("--processes", type=int, default=2, help="networks that are trained at a time (default: 2)")
    given = parser.parse_args()
    run = Run(given.gallery, given.folder, given.epochs, given.seed, time.monotonic() + 60 * given.minutes)
    if not train_ensemble(run, given.processes):
        print("the time of this step is over; go on with the same command")
        return 3
    weights, judged = assemble(run)
    data = render(weights)
    given.weights.write_bytes(data)
    np.savez_compressed(given.folder / "judged.npz", logit=judged.logit, fold=judged.fold)
    print(f"{given.weights}: {len(data) / 1e6:.2f} MB, version {weights['version']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
