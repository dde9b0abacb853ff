"""A substitute for a CUDA graph on the CPU: it records operations once and replays them.

Like a graph, the tape keeps tensors by address and numbers by value. A replay takes from the host
only the contents of tensors and the seeds of generators; all else is as in the recording. Reading a
value on the host is an error.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Records the operations of a block; `replay` runs them again on the same tensors."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        assert "_local_scalar_dense" not in name, "a capture cannot read a value on the host"
        out = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, out))
        return out

    def replay(self):
        """Run the recorded operations, and write their results to the recorded tensors."""
        with torch.no_grad():
            for function, args, kwargs, out in self.calls:
                again = function(*args, **kwargs)
                if any(r.alias_info is not None for r in function._schema.returns):
                    continue  # a view, or a tensor written in place
                for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(old, torch.Tensor):
                        old.copy_(new)
