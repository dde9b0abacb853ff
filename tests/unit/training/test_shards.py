"""How a training set is shared out, and what an ensemble's options ask for."""

import numpy as np
import pytest
import torch

from ltdm.config.compatibility import check_training_set
from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from ltdm.training.ensemble import all_updates, averaged, dealt, shard_updates, split
from ltdm.training.options import Ensemble, TrainOptions
from tests.helpers.smoke_config import edited

LONG_TAIL = [50, 29, 17, 9, 3, 1]


@pytest.mark.parametrize("shards", [1, 2, 4, 7, 10])
def test_every_image_is_in_one_shard_and_the_shards_are_alike(shards):
    labels = np.random.default_rng(0).permutation(np.repeat(range(6), LONG_TAIL))
    parts = split(labels, shards)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    counts = np.array([np.bincount(labels[part], minlength=6) for part in parts])
    assert np.array_equal(counts, dealt(LONG_TAIL, shards))
    assert np.ptp(counts, axis=0).max() <= 1, "classes are shared out alike"
    assert np.ptp(counts.sum(axis=1)) <= 1, "and so are images"
    assert all(np.all(np.diff(part) > 0) for part in parts)


def test_equal_classes_are_cut_as_in_the_released_code():
    """Shard i has positions [i m, (i + 1) m) of each class."""
    labels = np.repeat([0, 1, 2], 12)
    for i, part in enumerate(split(labels, 4)):
        assert part.tolist() == [12 * c + p for c in range(3) for p in range(3 * i, 3 * i + 3)]


def test_the_average_counts_images():
    weights = [{"w": torch.tensor([1.0, 2.0]), "b": torch.tensor(4.0)},
               {"w": torch.tensor([5.0, -2.0]), "b": torch.tensor(0.0)}]  # fmt: skip
    mean = averaged([(1, weights[0]), (3, weights[1])])
    assert mean["w"].tolist() == [4.0, -1.0] and mean["b"].item() == 1.0
    third = torch.full((1000,), 0.1)
    assert torch.equal(averaged((n, {"w": third}) for n in (3, 4, 4))["w"], third)


def test_updates_are_those_of_all_shards():
    options = TrainOptions(steps=600, batch_size=8, ensemble=Ensemble(shards=4, rounds=5))
    assert shard_updates(options, 27, 8) == 30
    assert all_updates(options, LONG_TAIL, by_class=False) == 600
    options = TrainOptions(batch_size=8, ensemble=Ensemble(shards=4, rounds=5, epochs=2))
    assert shard_updates(options, 27, 8) == 6
    assert all_updates(options, LONG_TAIL, by_class=False) == 4 * 5 * 6
    # the paper's: 39 updates an epoch, 390,000 in all
    options = TrainOptions(batch_size=128, ensemble=Ensemble(epochs=100))
    assert all_updates(options, [5000] * 10, by_class=False) == 390_000


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({"ensemble": {"shrads": 4}}, "ensemble.shrads", "did you mean 'shards'?"),
        ({"ensemble": {"rounds": 0}}, "ensemble.rounds", "at least 1"),
        ({"ensemble": 4}, "ensemble", "must be a mapping"),
    ],
)
def test_mistakes_are_told(given, where, said):
    with pytest.raises(OptionError, match=said) as error:
        parse(TrainOptions, given)
    assert ".".join(error.value.path) == where


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        (
            {"steps": 10, "ensemble": {"shards": 4}},
            "train.ensemble.shards",
            "4 shards x 10 rounds",
        ),
        ({"ensemble": {"shards": 41, "epochs": 1}}, "train.ensemble.shards", "has only 40 images"),
        (
            {"batch_size": 14, "ensemble": {"shards": 3, "epochs": 1}},
            "train.batch_size",
            "has only 13 images",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_told(given, where, said):
    with pytest.raises(OptionError, match=said) as error:
        check_training_set(parse(TrainOptions, given), [30, 7, 3], by_class=False)
    assert ".".join(error.value.path) == where


def test_a_class_missing_in_a_shard_matters_to_methods_by_class_alone():
    options = TrainOptions(batch_size=3, ensemble=Ensemble(shards=4, epochs=1))
    check_training_set(options, [30, 7, 3], by_class=False)
    with pytest.raises(OptionError, match="leaves a shard without an image of some class"):
        check_training_set(options, [30, 7, 3], by_class=True)


def test_epochs_stand_in_the_place_of_updates():
    def made(updates, **iet):
        run = {"train": {"steps": updates, "ensemble": {"shards": 2, "rounds": 2, **iet}}}
        config = edited("runs", {"ddpm": {}, "cbdm": run})
        return Experiment(config).runs["digits-lt", "cbdm"].spec()

    assert made(40, epochs=1) == made(80, epochs=1)
    assert made(40) != made(80)


def test_what_is_left_out_is_no_part_of_a_result():
    assert non_defaults(parse(TrainOptions, {"ensemble": {"epochs": 3, "shards": 10}})) == {
        "ensemble": {"epochs": 3}
    }
    assert non_defaults(parse(TrainOptions, {"ensemble": {}})) == {"ensemble": {}}
    assert non_defaults(parse(TrainOptions, {"ensemble": None})) == {}
