"""The configs shipped with ltdm: valid, documented in their header, with the papers' settings."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.data import afhq_dog, tiny_imagenet
from ltdm.data._base import SourceInfo
from ltdm.pipeline.cost import network_cost
from ltdm.pipeline.warnings import warnings
from ltdm.training.ensemble import total_steps

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))


@pytest.fixture(autouse=True)
def folders_of_images(monkeypatch):
    """The data sets that are not downloaded, as they would be found."""
    names = [f"n{c:08d}" for c in range(200)]
    monkeypatch.setattr(tiny_imagenet, "_class_names", lambda root: names)
    monkeypatch.setattr(afhq_dog, "describe", lambda options: SourceInfo(["dog"], [4739], 3, 64))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.name)
def test_shipped_configs_are_valid(file):
    experiment = Experiment(read_config([file]))
    assert experiment.name == file.stem, "each has its own results folder"
    assert set(experiment.grid["run"]) <= set(experiment.overrides)
    false_alarms = warnings(experiment, on_this_machine=False)
    if file.name == "iet-agc.yaml":  # 30,000 steps over ten shards: the protocol's own, and true
        first = false_alarms.pop(0)
        assert first.startswith("iet on afhq-dog, iet-agc on afhq-dog: after 3,000 steps")
    if file.name == "cm.yaml":  # one of its controls, and true
        first = false_alarms.pop(0)
        assert first.startswith("cm-no-reserve on cifar10-lt, cm-no-reserve on cifar10-lt-0.02")
    assert false_alarms == []


@pytest.mark.parametrize("name", ["cifar100-lt", "cbdm", "coral", "igd", "igd-readme", "ddim50"])
def test_quick_goes_on_top_of_a_paper_s_config(name):
    files = [ROOT / "config" / f"{name}.yaml", ROOT / "config/shared/quick.yaml"]
    assert Experiment(read_config(files)).evaluate.table_columns[1] == "frechet@head"


@pytest.mark.parametrize("file", [f for f in SHIPPED if "cifar" in f.read_text()])
def test_a_paper_s_config_has_a_header(file):
    head = file.read_text().partition("inherits:")[0]
    for term in ("Protocol: ", "Traps", "report"):
        assert term in head or "under the protocol of" in head


@pytest.mark.parametrize("file", [f for f in SHIPPED if "cifar" in f.read_text()])
def test_a_header_states_the_cost_of_sampling(file):
    """The floating-point operations of one sample set of the first run, as `ltdm plan` counts."""
    head = file.read_text().partition("inherits:")[0]
    stated = re.search(r"Sampled in (\w+)\. .* ([\d,]+) PFLOP", head)
    experiment = Experiment(read_config([file]))
    (key, run), (first, *_) = next(iter(experiment.runs.items())), experiment.grid["sample_set"]
    planned = network_cost(
        experiment.datasets[key[0]], replace(run, samples={"": run.samples[first]}), []
    )
    assert stated[1] == run.samples[first].precision
    operations = planned.flops * planned.sample_evaluations
    assert float(stated[2].replace(",", "")) == pytest.approx(operations / 1e15, rel=0.02)


def test_the_protocol_of_iet_agc():
    experiment = Experiment(read_config([ROOT / "config/iet-agc.yaml"]))
    for (dataset, name), run in experiment.runs.items():
        data, steps = experiment.datasets[dataset], 30_000 if dataset == "afhq-dog" else 390_000
        assert total_steps(run.train, data.class_counts, False) == steps
        assert bool(run.train.ensemble) == name.startswith("iet")
        labelled, sample = dataset == "cifar100", run.samples["last"]
        assert sample.num_images == (65_500 if labelled else 65_536)
        assert (run.samples["last"].weights, run.samples["ema"].weights) == ("last", "ema")
        assert run.label_role(data) == ("input" if labelled else "nothing")
        assert run.network.options.label_layers == labelled
        sampler = {"grid": "leading", "offset": 1, "last": "alpha_bar_0", "steps": 50}
        sampler |= {"clip_denoised": True, "noise_after_clip": "predicted", "eta": 0}
        assert vars(sample.sampler.options) == sampler
        assert (run.train.label_dropout, sample.guidance) == (0 if labelled else 1, 0)
        assert (run.train.precision, sample.precision) == ("fp32", "fp32")


@pytest.mark.parametrize(
    ("config", "k"),
    [
        *(("cbdm", 5), ("igd", 5), ("igd-readme", None), ("cifar10-lt", 3), ("cifar100-lt", 3)),
        *(
            ("ddim50", 3),
            ("iet-agc", 3),
            ("edm2-lt", 3),
            ("edm2", None),
            ("coral", 3),
            ("cm", None),
        ),
    ],
)
def test_the_k_of_precision_and_recall_is_the_paper_s_and_stated(config, k):
    """The configs state it even if it is the option's default, and change no other metric."""
    content = read_config([ROOT / f"config/{config}.yaml"])
    parts = [m for m in content["evaluate"]["metrics"] if "precision-recall" in str(m)]
    named = {"extractor": "vgg16"} if config == "coral" else {}
    assert parts == [{"name": "precision-recall", "k": k, **named}] * (k is not None)
    if k == 5:
        shared = read_config([ROOT / "config/shared/scores.yaml"])["evaluate"]["metrics"]
        pairs = zip(shared, content["evaluate"]["metrics"], strict=True)
        assert [own for other, own in pairs if own != other] == parts


def test_igd_s_readme_line_by_line():
    experiment = Experiment(read_config([ROOT / "config/igd-readme.yaml"]))
    (data,), runs = experiment.datasets.values(), {k[1]: r for k, r in experiment.runs.items()}
    assert data.class_counts == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    strengths = {"igd-tau-0": 0, "igd-tau-0.1": 0.1, "igd-executed": 1}
    assert [*runs] == ["cbdm", *strengths]
    for name, run in runs.items():
        train, sample, (method,) = run.train, run.samples["main"], run.methods
        assert (train.steps, train.lr, train.warmup_steps) == (60_001, 2e-4, 5000)
        assert (train.grad_clip, train.ema_decay, train.augment) == (1, 0.9999, "flip")
        assert (train.label_dropout, train.label_dropout_per) == (0.1, "batch")
        assert (train.precision, sample.precision) == ("fp32", "fp32")
        assert (run.process.options.T, run.network.options.dropout) == (1000, 0.1)
        sampler, options = sample.sampler.name, sample.sampler.options
        assert (sampler, options.steps, options.variance) == ("ancestral", 1000, "large")
        assert (sample.num_images, sample.guidance, sample.weights) == (15_000, 1.6, "ema")
        blocks = 10 * run.objective(data.class_counts).class_blocks
        assert train.effective_batch_size(blocks) == (48 if name == "cbdm" else 40)
        if name == "cbdm":
            assert (method.name, method.options.tau) == ("cbdm", 1)
        else:
            assert (method.name, method.options.mode) == ("igd", "released")
            assert method.options.beta == strengths[name]
    assert [str(m) for m in experiment.evaluate.metrics] == ["frechet", "inception-score", "prd"]
    prd = experiment.evaluate.metrics[2].options
    assert (prd.num_clusterings, prd.clusters) == (10, 20)


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        *((name, "fp32") for name in ("cbdm", "igd", "igd-readme", "iet-agc")),
        *((name, "auto") for name in ("coral", "ddim50", "edm2", "edm2-tiny", "edm2-lt")),
    ],
)
def test_a_paper_s_config_states_its_precision(config, precision):
    """That of the released code, and that of training here: `auto` is bf16 on a GPU."""
    file = ROOT / f"config/{config}.yaml"
    head = " ".join(file.read_text().partition("inherits:")[0].replace("#", " ").split())
    assert re.search("fp32 without AMP|fp16", head)
    assert ("here both are in fp32 too" in head) == (precision == "fp32")
    assert bool(re.search("ere .*bf16.*on a GPU.*sampling", head)) == (precision == "auto")
    runs = Experiment(read_config([file])).runs.values()
    assert {run.train.precision for run in runs} == {precision}
    assert {sample.precision for run in runs for sample in run.samples.values()} == {"fp32"}


def test_the_protocols_of_cbdm_and_its_successors():
    cbdm = Experiment(read_config([ROOT / "config/cbdm.yaml"]))
    plain, balanced, ada = (cbdm.runs["cifar100-lt", r] for r in ("ddpm", "cbdm", "cbdm-ada"))
    assert [r.train.steps for r in (plain, balanced, ada)] == [200_000, 300_000, 500_000]
    assert [r.train.batch_size for r in (plain, balanced, ada)] == [64, 48, 48]
    assert [r.samples["main"].guidance for r in (plain, balanced, ada)] == [0.8, 1.6, 1.4]
    assert [r.train.augment for r in (plain, balanced, ada)] == ["flip", "flip", "ada"]
    for run in (plain, balanced, ada):
        assert (run.train.lr, run.train.warmup_steps, run.train.ema_decay) == (2e-4, 5000, 0.9999)
        assert run.samples["main"].num_images == 50_000
        assert str(run.samples["main"].sampler) == "ancestral"
        assert run.network.to_config() == {"name": "unet"}
    later = Experiment({**read_config([ROOT / "config/ddim50.yaml"]), "dataset": ["cifar10-lt"]})
    for run in later.runs.values():
        (sample,) = run.samples.values()
        ddim = {"name": "ddim", "grid": "leading", "last": "alpha_bar_0"}
        assert sample.sampler.to_config() == ddim
        assert sample.sampler.options.steps == 50
        assert sample.guidance == 1.5
    ours = Experiment(read_config([ROOT / "config/cifar10-lt.yaml"]))
    assert ours.datasets["cifar10-lt"].class_counts[-1] == 50
    assert ours.datasets["cifar10-lt-0.001"].class_counts[-1] == 5
    assert Experiment(read_config([ROOT / "config/cifar100-lt.yaml"])).grid["dataset"] == [
        "cifar100-lt"
    ]
