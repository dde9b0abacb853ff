"""Sample sheets of a training: their rows, and those of points and of unconditional networks."""

import numpy as np
import pytest
import torch
from PIL import Image

from ltdm.data import mixture
from ltdm.plumbing.files import write_npz
from ltdm.training import previews
from ltdm.training.setup import Recipe, model_metadata
from tests.helpers.live import images, train_in
from tests.helpers.training import SPEC, trainer

__all__ = ["images"]


def sheet_of(folder, images, **changes):
    """Train with previews; return the pictures of a training's sheets as arrays."""
    spec = {**SPEC, "method": "ddpm", **changes}
    spec["train"] = {**SPEC["train"], "steps": 4, "ema_decay": 0.5, **changes.get("train", {})}
    train_in(folder, images, spec, {"preview_every": 2})
    return [np.asarray(Image.open(file)) for file in sorted((folder / "previews").iterdir())]


def test_a_sheet_has_a_row_per_class_from_head_to_tail(images, tmp_path):
    """At most twenty classes; without labels there are five rows."""
    first, second = sheet_of(tmp_path / "all", images)
    assert first.shape == second.shape == (3 * 34 - 2, 4 * 34 - 2)
    assert not np.array_equal(first, second), "the weights have changed"
    learner = trainer()
    learner.batches.labels = np.repeat(np.arange(45), np.random.default_rng(0).permutation(45) + 1)
    metadata = {"points": False, "label": "input", "classes": 45}
    labels = previews.Previewer(learner, metadata, 0).row_labels
    counts = np.bincount(learner.batches.labels)[labels]
    assert len(counts) == 20 and counts[0] == 45 and counts[-1] == 1
    assert (np.diff(counts) < 0).all()
    without_labels = sheet_of(tmp_path / "none", images, train={"label_dropout": 1.0})
    assert without_labels[0].shape == (5 * 34 - 2, 4 * 34 - 2)


def test_the_noise_is_the_same_at_each_step_and_other_for_each_seed(tmp_path):
    recipe, learner = Recipe.from_spec(SPEC), trainer()
    metadata = model_metadata(recipe, learner)
    sheets = []
    for number, seed in enumerate((0, 0, 1)):
        sheets.append(tmp_path / f"{number}.png")
        previews.Previewer(learner, metadata, seed).write(sheets[-1])
        learner.step_count += 1
        torch.rand(3)
    first, second, other = (sheet.read_bytes() for sheet in sheets)
    assert first == second != other


@pytest.mark.parametrize("label_dropout", [0.1, 1.0])
@pytest.mark.parametrize("process", ["vp", "edm", {"name": "vp", "T": 3}])
def test_points_are_plotted_beside_the_training_set(process, label_dropout, images, tmp_path):
    points = mixture.load(mixture.Options(points_per_class=30), "train")
    write_npz(images, images=points.images, labels=points.labels)
    network = {"name": "mlp", "width": 16, "depth": 2}
    changes = {"network": network, "process": process, "train": {"label_dropout": label_dropout}}
    for sheet in sheet_of(tmp_path, images, **changes):
        assert sheet.ndim == 3 and sheet.min() < 100 and sheet.max() == 255
