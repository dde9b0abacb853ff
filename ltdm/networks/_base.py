"""What the file of a network defines. The network itself is a `Backbone`, or one like it."""

from typing import Any, Protocol

from torch import nn


class NetworkModule(Protocol):
    """What the file of a network defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s."""

    def check(self, options: Any, size: int) -> None:
        """Look whether the network takes images of this side in pixels; points have side 1.

        Raises:
            OptionError: It does not; the path begins with "network".
        """

    def build(
        self, options: Any, channels: int, size: int, classes: int, augment_dim: int = 0
    ) -> nn.Module:
        """Make the network, with weights from torch's global generator.

        F = net(x, level, labels, augment), with `want` and `taps` as `Backbone.forward` has them and
        the blocks of its way up in `upblocks`. `classes` = 0 makes it unconditional; `augment_dim` is the
        length of the augmentation's condition.
        """


class NetworkModuleExtras(Protocol):
    """What it may define beside."""

    @property
    def NOISE_CONDITIONING(self) -> str:
        """How levels must be written for it: "timestep" or "log_sigma".

        A process says which in its option `noise_conditioning`. Without it: in any way.
        """
