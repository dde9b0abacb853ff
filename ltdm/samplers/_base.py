"""Names that the file of a sampler defines."""

from typing import Any, Protocol

from torch import Tensor

from ltdm.diffusion._base import Process
from ltdm.samplers._denoise import Denoise, Noise


class SamplerOptions(Protocol):
    """Options that every sampler has."""

    @property
    def steps(self) -> int:
        """Steps from noise to the last image; a process with fewer levels names this option."""


class SamplerOptionsExtras(Protocol):
    """Options that a sampler may have."""

    @property
    def clip_denoised(self) -> bool:
        """Whether denoised images are clamped to [-1, 1]; an error where the data are points."""

    @property
    def window(self) -> int:
        """Size of the window in which an image's pixels decide its level; no points above 0."""


class SamplerModule(Protocol):
    """Names that the file of a sampler defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def Options(self) -> type[SamplerOptions]:
        """A frozen dataclass of `option`s."""

    def evaluations(self, options: Any) -> int:
        """Return the network evaluations per image, without guidance."""

    def noise_levels(self, process: Process, options: Any) -> list[float]:
        """Return the levels that the sampler visits, the noisiest first, the last image's last.

        Raises:
            OptionError: The process has too few levels, or not those that the options name.
        """

    def sample(
        self, denoise: Denoise, process: Process, noise: Noise, levels: list[float], options: Any
    ) -> Tensor:
        """Return images (B, C, H, W), about in [-1, 1]; points have any range.

        `levels` are those of `noise_levels`, or any others of the process that fall.

        Each call of `noise` returns new standard normal noise (B, C, H, W); the first is for the
        noisiest level. All draws come from it, so that an image depends on its number alone.
        """
