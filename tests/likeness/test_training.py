"""Training in small: sheets are cut, folds keep places together, networks learn, and what is shipped says what was trained."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minewatch.likeness.model import CHIP, WEIGHTS, Model
from minewatch.likeness.network import Network
from training.calibration import Judged, calibrate, calibrate_across
from training.curve import add_epoch, read_curve
from training.folds import make_folds
from training.gallery import SHEETS, Gallery, cut_sheet, read_gallery
from training.pairs import read_pairs
from training.report import measure_all, write_report


def lay_sheet(chips: np.ndarray) -> np.ndarray:
    """Lay chips as the gallery's own script does: rows of the root of their number, rounded up, black at the end."""
    columns = int(np.ceil(np.sqrt(len(chips))))
    rows = -(-len(chips) // columns)
    sheet = np.zeros((rows * CHIP, columns * CHIP, 3), np.uint8)
    for n, chip in enumerate(chips):
        row, column = n // columns * CHIP, n % columns * CHIP
        sheet[row : row + CHIP, column : column + CHIP] = chip
    return sheet


def make_chips(count: int, *, bright: bool, seed: int = 0) -> np.ndarray:
    """Chips with a bright square in the middle, or without."""
    random = np.random.default_rng(seed)
    chips = random.integers(50, 70, (count, CHIP, CHIP, 3))
    if bright:
        chips[:, 12:36, 12:36] += 120
    return chips.astype(np.uint8)


def write_clone(folder: Path, count: int = 7) -> Path:
    sheets = folder / SHEETS
    sheets.mkdir(parents=True)
    for n in range(6):
        for kind in ("positives", "negatives"):
            chips = make_chips(count, bright=kind == "positives", seed=n)
            name = f"v{n}.{n}_{'abcdef'[n]}_{kind}_S2L1C_clear0.75_2023-01-01_2024-01-01.png"
            Image.fromarray(lay_sheet(chips)).save(sheets / name)
    return folder


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 9, 10])
def test_a_sheet_is_cut_into_the_chips_that_were_laid(count: int) -> None:
    chips = make_chips(count, bright=False)
    np.testing.assert_array_equal(cut_sheet(lay_sheet(chips)), chips)


def test_a_black_chip_within_a_sheet_stays_one() -> None:
    chips = make_chips(5, bright=False)
    chips[2] = 0
    np.testing.assert_array_equal(cut_sheet(lay_sheet(chips)), chips)


def test_what_is_no_sheet_of_chips_is_refused() -> None:
    with pytest.raises(ValueError, match="50 × 96 pixels is no grid"):
        cut_sheet(np.zeros((96, 50, 3), np.uint8))


def test_a_clone_gives_the_same_as_the_file(tmp_path: Path) -> None:
    gallery = read_gallery(write_clone(tmp_path / "clone"))
    assert len(gallery.mine) == 84
    assert gallery.mine.sum() == 42
    assert gallery.source[0] == "v0.0_a_negatives"
    chips = [make_chips(7, bright=name.endswith("positives"), seed=int(name[1])) for name in np.unique(gallery.source)]
    source = np.repeat(np.unique(gallery.source), 7)
    np.savez(tmp_path / "g.npz", rgb=np.concatenate(chips), mine=gallery.mine.astype(np.uint8), source=source)
    same = read_gallery(tmp_path / "g.npz")
    np.testing.assert_array_equal(same.rgb, gallery.rgb)
    np.testing.assert_array_equal(same.source, gallery.source)


def test_a_folder_without_sheets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sheets of chips"):
        read_gallery(tmp_path)


def test_a_label_file_is_in_one_fold_and_so_are_its_revisions() -> None:
    names = ["a_positives", "a_positives2025-08", "b_negatives", "b_negatives_v2", "c_positives", "d_negatives"] + [
        "e_positives"
    ] * 4
    mine = np.array(["positives" in name for name in names])
    gallery = Gallery(np.zeros((10, 4, 4, 3), np.float32), mine, np.array(names))
    fold = make_folds(gallery, 2)
    assert fold[0] == fold[1]
    assert fold[2] == fold[3]
    for number in (0, 1):
        assert 0 < mine[fold == number].sum() < (fold == number).sum(), "each fold has both"


def test_calibration_finds_the_line_that_logits_were_bent_by() -> None:
    random = np.random.default_rng(0)
    true = random.normal(0, 2, 20_000)
    mine = random.random(20_000) < 1 / (1 + np.exp(-true))
    logit = ((true - 0.5) / 0.7).astype(np.float32)
    slope, intercept = calibrate(logit, mine, np.full(20_000, "a"))
    assert slope == pytest.approx(0.7, abs=0.05)
    assert intercept == pytest.approx(0.5, abs=0.08)
    score = calibrate_across(Judged(logit, np.arange(20_000) % 2), mine, np.full(20_000, "a"))
    np.testing.assert_allclose(score, 1 / (1 + np.exp(-true)), atol=0.05)


def write_pairs(folder: Path) -> Path:
    folder.mkdir()
    before = np.zeros((8, CHIP, CHIP, 6), np.int16)
    before[..., :3], before[..., 3] = 400, 3000
    after = before.copy()
    after[:6, :4, :4, 2] = 1800  # 16 pixels
    after[6:, :3, :3, 2] = 1800  # 9 pixels: less than 0.1 ha
    np.savez(folder / "pairs.npz", before=before, after=after)
    labels = ["mining_emergence", "natural_change", "human_activity", "mining_emergence"] * 2
    (folder / "pairs.csv").write_text("index,category\n" + "".join(f"{n},{label}\n" for n, label in enumerate(labels)))
    return folder


def test_vegetation_that_was_lost_is_counted(tmp_path: Path) -> None:
    pairs = read_pairs(write_pairs(tmp_path / "pairs"))
    np.testing.assert_allclose(pairs.lost_ha, [0.16] * 6 + [0.09] * 2)
    np.testing.assert_allclose(pairs.rgb[0, 0, 0], [0.18, 0.04, 0.04], atol=1e-6)


def test_the_report_writes_page_pictures_and_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.likeness.figures.DRAWS", 20)
    gallery = read_gallery(write_clone(tmp_path / "clone"))
    logit = np.where(gallery.mine, 2.0, -2.0).astype(np.float32) + np.arange(84, dtype=np.float32) / 100
    pairs = read_pairs(write_pairs(tmp_path / "pairs"))
    for epoch, auc in ((1, 0.7), (2, 0.6), (2, 0.8)):
        add_epoch(tmp_path / "network-1.csv", epoch, 0.5, auc)
    report = measure_all(gallery, Judged(logit, make_folds(gallery)), WEIGHTS, pairs, read_curve(tmp_path))
    write_report(report, tmp_path / "docs", tmp_path / "card.md")
    page, card = (tmp_path / "docs" / "likeness.md").read_text("utf-8"), (tmp_path / "card.md").read_text("utf-8")
    assert "| AUC by source | 1.000 (1.00–1.00) | ≥ 0.93 | met |" in page
    assert "| 2 | 1 | 0.500 | 0.800 (0.800–0.800) |" in page, "an epoch that was run again counts once"
    assert "6 of 8 pairs lost 0.1 ha" in page
    assert "CC BY 4.0" in card
    assert "must not be used" in card
    assert "{" not in page + card, "every place of the texts is filled"
    for picture in ("roc", "reliability", "mistakes"):
        assert (tmp_path / "docs" / "images" / f"likeness-{picture}.png").stat().st_mode & 0o044
    with pytest.raises(ValueError, match="other folds"):
        measure_all(gallery, Judged(logit, np.zeros(84, int)), WEIGHTS, None)


# --- with the framework ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """A tiny training run, to its end."""
    pytest.importorskip("torch", reason="the extra train is not installed")
    from training.ensemble import FOLDS, Run, _train_member

    folder = tmp_path_factory.mktemp("training")
    run = Run(write_clone(folder / "clone", 10), folder / "build", epochs=4)
    run.folder.mkdir()
    assert all(_train_member(run, member) for member in range(FOLDS))
    return run


def test_a_tiny_training_run_learns(run) -> None:
    from training.ensemble import assemble, render

    weights, judged = assemble(run)
    gallery = read_gallery(run.gallery)
    assert judged.logit[gallery.mine].mean() > judged.logit[~gallery.mine].mean()
    data = render(weights)
    assert data == render(assemble(run)[0]), "the same states give the same bytes"
    model = Model.load(io.BytesIO(data))
    assert model.version.startswith("1-")
    curve = read_curve(run.folder)
    assert [(one.epoch, one.networks) for one in curve] == [(n, 6) for n in (1, 2, 3, 4)]
    assert curve[-1].loss < curve[0].loss
    assert 0.5 < curve[-1].auc[0] <= 1
    score = model.assess(gallery.rgb).score
    assert score[gallery.mine].mean() > score[~gallery.mine].mean()


def test_training_gives_the_same_again_and_goes_on_where_it_was(run, tmp_path: Path) -> None:
    from training.ensemble import _train_member

    again = replace(run, folder=tmp_path, until=0.0)
    assert not _train_member(again, 0), "the time was over after the first epoch"
    assert _train_member(replace(again, until=float("inf")), 0)
    first, second = (dict(np.load(folder / "network-1.npz")) for folder in (run.folder, tmp_path))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], name)


def test_the_shipped_network_says_what_the_trained_one_says(run) -> None:
    import torch

    from training.network import TrainedNetwork

    trained = TrainedNetwork(6)
    trained.load_state_dict(torch.load(run.folder / "network-1.pt", weights_only=True)["network"])
    trained.eval()
    own = {name: values[None] for name, values in trained.fold().items()}
    chips = np.random.default_rng(0).normal(0, 1, (5, CHIP, CHIP, 3)).astype(np.float32)
    network = Network.of(own, 0)
    mine, other = network.compute_logits(network.compute_features(chips))
    with torch.no_grad():
        expected = [value.numpy() for value in trained(torch.from_numpy(chips.transpose(0, 3, 1, 2).copy()))]
    np.testing.assert_allclose(mine, expected[0], atol=1e-4)
    np.testing.assert_allclose(other, expected[1], atol=1e-4)
