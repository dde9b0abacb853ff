"""A stand-in for a CUDA graph on the CPU: operations are recorded once and run again.

Like a graph, the tape knows tensors by where they are and numbers by what they were: whatever an
update takes from the host anew, but for the contents of tensors and the seeds of generators, is
what it was in the recording. Reading a value on the host is refused.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Records what runs within it; `replay` runs that again, on the same tensors."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        name = function.name()
        assert "_local_scalar_dense" not in name, "a capture cannot read a value on the host"
        out = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, out))
        return out

    def replay(self):
        with torch.no_grad():
            for function, args, kwargs, out in self.calls:
                again = function(*args, **kwargs)
                if any(r.alias_info is not None for r in function._schema.returns):
                    continue  # a view, or something that was written in place
                for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(old, torch.Tensor):
                        old.copy_(new)
