"""What the file of a sampler defines."""

from typing import Any, Protocol

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.samplers._denoise import Denoise, Noise


class SamplerOptions(Protocol):
    """An option that every sampler has."""

    @property
    def steps(self) -> int:
        """Steps from noise to the clean image. Errors of `noise_levels` are shown as this option's."""


class SamplerOptionsExtras(Protocol):
    """An option that it may have."""

    @property
    def clip_denoised(self) -> bool:
        """Whether denoised images are kept inside [-1, 1]; refused where the data are points."""


class SamplerModule(Protocol):
    """What the file of a sampler defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def Options(self) -> type[SamplerOptions]:
        """A frozen dataclass of `option`s."""

    def evaluations(self, options: Any) -> int:
        """Return the network evaluations per image, without guidance."""

    def noise_levels(self, process: Process, options: Any) -> list[float]:
        """Return the levels that are visited, noisiest first, the clean image's last.

        Raises:
            LtdmError: The process has too few. The message goes on from "steps": "is 9, but ...".
        """

    def sample(self, denoise: Denoise, process: Process, noise: Noise, options: Any) -> Tensor:
        """Return images (B, C, H, W), about in [-1, 1]; points have any size.

        Each call of `noise` gives new standard normal noise (B, C, H, W), and the first one starts
        the images. Every draw is taken from it, so that an image depends on its number alone.
        """
