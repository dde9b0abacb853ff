"""What the tests of methods share: a tabular denoiser that knows nothing of images."""

import torch
from torch import nn

from ltdm.diffusion import vp
from ltdm.methods._base import Batch, draw_levels
from ltdm.methods._objective import Objective, compose
from ltdm.methods._streams import Streams
from ltdm.networks._predictor import Predictor
from ltdm.plumbing.registry import parse_part

CPU = torch.device("cpu")
COUNTS = [50, 30, 15, 5]


class Table(nn.Module):
    """A denoiser that says one learnt number a class, whatever it sees; row -1 has no label.

    Its bottleneck is the image itself, with the label beside it.
    """

    def __init__(self, rows=(0.3, -0.7, 1.1, 0.2, 0.5)):
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows, dtype=torch.float64))
        self.calls = []

    def forward(self, x, level, labels, augment=None, want="F"):
        self.calls.append((x, level, labels))
        F = self.rows[labels][:, None, None, None].expand_as(x)
        z = torch.cat([x.flatten(1), self.rows[labels][:, None]], dim=1)
        return {"F": F, "z": z, "both": (F, z)}[want]


class Net(Predictor):
    """The table in double precision, with the calls that were made of it."""

    def __init__(self, table=None):
        self.table = table or Table()
        super().__init__(self.table, CPU, "fp32")

    def __call__(self, *inputs):
        self._count(len(inputs[0]))
        return self.table(*inputs)

    def both(self, *inputs):
        self._count(len(inputs[0]))
        return self.table(*inputs, want="both")

    def bottleneck(self, *inputs):
        self.encoder += len(inputs[0])
        return self.table(*inputs, want="z")

    @property
    def calls(self):
        return self.table.calls

    @property
    def rows(self):
        return self.table.rows


def double_process(**options):
    process = vp.build(vp.Options(**options))
    process.signal, process.std = process.signal.double(), process.std.double()
    return process


def batch(labels, classes=None, x0=None):
    """Labels, -1 where one was dropped; the classes behind them are 0 there if not said."""
    y = torch.as_tensor(labels)
    if x0 is None:
        x0 = torch.linspace(-1, 1, len(y) * 4, dtype=torch.float64).reshape(-1, 1, 2, 2)
    known = y.clamp(min=0) if classes is None else torch.as_tensor(classes)
    return Batch(x0, known, y, torch.zeros(len(y), dtype=torch.int64))


def loss(method, net, data, process, rng):
    """The losses of a batch at levels that are drawn first, as a trainer has it."""
    return method.loss(net, with_levels(data, process, rng), process, rng)


def with_levels(data, process, rng):
    return data._replace(level=draw_levels(process, len(data.x0), rng))


def made_of(batches, update):
    """The batch of an update, at levels of zero."""
    return batches.make(torch.zeros(batches.size), *batches.draw(update))


def streams(seed=0, owners=1):
    return Streams.on(CPU, owners).seed([seed + k for k in range(owners)])


def objective(*methods, counts=COUNTS) -> Objective:
    """An objective as a config would name it."""
    return compose([parse_part("method", m, ("method",)) for m in methods], counts)
