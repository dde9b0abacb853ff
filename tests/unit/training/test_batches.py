"""Batches: which images, in what law, how changed."""

import numpy as np
import pytest
import torch

from ltdm.core.seeding import owner_seeds
from ltdm.plumbing.errors import LtdmError
from ltdm.training.batches import Batches
from ltdm.training.class_sampling import ClassSampling, ClassSamplingOption
from ltdm.training.options import TrainOptions
from ltdm.training.setup import Recipe, make_trainer
from tests.helpers.methods import made_of
from tests.unit.training.test_training import CPU, SPEC, data


def batches(n=40, **options):
    return Batches(*data(n), TrainOptions(**{"batch_size": 8, **options}), 0, CPU)


def test_an_epoch_shows_each_image_once_and_epochs_differ():
    images, labels = np.arange(43, dtype=np.uint8)[:, None, None, None], np.zeros(43, np.int64)
    drawn = Batches(images, labels, TrainOptions(batch_size=8), 0, CPU)
    epochs = [
        torch.cat([(made_of(drawn, 5 * e + i).x0 + 1) * 127.5 for i in range(5)]).round().flatten()
        for e in range(2)
    ]
    assert all(len(set(e.tolist())) == 40 for e in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_balanced_batches_show_every_class_alike():
    drawn = batches(class_sampling=ClassSampling("balanced"), label_dropout=0.0, batch_size=20)
    counts = torch.bincount(torch.cat([made_of(drawn, u).labels for u in range(150)]))
    expected = counts.sum() / 3
    assert ((counts - expected) ** 2 / expected).sum() < 13.8, "one chance in a thousand"


@pytest.mark.parametrize(
    ("given", "chances"),
    [
        ("balanced", [1 / 3] * 3),
        ({"power": 1}, [50 / 80, 10 / 80, 20 / 80]),
        ({"power": 0.5}, [0.50, 0.2236, 0.3162]),
        ({"brs": 0.25}, [4 / 7, 1 / 7, 2 / 7]),
    ],
)
def test_laws_of_the_class(given, chances):
    """brs goes by rank of frequency: here class 1 is the rarest."""
    found = ClassSamplingOption()(given, ()).chances(np.array([50, 10, 20]))
    expected = np.array(chances)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3)


def test_batches_follow_the_law_of_the_class():
    labels = np.repeat([0, 1, 2], [50, 10, 20])
    images = np.arange(80, dtype=np.uint8)[:, None, None, None]
    options = TrainOptions(
        batch_size=50, class_sampling=ClassSampling("brs", 0.25), label_dropout=0.0
    )
    drawn = Batches(images, labels, options, 0, CPU)
    made = [made_of(drawn, u) for u in range(200)]
    counts = torch.bincount(torch.cat([b.labels for b in made])).double()
    expected = torch.tensor([4, 1, 2]) / 7 * 10_000
    assert ((counts - expected) ** 2 / expected).sum() < 13.8, "one chance in a thousand"
    images_seen = ((torch.cat([b.x0 for b in made]) + 1) * 127.5).round().flatten()
    assert images_seen.unique().numel() == 80
    assert TrainOptions().class_sampling.to_config() == "natural"
    assert options.class_sampling.to_config() == {"brs": 0.25}


def test_augmented_batches_tell_the_network_what_was_done():
    spec = {**SPEC, "method": "cbdm", "train": {**SPEC["train"], "augment": "ada"}}
    learner = make_trainer(Recipe.of(spec), 0, *data(), CPU)
    assert learner.net.augm_embedding.weight.shape == (32, 9)
    batch = made_of(learner.batches, 0)
    plain = made_of(batches(), 0)
    done = batch.augment.abs().sum(1) > 0
    assert torch.equal(batch.x0[~done], plain.x0[~done]), "the rest is left alone"
    assert batch.augment.shape == (8, 9)
    before = learner.net.augm_embedding.weight.clone()
    for _ in range(4):
        learner.step()
    assert not torch.equal(before, learner.net.augm_embedding.weight)


def test_label_dropout_is_an_image_s_own_draw():
    drawn = [made_of(batches(label_dropout=0.3), u) for u in range(300)]
    shares = torch.stack([(b.labels == -1).double().mean() for b in drawn])
    assert shares.mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 2400) ** 0.5)
    assert shares.unique().numel() > 3, "not the whole batch at once"
    assert all(torch.equal(b.labelled, b.labels == b.classes) for b in drawn)


def test_a_coin_a_batch_hides_all_labels_or_none():
    made = batches(label_dropout=0.3, label_dropout_per="batch")
    hidden = torch.stack([(made_of(made, u).labels == -1).double().mean() for u in range(300)])
    assert set(hidden.tolist()) == {0.0, 1.0}
    assert hidden.mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 300) ** 0.5)


def test_blocks_by_class_are_what_each_class_alone_would_draw():
    images, labels = data()
    options = TrainOptions(
        batch_size=10, label_dropout=0.5, class_sampling=ClassSampling("balanced")
    )
    blocks = Batches(images, labels, options, 7, CPU, by_class=True)
    assert blocks.size == 9, "an equal share for each of three classes"
    for update in range(3):
        batch = made_of(blocks, update)
        assert batch.classes.tolist() == [0] * 3 + [1] * 3 + [2] * 3
        for k, seed in enumerate(owner_seeds(7, 3)):
            mine = labels == k
            share = TrainOptions(
                batch_size=3, label_dropout=0.5, class_sampling=options.class_sampling
            )
            alone = made_of(Batches(images[mine], labels[mine] * 0, share, seed, CPU), update)
            part = batch.part(slice(3 * k, 3 * k + 3))
            assert torch.equal(part.x0, alone.x0)
            assert torch.equal(part.labels >= 0, alone.labels >= 0)


def test_a_class_too_small_for_its_block():
    with pytest.raises(
        LtdmError, match=r"each class shows 4 different .* one has only 3; .*balanc"
    ):
        Batches(*data(), TrainOptions(batch_size=12), 0, CPU, by_class=True)
    balanced = TrainOptions(batch_size=12, class_sampling=ClassSampling("balanced"))
    assert made_of(Batches(*data(), balanced, 0, CPU, by_class=True), 0).x0.shape[0] == 12


def test_flips_mirror_half_the_images():
    plain, flipped = batches(), batches(augment="flip")
    mirrored = 0
    for update in range(5):
        one, two = made_of(plain, update).x0, made_of(flipped, update).x0
        for a, b in zip(one, two, strict=True):
            assert torch.equal(a, b) or torch.equal(a.flip(-1), b)
            mirrored += not torch.equal(a, b)
    assert 8 < mirrored < 32


def test_images_are_scaled_to_one():
    x0 = made_of(batches(), 0).x0
    assert x0.min() >= -1
    assert x0.max() <= 1
    assert x0.dtype == torch.float32


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(
        LtdmError, match=r"train.batch_size: is 41, but the training set has only 40"
    ):
        batches(batch_size=41)
