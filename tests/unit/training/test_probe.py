"""The linear probe: its network calls, its classifiers and its options."""

import numpy as np
import pytest
import torch

from ltdm.diffusion import edm
from ltdm.networks import edm2, unet
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.options import parse
from ltdm.training.probe import LabelledImages, Probe, ProbeOptions
from tests.helpers.training import CPU


class Pixels:
    """A network whose first block returns the noisy pixels, and its second block zeros."""

    device = CPU

    def __init__(self):
        self.calls = []

    def decoder_features(self, number, x, level, labels):
        self.calls.append((number, labels))
        return [x.flatten(1), torch.zeros(len(x), 3)][:number]


def dots(number):
    """Images of four classes; in class c the c-th pixel is bright."""
    labels = np.arange(number) % 4
    images = np.full((number, 1, 2, 2), 60, np.uint8)
    images.reshape(number, 4)[np.arange(number), labels] = 200
    return LabelledImages.to_device(CPU, images, labels)


def toy(**changes):
    options = ProbeOptions(**{"layers": (1, 2), "lr": 0.05, "flip": False, **changes})
    return Probe(Pixels(), edm.build(edm.Options()), options, 4, (1, 2, 2))


def test_linearly_separable_classes_are_separated():
    classifiers = toy(noise_levels=(4, 18))
    classifiers.fit(dots(512))
    correct = classifiers.correct(dots(200), "test").mean(2)
    assert classifiers.sigmas == pytest.approx([0.059947, 80], abs=1e-5), (
        "the levels of the specification"
    )
    assert correct[0, 0] > 0.99
    assert correct[1, 0] < 0.5, "at sigma 80 all is noise"
    assert (correct[:, 1] == 0.25).all(), "the second block is zero"


def test_network_gets_the_null_label_and_stops_at_the_last_layer():
    classifiers = toy(layers=(1,))
    classifiers.fit(dots(40))
    classifiers.correct(dots(40), "test")
    assert {number for number, _ in classifiers.predict.calls} == {1}
    assert all((labels == -1).all() for _, labels in classifiers.predict.calls)


@pytest.mark.parametrize(
    "net",
    [
        unet.build(unet.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1), 1, 8, 4),
        edm2.build(
            edm2.Options(ch=8, norm_groups=4, ch_mult=(1, 2), num_res_blocks=1, config="E"), 1, 8, 4
        ),
    ],
)
def test_blocks_after_the_last_layer_are_skipped(net):
    blocks = []
    for k, block in enumerate(net.upblocks):
        block.register_forward_hook(lambda *_, k=k: blocks.append(k + 1))
    options = ProbeOptions(layers=(2,), epochs=1)
    classifiers = Probe(
        Predictor(net.eval(), CPU, "auto"), edm.build(edm.Options()), options, 4, (1, 8, 8)
    )
    assert set(blocks) == {1, 2} < set(range(1, len(net.upblocks) + 1))
    assert not any(
        tensor.requires_grad for tensor in classifiers.features(*2 * [torch.zeros(2, 1, 8, 8)])
    )


def test_classifiers_do_not_influence_each_other():
    several, single = toy(noise_levels=(2, 5, 9)), toy(noise_levels=(5,), layers=(1,))
    for probe_ in (several, single):
        probe_.fit(dots(300))
    torch.testing.assert_close(several.weights[0][1], single.weights[0][0])
    torch.testing.assert_close(several.biases[0][1], single.biases[0][0])


def test_noise_is_fresh_per_epoch_and_fixed_in_testing():
    classifiers = toy()
    batches = [list(classifiers._batches(dots(130), epoch)) for epoch in (0, 1, 0)]
    assert [len(labels) for _, _, labels in batches[0]] == [128, 2]
    assert not torch.equal(batches[0][0][1], batches[1][0][1])
    assert torch.equal(batches[0][0][1], batches[2][0][1])
    assert (classifiers.correct(dots(50), "test") == classifiers.correct(dots(50), "test")).all()


def test_network_with_nan_output_is_refused():
    classifiers = toy(epochs=1)
    classifiers.predict.decoder_features = lambda number, x, *_: [
        x.flatten(1) * torch.nan,
        torch.zeros(len(x), 3),
    ]
    with pytest.raises(LtdmError, match="not finite"):
        classifiers.fit(dots(8))


@pytest.mark.parametrize(
    "wrong", [{"noise_levels": [4, 4]}, {"layers": []}, {"noise_levels": [19]}]
)
def test_wrong_levels_and_layers(wrong):
    with pytest.raises(OptionError):
        parse(ProbeOptions, wrong)
