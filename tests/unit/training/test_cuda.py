"""Checks that need a GPU; they are skipped without one, and other tests run the code on a CPU."""

import io
from copy import deepcopy
from itertools import product

import numpy as np
import pytest
import torch

from ltdm.core.device import pick_device
from ltdm.diffusion._model import Model
from ltdm.features import random_inception
from ltdm.metrics import _knn_balls, _nearest_train
from ltdm.networks import unet
from ltdm.networks._predictor import Predictor, to_device
from ltdm.plumbing.options import parse
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.tools.bench_scores import synthetic_features
from ltdm.training.graph import WARMUP_CALLS, StepGraph
from ltdm.training.live import LiveView
from ltdm.training.setup import Recipe, make_trainer, model_metadata
from tests.helpers.training import METHODS, SPEC, data, spec_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def trainer(method="cbdm", **train):
    train = {**SPEC["train"], "class_sampling": "balanced", "augment": "ada", **train}
    return make_trainer(
        Recipe.from_spec({**SPEC, "method": method, "train": train}),
        0,
        *data(),
        pick_device("cuda"),
    )


def learner_of(name, device="cuda", **train):
    spec = spec_of(name, class_sampling="balanced", augment="ada", **train)
    return make_trainer(Recipe.from_spec(spec), 0, *data(), pick_device(device))


@pytest.mark.parametrize("graph", ["auto", "none"])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_never_waits_for_the_device(name, graph):
    learner = learner_of(name, graph=graph)
    for _ in range(WARMUP_CALLS + 2):
        learner.step()
    assert (graph == "auto") == isinstance(learner.run_device_step, StepGraph)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            learner.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", METHODS)
def test_steps_as_one_graph_equal_eager_steps(name):
    """Up to the order of a GPU's sums, which hardly shows in twelve steps at a rate of 1e-3."""
    graph, eager = (learner_of(name, graph=graph, precision="fp32") for graph in ("auto", "none"))
    for learner in (graph, eager):
        learner.fit(lambda state: None)
    assert graph.run_device_step.graph is not None
    for row, expected in zip(graph.history, eager.history, strict=True):
        assert row == pytest.approx(expected, rel=1e-3)
    assert graph.calls_per_image() == eager.calls_per_image()


@pytest.mark.parametrize("name", ["composed", "separate", "edm2"])
def test_sheets_of_samples_do_not_disturb_the_graph(name, tmp_path):
    """At every step: before the capture, and between launches."""
    shown, plain = (learner_of(name, precision="fp32", preview_every=n) for n in (1, None))
    about = model_metadata(Recipe.from_spec(spec_of(name, augment="ada")), shown)
    view = LiveView(tmp_path, "key", shown, about, 0)
    shown.fit(lambda state: None, after_step=view.after_step)
    plain.fit(lambda state: None)
    assert len([*(tmp_path / "previews").iterdir()]) == shown.step_count
    assert shown.run_device_step.graph is not None
    for row, expected in zip(shown.history, plain.history, strict=True):
        assert row == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "cuda")])
@pytest.mark.parametrize("name", ["composed", "separate", "edm2"])
def test_a_state_resumes_on_another_device(name, devices, monkeypatch):
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")
    states = []
    learner_of(name, devices[0], precision="fp32").fit(lambda s: states.append(deepcopy(s)))
    resumed = learner_of(name, devices[1], precision="fp32")
    file = io.BytesIO()
    torch.save(states[1], file)
    file.seek(0)
    resumed.resume(torch.load(file, map_location=resumed.device, weights_only=True))
    for weight, moments in zip(resumed.optimiser.params, resumed.optimiser.moments, strict=True):
        assert all(weight.stride() == moment.stride() for moment in moments.values())
    resumed.fit(lambda state: None)
    assert resumed.history[:2] == states[1]["history"]
    assert all(row["loss"] < 2 * states[1]["history"][0]["loss"] for row in resumed.history)


def test_loss_falls_in_bf16_and_a_state_resumes():
    learner = trainer(steps=60, lr=3e-3, log_every=10)
    assert learner.predict.precision == "bf16"
    learner.fit(lambda state: None)
    assert learner.history[-1]["loss"] < 0.8 * learner.history[0]["loss"]
    resumed = trainer(steps=70, lr=3e-3, log_every=10)
    resumed.resume(learner.state())
    resumed.fit(lambda state: None)
    assert resumed.history[-1]["step"] == 70


def test_sampling_does_not_depend_on_the_batch():
    learner = trainer()
    about = model_metadata(Recipe.from_spec({**SPEC, "method": "cbdm"}), learner)
    options = parse(SampleOptions, {"sampler": {"name": "ancestral", "steps": 5}, "guidance": 1.0})
    model = Model.from_tensors(learner.ema.state_dict(), about, "fp32", pick_device("cuda"))
    generator = SampleGenerator(model, options, 0)
    numbers = np.arange(12)
    labels = numbers % 3
    images = generator.generate(labels, numbers)
    assert (images[5:] == generator.generate(labels[5:], numbers[5:])).mean() > 0.999


def test_tf32_has_the_error_of_its_emulation_on_the_cpu_and_leaves_no_switch_on():
    torch.manual_seed(0)
    options = unet.Options(ch=64, ch_mult=(1, 2), attn=(1,), num_res_blocks=1)
    net = unet.build(options, channels=3, size=32, classes=3).eval()
    for p in net.parameters():
        p.data += 0.02 * torch.randn_like(p)
    inputs = torch.randn(8, 3, 32, 32), torch.linspace(0.1, 900, 8), torch.arange(8) % 3
    outputs = {}
    for device, precision in product(("cpu", "cuda"), ("fp32", "tf32", "bf16")):
        at = pick_device(device)
        predict = Predictor(to_device(deepcopy(net), at, precision), at, precision)
        with torch.inference_mode():
            outputs[device, precision] = predict(*(t.to(at) for t in inputs)).cpu()
        if device == "cuda":
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
    gap = {k: float((v - outputs["cpu", "fp32"]).abs().mean()) for k, v in outputs.items()}
    assert 10 * gap["cuda", "fp32"] < gap["cuda", "tf32"] < gap["cuda", "bf16"]
    assert 1 / 3 < gap["cuda", "tf32"] / gap["cpu", "tf32"] < 3, "up to the rounding of ties"


def test_the_nearest_training_images_are_the_same_to_the_bit(monkeypatch):
    generated, train = (
        np.random.default_rng(n).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
        for n in (300, 9000)
    )
    neighbours = []
    for device in ("cuda", "cpu"):
        monkeypatch.setenv("LTDM_DEVICE", device)
        nearest = _nearest_train.find_nearest(generated, train, 50, True)
        neighbours.append([array.tobytes() for array in nearest])
    assert neighbours[0] == neighbours[1]


def test_neighbours_are_those_of_the_cpu(monkeypatch):
    features, balls = [synthetic_features(3000, 2048, seed) for seed in range(2)], []
    for device in ("cpu", "cuda"):
        monkeypatch.setenv("LTDM_DEVICE", device)
        balls.append(_knn_balls.count_members(*features, 3))
    for one, other in zip(*balls, strict=True):
        assert (one == other).mean() > 0.999, "except for neighbours at nearly equal distances"


def test_inception_has_the_outputs_of_the_cpu(monkeypatch):
    pytest.importorskip("pytorch_fid")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    no_data, options = (np.zeros((1, 3, 8, 8), np.uint8), np.zeros(1)), random_inception.Options()
    outputs = []
    for device in ("cpu", "cuda"):
        monkeypatch.setenv("LTDM_DEVICE", device)
        weights, about = random_inception.prepare(options, *no_data, pick_device())
        outputs.append(random_inception.load(options, weights, about, pick_device())(pixels))
    for one, other in zip(*outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
