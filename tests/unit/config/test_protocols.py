"""The shipped configs that sweep guidance, and the protocols of CM and CORAL."""

from pathlib import Path

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config

ROOT = Path(__file__).parents[3]


def shipped(name, **changes):
    return Experiment({**read_config([ROOT / f"config/{name}.yaml"]), **changes})


def weights_of(run):
    return [sample.guidance for sample in run.samples.values()]


@pytest.mark.parametrize("name", ["cifar10-lt", "cifar100-lt"])
def test_guidance_is_swept_for_all_methods_with_labels(name):
    experiment = shipped(name)
    own = {"cbdm": 1.6, "oclt": 1.5, "ddpm": 0.8, "igd-separate": 0}
    for (_, run), options in experiment.runs.items():
        first, *swept = weights_of(options)
        assert first == own.get(run, first)
        separate = run in ("igd-separate", "igd-independent")
        assert swept == ([0] if separate else [0, 0.4, 0.8, 1.2, 1.6, 2])
        assert [s.precision for s in options.samples.values()] == ["fp32", *["tf32"] * len(swept)]
    papers = shipped(name, sample_set="paper").runs
    assert all([*options.samples] == ["paper"] for options in papers.values())


def test_guidance_is_chosen_on_a_half_of_the_reference():
    experiment = shipped("guidance")
    assert experiment.evaluate.tuning_half
    assert experiment.evaluate.table_columns[0] == "frechet"
    swept = {run: weights_of(options) for (_, run), options in experiment.runs.items()}
    assert {*map(tuple, swept.values())} == {(0, 0.4, 0.8, 1.2, 1.6, 2), (0,)}
    everything = shipped("cifar10-lt").grid["run"]
    assert experiment.grid["run"] == everything
    networks = {d: r.network.options.ch for (d, n), r in experiment.runs.items() if "sep" in n}
    assert networks == {"cifar10-lt": 128, "cifar100-lt": 32}


def test_the_protocol_of_coral():
    experiment = shipped("coral")
    cells = {"cifar10-lt": {}, "cifar10-lt-0.001": {}, "cifar100-lt": {}}
    for (dataset, name), run in experiment.runs.items():
        (sample,), (method,) = run.samples.values(), run.methods
        cells[dataset][name] = sample.guidance
        assert (run.train.batch_size, sample.num_images) == (128, 50_000)
        late = name == "oclt"
        assert run.train.steps == (200_000 if late else 150_000)
        assert (sample.sampler.name, sample.sampler.options.steps) == (
            ("ddim", 100) if late else ("ancestral", 1000)
        )
        if name == "coral":
            cells[dataset]["options"] = (method.options.temperature, method.options.decay)
            assert method.options.weight == 0.01
    runs = ("ddpm", "cbdm", "oclt", "coral", "options")
    assert {d: [cell[run] for run in runs] for d, cell in cells.items()} == {
        "cifar10-lt": [0.8, 1.0, 1.0, 0.6, (0.12, 0.8)],
        "cifar10-lt-0.001": [1.0, 1.8, 1.7, 1.0, (0.10, 1.0)],
        "cifar100-lt": [0.8, 1.6, 1.5, 0.8, (0.09, 1.0)],
    }


def test_the_protocol_of_cm():
    experiment = shipped("cm")
    tails = {name: data.class_counts[-1] for name, data in experiment.datasets.items()}
    assert [*tails.values()] == [50, 100, 5, 10]
    for run in experiment.runs.values():
        train, samples = run.train, run.samples
        assert (train.steps, train.batch_size, train.lr) == (300_000, 64, 2e-4)
        assert train.label_dropout_per == "batch"
        has_reserve = run.network.options.reserve > 0
        assert {name: one.plain for name, one in samples.items()} == (
            {"paper": False, "plain": True} if has_reserve else {"paper": False}
        )
        for sample in samples.values():
            assert (sample.guidance, sample.num_images) == (1.5, 50_000)
            options = sample.sampler.options
            assert (options.steps, options.grid, options.last) == (50, "leading", "alpha_bar_0")
    _, kid = experiment.evaluate.metrics
    assert (kid.options.subsets, kid.options.subset_size) == (100, 1000)
