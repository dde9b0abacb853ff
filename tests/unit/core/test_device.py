"""The settings of a GPU, tested without one, and the memory layout of a network."""

import pytest
import torch

from ltdm.core.device import memory_layout, pick_device, precision_context
from ltdm.networks import unet
from ltdm.networks._predictor import to_device

GPU, CPU = torch.device("cuda", 1), torch.device("cpu")
SMALL = unet.Options(ch=32, ch_mult=(1,), attn=(), num_res_blocks=1)


@pytest.fixture
def _gpu(monkeypatch):
    """Pretend that there are two GPUs; PyTorch's switches are restored afterwards."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    was = switches()
    attention = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cuda.enable_cudnn_sdp(True)
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = was
    torch.backends.cuda.enable_cudnn_sdp(attention)


def switches():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.usefixtures("_gpu")
def test_a_gpu_starts_in_fp32_without_cudnn_s_attention():
    assert pick_device("cuda:1") == GPU
    assert switches() == (False, False)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.usefixtures("_gpu")
def test_tensor_cores_are_only_used_within_the_context():
    pick_device("cuda:1")
    with precision_context("tf32", GPU):
        assert switches() == (True, True)
    assert switches() == (False, False)
    with pytest.raises(ZeroDivisionError), precision_context("tf32", GPU):
        raise ZeroDivisionError
    assert switches() == (False, False)
    with precision_context("fp32", GPU):
        assert switches() == (False, False)


def test_images_are_channels_last_on_a_gpu_except_in_fp32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    last = {
        p for p in ("fp32", "tf32", "bf16", "auto") if memory_layout(p, GPU) is torch.channels_last
    }
    assert last == {"tf32", "bf16", "auto"}
    assert {memory_layout(p, CPU) for p in ("fp32", "tf32", "bf16")} == {torch.contiguous_format}


def test_a_network_s_weights_have_the_layout_of_its_precision(monkeypatch):
    net = unet.build(SMALL, channels=3, size=8, classes=3)
    monkeypatch.setattr(
        "ltdm.networks._predictor.memory_layout",
        lambda p, device: torch.contiguous_format if p == "fp32" else torch.channels_last,
    )
    for precision, last in (("bf16", True), ("fp32", False), ("tf32", True)):
        weight = to_device(net, CPU, precision).head.weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == last
