"""Adam with clipped gradients, for one network or for a stack of separate ones."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ltdm.networks._embedding import label_parameters
from ltdm.networks._per_class import PerClassNetworks
from ltdm.training.options import TrainOptions

MOMENT_NAMES = "exp_avg", "exp_avg_sq"  # Adam's state of a weight, by PyTorch's names


class Optimiser:
    """Adam; each network's gradient is scaled down where its norm is above `grad_clip`.

    Adam's fused kernels walk a weight and its moments as flat memory, so both need the same memory
    layout. The moments are therefore made here, and those of a saved state, of any device and
    layout, are copied into them. On the CPU each of several separate networks has tensors of its
    own in Adam, since there the bits of a number depend on its position in memory.

    The gradient's norm is taken per network (of `num_networks`), and once more for `extra_params`,
    the parameters of the objective and the process.

    Under `train.label_dropout_per: batch`, a batch without labels makes no step on the
    `label_parameters`, as in the released codes. There they have no gradient, since the network
    does not use them and PyTorch 2 resets gradients to None; Adam skips them: it changes neither
    the weights nor their moments, and does not count the step. A gradient of zeros would instead
    let the moments decay and move the weights on.
    """

    def __init__(
        self,
        net: nn.Module,
        extra_params: Iterable[nn.Parameter],
        options: TrainOptions,
        device: torch.device,
    ):
        self.weights, self.extra_params = list(net.parameters()), list(extra_params)
        self.num_networks = net.num_networks if isinstance(net, PerClassNetworks) else 1
        self.grad_clip, cuda = options.grad_clip, device.type == "cuda"
        # A tensor, since a captured step reads it again; Adam's kernel on the CPU takes a double.
        self.lr = torch.zeros((), device=device, dtype=torch.float32 if cuda else torch.float64)
        self.params = [*self.weights, *self.extra_params]
        self.moments = [{name: torch.zeros_like(p) for name in MOMENT_NAMES} for p in self.params]
        split = self.num_networks > 1 and not cuda
        rows = [list(p.detach()) if split else [p] for p in self.weights]
        self.adam_params: list[Sequence[Tensor]] = [*rows, *([p] for p in self.extra_params)]
        flat = [part for parts in self.adam_params for part in parts]
        beta1, beta2 = options.adam_betas
        self.adam = torch.optim.Adam(flat, self.lr, (beta1, beta2), fused=True, capturable=cuda)
        for moments, parts in zip(self.moments, self.adam_params, strict=True):
            for k, part in enumerate(parts):
                views = {n: m[k] if len(parts) > 1 else m for n, m in moments.items()}
                self.adam.state[part] = {"step": torch.zeros((), device=device), **views}
        labels = label_parameters(net) if options.label_dropout_per == "batch" else []
        self.label_state = [t for p in labels for t in (p, *self.adam.state[p].values())]

    def zero_grad(self) -> None:
        """Free all gradients, which are large."""
        for tensor in (*self.params, *(part for parts in self.adam_params for part in parts)):
            tensor.grad = None

    @torch.no_grad()
    def step(self, has_label: Tensor) -> Tensor:
        """Make a step; return the norm of each network's gradient before the clipping, (C,).

        `has_label` (B,) is the mask of the batch's images whose label was not dropped.
        """
        gradients = [p.grad for p in self.weights if p.grad is not None]
        per_network = [gradients]
        if self.num_networks > 1:
            per_network = [
                list(rows) for rows in zip(*(g.unbind() for g in gradients), strict=True)
            ]
        norms = [self._clip(rows) for rows in per_network]
        self._clip([p.grad for p in self.extra_params if p.grad is not None])
        for weight, parts in zip(self.params, self.adam_params, strict=True):
            for k, part in enumerate(parts if len(parts) > 1 else ()):
                part.grad = None if weight.grad is None else weight.grad[k]
        before = [tensor.clone() for tensor in self.label_state]
        self.adam.step()
        # Adam's step is undone, since the host, which launches it, does not know the labels.
        used = has_label.any()
        for tensor, old in zip(self.label_state, before, strict=True):
            tensor.copy_(torch.where(used, tensor, old))
        return torch.stack(norms)

    def _clip(self, gradients: list[Tensor]) -> Tensor:
        """Scale gradients down in place to the norm `grad_clip`; return the norm before that."""
        norm = nn.utils.get_total_norm(gradients)
        if gradients and self.grad_clip is not None:
            torch._foreach_mul_(gradients, (self.grad_clip / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def state_dict(self) -> list[dict[str, Tensor]]:
        """Return each parameter's moments and number of steps."""
        steps = [self.adam.state[parts[0]]["step"] for parts in self.adam_params]
        return [{"step": n, **m} for n, m in zip(steps, self.moments, strict=True)]

    def load_state_dict(self, state: list[dict[str, Tensor]]) -> None:
        """Copy moments and numbers of steps from a saved state."""
        for entry, moments, parts in zip(state, self.moments, self.adam_params, strict=True):
            for name, moment in moments.items():
                moment.copy_(entry[name])
            for part in parts:
                self.adam.state[part]["step"].copy_(entry["step"])
