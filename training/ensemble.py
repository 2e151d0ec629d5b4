"""Trains the ensemble and writes its weights: one network a fold, each judged on the label files that it never saw."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from minewatch.likeness.labelled_chips import ATMOSPHERE, GROUNDS, TOP_OF_ATMOSPHERE
from minewatch.likeness.model import Model
from training.calibration import Judged, calibrate
from training.curve import add_epoch
from training.folds import FOLDS, make_folds
from training.gallery import Gallery, read_gallery
from training.network import TrainedNetwork
from training.train import Training, train_network

NAMES = (*GROUNDS.values(), "other ground")
"""Grounds of the second head."""

AXES = 48
"""Directions in which the training chips differ most; the rest of the features' space is noise."""

SHOWN = 3
"""Every so many held-out chips are looked at after an epoch, for the learning curve alone."""

FARTHEST = 0.999
"""Share of the training chips that are nearer than 1."""

Weights = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Run:
    """What a training run does, and where it keeps what it has reached."""

    gallery: Path
    """The .npz, or a clone."""

    folder: Path
    """For the states of the networks."""

    epochs: int = 12
    """Of each network."""

    seed: int = 1
    """Of the first network; the others count on."""

    until: float = float("inf")
    """Time (seconds, monotonic) after which no epoch is begun."""


class OutOfTimeError(Exception):
    """The time of a step is over; what was reached is kept."""


def train_ensemble(run: Run, processes: int) -> bool:
    """Train the networks that are not trained yet, one to a process; return whether all are."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return all(list(pool.map(partial(_train_member, run), range(FOLDS))))


def _train_member(run: Run, member: int) -> bool:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    gallery = read_gallery(run.gallery)
    began, is_own = time.monotonic(), make_folds(gallery) == member
    centre, spread = standardise(gallery.rgb)
    shown = np.flatnonzero(is_own)[::SHOWN]
    held_out = (np.minimum(gallery.rgb[shown], find_brightest()) - centre) / spread, gallery.mine[shown]

    def report(epoch: int, loss: float, network: TrainedNetwork) -> None:
        seconds, auc = time.monotonic() - began, measure_auc(network, *held_out)
        add_epoch(run.folder / f"network-{member + 1}.csv", epoch, loss, auc)
        place = f"network {member + 1} of {FOLDS}, epoch {epoch} of {run.epochs}"
        print(f"{place}: loss {loss:.3f}, held out AUC {auc:.3f}, {seconds:.0f} s", flush=True)
        if epoch < run.epochs and time.monotonic() > run.until:
            raise OutOfTimeError

    try:
        training = Training(gallery, np.flatnonzero(~is_own), centre, spread, NAMES, run.epochs, run.seed + member)
        network = train_network(training, run.folder / f"network-{member + 1}.pt", report)
    except OutOfTimeError:
        return False
    np.savez(run.folder / f"network-{member + 1}.npz", **network.export())  # type: ignore[arg-type]
    return True


def measure_auc(network: TrainedNetwork, chips: NDArray[np.float32], mine: NDArray[np.bool_]) -> float:
    """Return how well a network in training tells standardised chips apart; it goes on as if it had not been asked."""
    network.eval()
    with torch.no_grad():
        parts = torch.from_numpy(np.ascontiguousarray(chips.transpose(0, 3, 1, 2))).split(64)
        logit = torch.cat([network(part)[0] for part in parts]).numpy()
    network.train()
    ranks = rankdata(logit)[mine].sum()
    mines, others = int(mine.sum()), int((~mine).sum())
    return float((ranks - mines * (mines + 1) / 2) / max(mines * others, 1))


def find_brightest() -> NDArray[np.float32]:
    """Return (band,) reflectance above which chips of the gallery are saturated."""
    return (TOP_OF_ATMOSPHERE - np.array(ATMOSPHERE)).astype(np.float32)


def standardise(rgb: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (band,) mean and standard deviation of reflectance."""
    mean, spread = (measure(rgb, axis=(0, 1, 2), dtype=np.float64) for measure in (np.mean, np.std))
    return mean.astype(np.float32), spread.astype(np.float32)


def judge(gallery: Gallery, model: Model, fold: NDArray[np.intp]) -> Judged:
    """Return the logits of chips by the networks that were not trained on them; ``model`` is not calibrated."""
    logit = np.empty(len(fold), np.float32)
    standard = (np.minimum(gallery.rgb, model.brightest) - model.centre) / model.spread
    for member, network in enumerate(model.networks):
        own = np.flatnonzero(fold == member)
        for part in np.array_split(own, max(1, len(own) // 64)):
            logit[part] = network.compute_logits(network.compute_features(standard[part]))[0]
    return Judged(logit, fold)


def assemble(run: Run) -> tuple[Weights, Judged]:
    """Return the weights of the trained networks with their calibration, and what it was fitted to."""
    gallery = read_gallery(run.gallery)
    centre, spread = standardise(gallery.rgb)
    stacked = [dict(np.load(run.folder / f"network-{member + 1}.npz")) for member in range(FOLDS)]
    features = sum(len(one["mine"]) for one in stacked)
    weights: Weights = {f"net_{name}": np.stack([one[name] for one in stacked]) for name in stacked[0]}
    weights |= {
        "centre": centre,
        "spread": spread,
        "brightest": find_brightest(),
        "grounds": np.array(NAMES),
        "calibration": np.array([1.0, 0.0]),
        "typical": np.zeros(features, np.float16),
        "axes": np.zeros((features, 1), np.float16),
        "version": np.array("untrained"),
    }
    model = _load(weights)
    judged = judge(gallery, model, make_folds(gallery))
    weights["calibration"] = calibrate(judged.logit, gallery.mine, gallery.source)
    weights["typical"], weights["axes"] = _measure_space(model, gallery)
    digest = hashlib.sha256(render(weights)).hexdigest()[:12]
    return weights | {"version": np.array(f"1-{digest}")}, judged


def _measure_space(model: Model, gallery: Gallery) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return the mean of the training chips' features, and axes along which they differ, scaled to their thousandth farthest."""
    sample = np.arange(0, len(gallery.rgb), 4)
    features = model.assess(gallery.rgb[sample]).features.astype(np.float64)
    typical = features.mean(axis=0)
    _, lengths, axes = np.linalg.svd(features - typical, full_matrices=False)
    kept = min(AXES, int((lengths > 1e-3 * lengths[0]).sum()))  # fewer chips than axes leave some without any length
    scaled = axes[:kept].T / (lengths[:kept] / np.sqrt(len(sample)))
    distance = np.sqrt(np.square((features - typical) @ scaled).sum(axis=1))
    return typical.astype(np.float16), (scaled / np.quantile(distance, FARTHEST)).astype(np.float16)


def render(weights: Weights) -> bytes:
    """Return a file of weights; the same weights give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(weights):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.asarray(weights[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _load(weights: Weights) -> Model:
    return Model.load(io.BytesIO(render(weights)))
