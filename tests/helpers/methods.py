"""A tabular network, small batches and objectives for tests of methods."""

import torch
from torch import nn

from ltdm.diffusion import vp
from ltdm.methods._base import Batch, draw_levels
from ltdm.methods._generators import Generators
from ltdm.methods._objective import Objective, build_objective
from ltdm.networks._predictor import Predictor
from ltdm.networks._reserve import NO_PLAIN_ROWS
from ltdm.plumbing.registry import parse_part

CPU = torch.device("cpu")
COUNTS = [50, 30, 15, 5]


class Table(nn.Module):
    """A network whose output is one learnt number per label, whatever x; row -1 is for no label.

    Its bottleneck is the flattened image, followed by that number. Its reserve adds `reserve`.
    """

    def __init__(self, rows=(0.3, -0.7, 1.1, 0.2, 0.5), reserve=0.0):
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows, dtype=torch.float64))
        self.reserve = torch.tensor(reserve, dtype=torch.float64, requires_grad=True)
        self.calls = []

    def forward(self, x, level, labels, augment=None, outputs="F", plain=NO_PLAIN_ROWS):
        self.calls.append((x, level, labels))
        F_plain = self.rows[labels][:, None, None, None].expand_as(x)
        F = F_plain + self.reserve
        z = torch.cat([x.flatten(1), self.rows[labels][:, None]], dim=1)
        both = (F, z, F_plain[: plain.count]) if plain.count else (F, z)
        return {"F": F, "z": z, "both": both}[outputs]


class Net(Predictor):
    """The table as a predictor in double precision, which records its calls."""

    def __init__(self, table=None):
        self.table = table or Table()
        super().__init__(self.table, CPU, "fp32")

    def __call__(self, *inputs):
        self._count(len(inputs[0]))
        return self.table(*inputs)

    def all_outputs(self, *inputs, plain=NO_PLAIN_ROWS):
        self._count(len(inputs[0]) + plain.count)
        return self.table(*inputs, outputs="both", plain=plain)

    def bottleneck(self, *inputs):
        self.encoder += len(inputs[0])
        return self.table(*inputs, outputs="z")

    @property
    def calls(self):
        return self.table.calls

    @property
    def rows(self):
        return self.table.rows


def double_process(**options):
    """Return the process `vp` in float64."""
    process = vp.build(vp.Options(**options))
    process.signal, process.std = process.signal.double(), process.std.double()
    return process


def batch(labels, classes=None, x0=None):
    """Return a batch of these labels, -1 for dropped ones, whose classes are 0 by default."""
    y = torch.as_tensor(labels)
    if x0 is None:
        x0 = torch.linspace(-1, 1, len(y) * 4, dtype=torch.float64).reshape(-1, 1, 2, 2)
    classes = y.clamp(min=0) if classes is None else torch.as_tensor(classes)
    return Batch(x0, classes, y, torch.zeros(len(y), dtype=torch.int64))


def loss(method, net, data, process, rng):
    """Return the losses of a batch at levels drawn first, as the trainer draws them."""
    draws = method.draw(with_levels(data, process, rng), process, rng)
    return method.loss(net, process, draws)


def with_levels(data, process, rng):
    """Return the batch at noise levels drawn by the generators."""
    return data._replace(level=draw_levels(process, len(data.x0), rng))


def batch_of_step(batches, step):
    """Return the batch of a training step, at noise levels of zero."""
    return batches.make(torch.zeros(batches.size), *batches.draw(step))


def generators(seed=0, owners=1):
    """Return the generators of owners, seeded by consecutive numbers."""
    return Generators.create(CPU, owners).seed([seed + k for k in range(owners)])


def objective(*methods, counts=COUNTS) -> Objective:
    """Return the objective of methods in the form of a config."""
    return build_objective([parse_part("method", m, ("method",)) for m in methods], counts)
