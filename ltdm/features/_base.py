"""The interface of a feature extractor and what it returns."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ExtractorOutput(NamedTuple):
    """Features of N images, and class probabilities where the extractor has classes."""

    features: np.ndarray  # float32, shape (N, d)
    probabilities: np.ndarray | None = None  # float32, shape (N, K), each row sums to 1


ExtractFunction = Callable[[np.ndarray], ExtractorOutput]


class ExtractorModule(Protocol):
    """The names that the file of a feature extractor must define."""

    @property
    def CITATION(self) -> str:
        """BibTeX of the extractor's source; empty where there is nothing to cite."""

    @property
    def PROBABILITIES(self) -> str:
        """The classes of its probabilities.

        "imagenet" (the 1008 of the Inception network), "classes" (the data's own), or "" (none).
        """

    @property
    def SUPPORTS_POINTS(self) -> bool:
        """Whether it takes points, float32 (N, d, 1, 1), as well as uint8 images."""

    @property
    def USES_GPU(self) -> bool:
        """Whether it runs faster on a GPU; if not, its functions get None for their device."""

    @property
    def Options(self) -> type[Any]:
        """A frozen dataclass of `option`s, none of them called `label`."""

    def feature_dim(self, options: Any, channels: int, resolution: int) -> int:
        """Return d, the length of the feature vector per image."""

    def prepare(
        self, options: Any, images: np.ndarray, labels: np.ndarray, device: "torch.device | None"
    ) -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Return the extractor's weights and their metadata, a mapping for JSON.

        The weights are read, downloaded, drawn, or trained on `images` (N, C, H, W) and `labels`
        (N,), which are the full reference.

        Raises:
            LtdmError: The weights are not available.
        """

    def load(
        self,
        options: Any,
        weights: "dict[str, Tensor]",
        metadata: dict[str, Any],
        device: "torch.device | None",
    ) -> ExtractFunction:
        """Return the function from images (N, C, H, W) to features, from what `prepare` returned.

        The function raises LtdmError for images of a type or shape that it does not support.
        """


class ExtractorModuleExtras(Protocol):
    """The names that it may define in addition."""

    def check(self, options: Any) -> None:
        """Check that the files which `prepare` needs exist; an extractor without it needs none.

        Raises:
            OptionError: A file is missing; the path begins with the option that names it.
        """


def device_of(extractor: ExtractorModule) -> "torch.device | None":
    """Return the device that an extractor's functions get; errors as in `pick_device`."""
    if not extractor.USES_GPU:
        return None
    from ltdm.core.device import pick_device

    return pick_device()
