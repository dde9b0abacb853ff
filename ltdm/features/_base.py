"""What every feature extractor is, and what it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor


class ExtractorOutput(NamedTuple):
    """What an extractor makes of N images; no probabilities where there are no classes."""

    features: np.ndarray  # float32, shape (N, d)
    probabilities: np.ndarray | None = None  # float32, shape (N, K), each row sums to 1


ExtractFunction = Callable[[np.ndarray], ExtractorOutput]


class ExtractorModule(Protocol):
    """What the file of a feature extractor defines."""

    @property
    def CITATION(self) -> str:
        """BibTeX of its source; empty where there is nothing to cite."""

    @property
    def PROBABILITIES(self) -> str:
        """Whose class probabilities it gives.

        "imagenet" (the 1008 of the Inception network), "classes" (the data's own), or "" (none).
        """

    @property
    def SUPPORTS_POINTS(self) -> bool:
        """Whether it takes points, float32 (N, d, 1, 1), too; all take uint8 images."""

    @property
    def USES_GPU(self) -> bool:
        """Whether a GPU is of use to it."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s, none of which is called `label`."""

    def feature_dim(self, options: Any, channels: int, side: int) -> int:
        """Return d, the length of the features of an image of so many channels and pixels."""

    def prepare(
        self, options: Any, images: np.ndarray, labels: np.ndarray, device: torch.device
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return its weights, and what is worth knowing about them, as JSON can hold it.

        The images (N, C, H, W) and labels (N,) are those of the whole reference.

        Raises:
            LtdmError: The weights cannot be had.
        """

    def load(
        self,
        options: Any,
        weights: dict[str, Tensor],
        metadata: dict[str, Any],
        device: torch.device,
    ) -> ExtractFunction:
        """Return the function from images (N, C, H, W) to features, from what `prepare` returned.

        The function raises LtdmError for images of a kind that it does not take.
        """


class ExtractorModuleExtras(Protocol):
    """What it may define beside."""

    def check(self, options: Any) -> None:
        """Look whether the files that `prepare` needs are there. Without it: it needs none.

        Raises:
            OptionError: They are not; the path begins with the option that names them.
        """
