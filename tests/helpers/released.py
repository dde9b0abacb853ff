"""Checkpoints in the form of other released codes."""

import math
import re

import pytest
import torch

from ltdm.networks import unet

OPTIONS = unet.Options(ch=32, ch_mult=(1, 2), num_res_blocks=1)


NETWORK = {
    "name": "unet",
    "ch": 32,
    "ch_mult": [1, 2],
    "attn": [1],
    "num_res_blocks": 1,
    "norm_groups": 32,
}


def network(seed, classes=10, augment_dim=0, options=OPTIONS, channels=1):
    """Return a network of ltdm whose output depends on every weight."""
    torch.manual_seed(seed)
    net = unet.UNet(options, channels, classes, augment_dim).eval()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


def released_state_dict(net, levels=1000):
    """Return the network's state dict as the released codes save it, with the time table."""
    ch = net.head.weight.shape[0]
    exponent = torch.arange(0, ch, step=2) / ch * math.log(10000)
    angle = torch.arange(levels).float()[:, None] * torch.exp(-exponent)[None, :]
    table = torch.stack([torch.sin(angle), torch.cos(angle)], dim=-1).view(levels, ch)
    theirs = {"time_embedding.timembedding.0.weight": table}
    for name, tensor in net.state_dict().items():
        layer = re.fullmatch(r"time_embedding\.mlp\.(\d)\.(weight|bias)", name)
        if layer:
            name = f"time_embedding.timembedding.{int(layer[1]) + 1}.{layer[2]}"
        theirs[name] = tensor
    return theirs


def training_state(net):
    """Return the training state that the released codes save with the weights."""
    optim = torch.optim.Adam(net.parameters(), lr=2e-4)
    sched = torch.optim.lr_scheduler.LambdaLR(optim, lr_lambda=lambda step: min(step, 5) / 5)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optim.step()
    sched.step()
    state = {"sched": sched.state_dict(), "optim": optim.state_dict(), "step": 200000}
    return {**state, "fixed_x_T": torch.randn(4, 1, 8, 8)}


@pytest.fixture
def checkpoint(tmp_path):
    """Return a function that writes a checkpoint; it returns its path, raw and EMA networks."""

    def write(name="ckpt.pt", prefix="", legacy=False, levels=1000, **options):
        raw, ema = network(1, **options), network(2, **options)
        both = {"net_model": raw, "ema_model": ema}
        content = {
            key: {prefix + n: t for n, t in released_state_dict(net, levels).items()}
            for key, net in both.items()
        }
        content |= training_state(raw)
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not legacy)
        return tmp_path / name, raw, ema

    return write


def predict_every_label(net, classes, augment_dim=0):
    """Return a network's outputs for one image under no label and each label, in a batch."""
    labels = torch.arange(-1, classes)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(
        len(labels), -1, -1, -1
    )
    augment = torch.linspace(-1, 1, augment_dim).expand(len(labels), -1) if augment_dim else None
    with torch.no_grad():
        return net(x, torch.linspace(0, 999, len(labels)).long(), labels, augment)
