"""How a training set is split into shards, and the options of an ensemble."""

import numpy as np
import pytest
import torch

from ltdm.config.compatibility import check_training_set
from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import parse
from ltdm.training.ensemble import deal_counts, shard_rows, shard_steps, total_steps, weighted_mean
from ltdm.training.options import Ensemble, TrainOptions
from tests.helpers.smoke_config import edited

LONG_TAIL = [50, 29, 17, 9, 3, 1]


@pytest.mark.parametrize("shards", [1, 2, 4, 7, 10])
def test_every_image_is_in_one_shard_and_shards_have_equal_class_counts(shards):
    labels = np.random.default_rng(0).permutation(np.repeat(range(6), LONG_TAIL))
    parts = shard_rows(labels, shards)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    counts = np.array([np.bincount(labels[part], minlength=6) for part in parts])
    assert np.array_equal(counts, deal_counts(LONG_TAIL, shards))
    assert np.ptp(counts, axis=0).max() <= 1, "of each class"
    assert np.ptp(counts.sum(axis=1)) <= 1, "of all images"
    assert all(np.all(np.diff(part) > 0) for part in parts)


def test_equal_classes_are_split_as_in_the_released_code():
    """Shard i has images [i m, (i + 1) m) of each class."""
    labels = np.repeat([0, 1, 2], 12)
    for i, part in enumerate(shard_rows(labels, 4)):
        assert part.tolist() == [12 * c + p for c in range(3) for p in range(3 * i, 3 * i + 3)]


def test_the_average_is_weighted_by_images():
    first = {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor(4.0)}
    second = {"w": torch.tensor([5.0, -2.0]), "b": torch.tensor(0.0)}
    mean = weighted_mean([(1, first), (3, second)])
    assert mean["w"].tolist() == [4.0, -1.0] and mean["b"].item() == 1.0
    third = torch.full((1000,), 0.1)
    assert torch.equal(weighted_mean((n, {"w": third}) for n in (3, 4, 4))["w"], third)


def test_total_steps_are_those_of_all_shards():
    options = TrainOptions(steps=600, batch_size=8, ensemble=Ensemble(shards=4, rounds=5))
    assert shard_steps(options, 27, 8) == 30
    assert total_steps(options, LONG_TAIL, class_blocks=False) == 600
    options = TrainOptions(batch_size=8, ensemble=Ensemble(shards=4, rounds=5, epochs=2))
    assert shard_steps(options, 27, 8) == 6
    assert total_steps(options, LONG_TAIL, class_blocks=False) == 4 * 5 * 6
    # the paper's: 39 steps per epoch, 390,000 in total
    options = TrainOptions(batch_size=128, ensemble=Ensemble(epochs=100))
    assert total_steps(options, [5000] * 10, class_blocks=False) == 390_000


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"ensemble": {"shrads": 4}}, "ensemble.shrads", "did you mean 'shards'?"),
        ({"ensemble": {"rounds": 0}}, "ensemble.rounds", "at least 1"),
        ({"ensemble": 4}, "ensemble", "must be a mapping"),
    ],
)
def test_wrong_options_are_errors(options, path, message):
    with pytest.raises(OptionError, match=message) as error:
        parse(TrainOptions, options)
    assert ".".join(error.value.path) == path


@pytest.mark.parametrize(
    ("options", "path", "message"),
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
def test_options_that_do_not_fit_the_data_are_errors(options, path, message):
    with pytest.raises(OptionError, match=message) as error:
        check_training_set(parse(TrainOptions, options), [30, 7, 3], class_blocks=False)
    assert ".".join(error.value.path) == path


def test_a_class_missing_in_a_shard_matters_only_to_methods_by_class():
    options = TrainOptions(batch_size=3, ensemble=Ensemble(shards=4, epochs=1))
    check_training_set(options, [30, 7, 3], class_blocks=False)
    with pytest.raises(OptionError, match="a shard without an image of some class"):
        check_training_set(options, [30, 7, 3], class_blocks=True)


def test_epochs_replace_steps():
    def spec(steps, **iet):
        run = {"train": {"steps": steps, "ensemble": {"shards": 2, "rounds": 2, **iet}}}
        config = edited("runs", {"ddpm": {}, "cbdm": run})
        return Experiment(config).runs["digits-lt", "cbdm"].spec()

    assert spec(40, epochs=1) == spec(80, epochs=1)
    assert spec(40) != spec(80)


def test_defaults_are_no_part_of_a_request():
    assert non_defaults(parse(TrainOptions, {"ensemble": {"epochs": 3, "shards": 10}})) == {
        "ensemble": {"epochs": 3}
    }
    assert non_defaults(parse(TrainOptions, {"ensemble": {}})) == {"ensemble": {}}
    assert non_defaults(parse(TrainOptions, {"ensemble": None})) == {}
