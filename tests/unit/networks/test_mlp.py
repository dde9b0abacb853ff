"""The perceptron: its inputs, intermediate outputs, and every method on points."""

import numpy as np
import pytest
import torch

from ltdm.data import mixture
from ltdm.diffusion._model import Model
from ltdm.networks import mlp
from ltdm.networks._per_class import PerClassNetworks
from ltdm.networks._predictor import Predictor
from ltdm.plumbing import registry
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import parse
from ltdm.samplers._generate import SampleGenerator
from ltdm.samplers._options import SampleOptions
from ltdm.training.setup import Recipe, make_trainer, model_metadata

CPU = torch.device("cpu")
SMALL = mlp.Options(width=16, depth=3)
TRAIN = {"steps": 3, "batch_size": 8, "lr": 1e-2, "warmup_steps": 0, "log_every": 1}


def perturbed_network(channels=2, size=1, classes=3, augment_dim=0):
    """Return a network away from its initialisation, where its output is nearly zero."""
    torch.manual_seed(0)
    net = mlp.build(SMALL, channels, size, classes, augment_dim).double().eval()
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return net


@pytest.mark.parametrize(("channels", "size"), [(2, 1), (5, 1), (3, 4)])
def test_points_and_images(channels, size):
    net = mlp.build(SMALL, channels, size, classes=3)
    x = torch.randn(2, channels, size, size)
    for level in (torch.tensor([0, 999]), torch.tensor([-1.2, 0.5])):
        F = net(x, level, torch.tensor([2, -1]))
        assert F.shape == x.shape
        assert 0 < F.abs().max() < 1e-3, "it starts near zero"


def test_the_output_depends_on_every_input():
    net = perturbed_network(augment_dim=9)
    x, t, y, a = torch.randn(2, 2, 1, 1).double(), torch.tensor([3, 7]), torch.tensor([0, 1]), None
    augment = torch.ones(2, 9).double()
    F = net(x, t, y, a)
    others = net(x + 1, t, y, a), net(x, t + 5, y, a), net(x, t, y + 1, a), net(x, t, y, augment)
    assert not any(torch.isclose(other, F).any() for other in others)
    assert torch.equal(net(x, t, y, 0 * augment), F), "zeros mean no augmentation"


def test_no_label_equals_an_unconditional_network():
    net, plain = perturbed_network(), perturbed_network(classes=0)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if "label" not in k})
    x, t, y = torch.randn(4, 2, 1, 1).double(), torch.arange(4), torch.tensor([-1, 0, 2, -1])
    mixed, without = net(x, t, y), plain(x, t, y)
    assert torch.equal(mixed[[0, 3]], without[[0, 3]])
    assert not torch.isclose(mixed[[1, 2]], without[[1, 2]]).any()


def test_bottleneck_and_decoder_features():
    net = perturbed_network().float()
    predict = Predictor(net, CPU, "fp32")
    inputs = torch.randn(4, 2, 1, 1), torch.arange(4), torch.tensor([-1, 0, 2, 1])
    F, z = predict.all_outputs(*inputs)
    assert torch.equal(F, predict(*inputs))
    assert torch.equal(z, predict.bottleneck(*inputs))
    assert z.shape == (4, 16)
    first, second = predict.decoder_features(2, *inputs)
    assert torch.equal(first, net.upblocks[0](z, net.embed(*inputs[1:], None)))
    assert torch.equal(net.project_out(second), F)


def test_vmapped_networks_equal_each_network_alone():
    torch.manual_seed(0)
    networks = PerClassNetworks([perturbed_network(classes=0).float() for _ in range(3)])
    rows = torch.randn(3, 4, 2, 1, 1), torch.arange(12).view(3, 4), torch.zeros(3, 4).long()
    torch.testing.assert_close(
        networks.forward_vmapped(*rows, None), networks.forward_sequential(*rows, None)
    )


def test_an_odd_width_is_refused():
    with pytest.raises(OptionError, match="width: must be even"):
        parse(mlp.Options, {"width": 7})


METHODS = [
    *registry.part_names("method"),
    ["oclt", "cbdm"],
    *({"name": "igd", "mode": mode} for mode in ("shared", "released")),
]


@pytest.mark.parametrize("process", ["vp", "edm"])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_trains_on_points(method, process):
    points = mixture.load(mixture.Options(points_per_class=30), "train")
    separate = method == "igd"
    options = {"label_dropout": 0.0 if separate else 0.2, "class_sampling": "balanced"}
    network = {"name": "mlp", "width": 16, "depth": 2}
    spec = {"network": network, "process": process, "method": method, "train": {**TRAIN, **options}}
    trainer = make_trainer(Recipe.from_spec(spec), 0, points.images, points.labels, CPU)
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    trainer.fit(lambda state: None)
    after = trainer.net.state_dict()
    assert all(torch.isfinite(v).all() for v in after.values())
    assert any(not torch.equal(v, after[k]) for k, v in before.items())
    model = Model.from_tensors(
        trainer.ema.state_dict(), model_metadata(Recipe.from_spec(spec), trainer), "fp32", CPU
    )
    options = parse(SampleOptions, {"sampler": {"name": "heun", "steps": 2}, "num_images": 6})
    generator = SampleGenerator(model, options, 0)
    images = generator.generate(np.array([0, 0, 0, 1, 1, 1]), np.arange(6))
    assert images.shape == (6, 2, 1, 1)
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
