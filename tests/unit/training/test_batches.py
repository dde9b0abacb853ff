"""Batches: their images, class distribution, labels and augmentations."""

import math

import jsonschema
import numpy as np
import pytest
import torch

from ltdm.core.seeding import owner_seeds
from ltdm.plumbing.errors import LtdmError
from ltdm.training.batches import Batches
from ltdm.training.class_sampling import ClassSampling, ClassSamplingOption
from ltdm.training.options import TrainOptions
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.methods import batch_of_step
from tests.helpers.training import CPU, SPEC, data


def batches(n=40, **options):
    return Batches(*data(n), TrainOptions(**{"batch_size": 8, **options}), 0, CPU)


def test_an_epoch_shows_each_image_once_and_epochs_differ():
    images, labels = np.arange(43, dtype=np.uint8)[:, None, None, None], np.zeros(43, np.int64)
    batches = Batches(images, labels, TrainOptions(batch_size=8), 0, CPU)
    epochs = []
    for first in (0, 5):
        x0 = torch.cat([batch_of_step(batches, step).x0 for step in range(first, first + 5)])
        epochs.append(((x0 + 1) * 127.5).round().flatten())
    assert all(len(set(epoch.tolist())) == 40 for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_balanced_batches_are_uniform_over_classes():
    balanced = batches(class_sampling=ClassSampling("balanced"), label_dropout=0.0, batch_size=20)
    counts = torch.bincount(
        torch.cat([batch_of_step(balanced, step).labels for step in range(150)])
    )
    expected = counts.sum() / 3
    assert ((counts - expected) ** 2 / expected).sum() < 13.8, "p = 0.001"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("balanced", [1 / 3] * 3),
        ({"power": 1}, [50 / 80, 10 / 80, 20 / 80]),
        ({"power": 0.5}, [0.50, 0.2236, 0.3162]),
        ({"brs": 0.25}, [4 / 7, 1 / 7, 2 / 7]),
        ({"brs": 0.25, "released": True}, [45 / 80, (11 + 2) / 80, 22 / 80]),
    ],
)
def test_class_probabilities(option, expected):
    """Those of brs depend on the rank of the frequency: here class 1 is the rarest."""
    probabilities = ClassSamplingOption()(option, ()).probabilities(np.array([50, 10, 20]))
    np.testing.assert_allclose(probabilities, np.array(expected) / sum(expected), rtol=1e-3)


@pytest.mark.parametrize(
    ("classes", "largest", "total", "rarest", "remainder"),
    [(10, 5000, 12_406, 303, 6), (100, 500, 10_847, 27, 46)],
)
def test_the_rarest_class_takes_the_remainder_of_the_released_rounding(
    classes, largest, total, rarest, remainder
):
    """On CIFAR10-LT and CIFAR100-LT 0.01; the law is written out here, in images of N."""
    counts = np.array([int(largest * 0.01 ** (c / (classes - 1))) for c in range(classes)])
    assert counts.sum() == total
    parser = ClassSamplingOption()
    released = parser({"brs": 0.1, "released": True}, ())
    weights = [0.1 ** (c / (classes - 1)) for c in range(classes)]
    images = [math.floor(total * weight / sum(weights)) for weight in weights]
    assert (images[-1], total - sum(images)) == (rarest, remainder)
    images[-1] += remainder
    np.testing.assert_allclose(released.probabilities(counts) * total, images, rtol=1e-12)


def test_the_released_rounding_is_an_option_of_batch_resampling():
    parse = ClassSamplingOption()
    released, stated = parse({"brs": 0.1, "released": True}, ()), parse({"brs": 0.1}, ())
    assert released != stated == parse({"brs": 0.1, "released": False}, ())
    for sampling in (released, stated):
        assert parse(sampling.to_config(), ()) == sampling
    assert released.to_config() == {"brs": 0.1, "released": True}
    assert stated.to_config() == {"brs": 0.1}
    np.testing.assert_array_equal(released.probabilities(np.array([7])), [1.0])  # a class's block
    valid = jsonschema.Draft202012Validator(parse.schema).is_valid
    assert valid({"brs": 0.1, "released": True})
    assert not valid({"power": 0.1, "released": True})
    assert not valid({"released": True})


def test_batches_follow_the_class_probabilities():
    labels = np.repeat([0, 1, 2], [50, 10, 20])
    images = np.arange(80, dtype=np.uint8)[:, None, None, None]
    options = TrainOptions(
        batch_size=50, class_sampling=ClassSampling("brs", 0.25), label_dropout=0.0
    )
    batches = Batches(images, labels, options, 0, CPU)
    drawn = [batch_of_step(batches, step) for step in range(200)]
    counts = torch.bincount(torch.cat([batch.labels for batch in drawn])).double()
    expected = torch.tensor([4, 1, 2]) / 7 * 10_000
    assert ((counts - expected) ** 2 / expected).sum() < 13.8, "p = 0.001"
    pixels = ((torch.cat([batch.x0 for batch in drawn]) + 1) * 127.5).round().flatten()
    assert pixels.unique().numel() == 80
    assert TrainOptions().class_sampling.to_config() == "natural"
    assert options.class_sampling.to_config() == {"brs": 0.25}


def test_the_network_is_conditioned_on_the_augmentation():
    spec = {**SPEC, "method": "cbdm", "train": {**SPEC["train"], "augment": "ada"}}
    learner = make_trainer(Recipe.from_spec(spec), 0, *data(), CPU)
    assert learner.net.augm_embedding.weight.shape == (32, 9)
    batch = batch_of_step(learner.batches, 0)
    plain = batch_of_step(batches(), 0)
    changed = batch.augment.abs().sum(1) > 0
    assert torch.equal(batch.x0[~changed], plain.x0[~changed]), "the rest is unchanged"
    assert batch.augment.shape == (8, 9)
    before = learner.net.augm_embedding.weight.clone()
    for _ in range(4):
        learner.step()
    assert not torch.equal(before, learner.net.augm_embedding.weight)


def test_label_dropout_is_independent_per_image():
    drawn = [batch_of_step(batches(label_dropout=0.3), step) for step in range(300)]
    rates = torch.stack([(batch.labels == -1).double().mean() for batch in drawn])
    assert rates.mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 2400) ** 0.5)
    assert rates.unique().numel() > 3, "not all labels of a batch at once"
    assert all(torch.equal(b.has_label, b.labels == b.classes) for b in drawn)


def test_label_dropout_per_batch_drops_all_labels_or_none():
    per_batch = batches(label_dropout=0.3, label_dropout_per="batch")
    drawn = [batch_of_step(per_batch, step) for step in range(300)]
    rates = torch.stack([(batch.labels == -1).double().mean() for batch in drawn])
    assert set(rates.tolist()) == {0.0, 1.0}
    assert rates.mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 300) ** 0.5)


def test_each_block_is_the_batch_of_its_class_alone():
    images, labels = data()
    options = TrainOptions(
        batch_size=10, label_dropout=0.5, class_sampling=ClassSampling("balanced")
    )
    blocks = Batches(images, labels, options, 7, CPU, class_blocks=True)
    assert blocks.size == 9, "an equal block for each of three classes"
    for step in range(3):
        batch = batch_of_step(blocks, step)
        assert batch.classes.tolist() == [0] * 3 + [1] * 3 + [2] * 3
        for k, seed in enumerate(owner_seeds(7, 3)):
            in_class = labels == k
            one_block = TrainOptions(
                batch_size=3, label_dropout=0.5, class_sampling=options.class_sampling
            )
            alone = Batches(images[in_class], labels[in_class] * 0, one_block, seed, CPU)
            alone = batch_of_step(alone, step)
            part = batch.take(slice(3 * k, 3 * k + 3))
            assert torch.equal(part.x0, alone.x0)
            assert torch.equal(part.labels >= 0, alone.labels >= 0)


def test_a_class_smaller_than_its_block_is_refused():
    with pytest.raises(LtdmError, match=r"needs 4 different images .* has only 3; .*balanc"):
        Batches(*data(), TrainOptions(batch_size=12), 0, CPU, class_blocks=True)
    balanced = TrainOptions(batch_size=12, class_sampling=ClassSampling("balanced"))
    assert batch_of_step(Batches(*data(), balanced, 0, CPU, class_blocks=True), 0).x0.shape[0] == 12


def test_flips_mirror_half_the_images():
    plain, flipped = batches(), batches(augment="flip")
    mirrored = 0
    for step in range(5):
        pairs = zip(batch_of_step(plain, step).x0, batch_of_step(flipped, step).x0, strict=True)
        for a, b in pairs:
            assert torch.equal(a, b) or torch.equal(a.flip(-1), b)
            mirrored += not torch.equal(a, b)
    assert 8 < mirrored < 32


def test_images_are_scaled_to_one():
    x0 = batch_of_step(batches(), 0).x0
    assert x0.min() >= -1
    assert x0.max() <= 1
    assert x0.dtype == torch.float32


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(LtdmError, match=r"train.batch_size: is 41, .* only 40"):
        batches(batch_size=41)
