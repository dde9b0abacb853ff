"""The interface of a network's file. The network itself is a `Backbone` or has its methods."""

from typing import Any, Protocol

from torch import nn


class NetworkModule(Protocol):
    """What every network's file defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty if there is none."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s."""

    def check(self, options: Any, size: int) -> None:
        """Check that the network takes square images of `size` x `size` pixels (points: size 1).

        Raises:
            OptionError: It does not; the error's path begins with "network".
        """

    def build(
        self, options: Any, channels: int, size: int, classes: int, augment_dim: int = 0
    ) -> nn.Module:
        """Make the network; its weights come from torch's global generator.

        It computes F = net(x, level, labels, augment), takes `outputs` and `decoder_blocks` as
        `Backbone.forward` does, and holds its decoder's blocks in `upblocks`. It is unconditional
        if `classes` is 0. `augment_dim` is the length of the augmentation's condition vector. The
        method `coral` needs the channels of its bottleneck in `bottleneck_width`.
        """


class NetworkModuleExtras(Protocol):
    """What a network's file may define in addition."""

    @property
    def NOISE_CONDITIONING(self) -> str:
        """The noise conditioning that the network needs: "timestep" or "log_sigma".

        It must equal the process's option `noise_conditioning`. Without it, both are accepted.
        """
