"""The options of a sweep of the theory lab."""

from dataclasses import dataclass
from typing import Any

from ltdm.data._mixtures import MixtureOption, MixtureSet
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import Part, PartOption, parse_part_list
from ltdm.theory.names import FIGURES, WORST

MAX_MATRIX_BYTES = 2e9
"""Limit for the matrices G of one seed's games; a run holds several times as much."""


@dataclass(frozen=True)
class Sweep:
    """Games of mutual learning for every combination of tail, beta and seed."""

    classes: MixtureSet = option(
        MixtureSet.named("overlapping"),
        "Densities of the classes, head first: a name or a list of mixtures.",
        parser=MixtureOption(),
    )
    head: int = option(1000, "Training points of the first class.", low=1)
    tails: tuple[int, ...] = option(
        (50,), "Training points of the last class; classes in between follow an exponential.", low=1
    )
    betas: tuple[float, ...] = option(
        (0.0, 0.001, 0.01, 0.1, 1.0), "Weights beta of the mutual term at pure noise.", low=0
    )
    seeds: int = option(10, "Repetitions, each with its own data, noise and first layers.", low=1)
    steps: tuple[int, ...] = option(
        (100_000,),
        "Training steps (T_train) after which networks are measured; training ends at the last.",
        low=1,
        high=2**40,
    )
    update_order: str = option(
        "simultaneous",
        "In a step, players move all at once, as in the paper, or one after the other.",
        choices=("simultaneous", "sequential"),
    )
    step: float = option(0.9, "Step size, as a multiple of the game's safe step size.", above=0)
    shared_step: bool = option(
        False, "Use one step size for all games of a seed: the smallest of theirs."
    )
    width: int = option(128, "Random features per player.", low=1, high=4096)
    noise_draws: int = option(
        64, "Draws of noise level and noise per training point, fixed during training.", low=1
    )
    ridge: float = option(
        1e-6,
        "Weight of A's squared norm in each player's cost; it makes the equilibrium unique.",
        above=0,
    )
    samples: int = option(1000, "Samples per class for the Frechet distance.", low=10)
    samplers: tuple[Part, ...] = option(
        parse_part_list(
            "sampler", [{"name": "ancestral", "steps": 50}, {"name": "heun", "steps": 25}], ()
        ),
        "Samplers to compare: `ancestral` follows the reverse SDE, `heun` and `ddim` the"
        " probability flow. Figures show samples of the first.",
        parser=PartOption("sampler", many=True),
    )
    sigma_min: float = option(
        0.1,
        "Noise level, noise over signal, at which the KL compares densities.",
        low=0.01,
        high=100,
    )
    kl_samples: int = option(250, "Exact samples per class that the KL is averaged over.", low=10)
    figures: tuple[str, ...] = option((), "Figures to draw of the sweep.", choices=FIGURES)

    @property
    def num_games(self) -> int:
        """The number of games: seeds x tails x betas."""
        return self.seeds * len(self.tails) * len(self.betas)

    @property
    def matrix_bytes(self) -> int:
        """Bytes of the matrices G of one seed's games."""
        size = len(self.classes.classes) * self.width
        return 8 * size**2 * len(self.tails) * len(self.betas)

    def spec(self) -> dict[str, Any]:
        """Return what determines the rows: the options not at their default, without figures."""
        return {k: v for k, v in non_defaults(self).items() if k != "figures"}

    def __post_init__(self) -> None:
        """Raise OptionError for lists out of order and options that contradict each other."""
        for name in ("tails", "betas", "steps"):
            entries = getattr(self, name)
            if not entries or sorted(set(entries)) != list(entries):
                raise OptionError((name,), "must list at least one value, in rising order")
        if len(set(self.figures)) < len(self.figures):
            raise OptionError(("figures",), "lists a figure twice; leave one out")
        self._check_size()
        self._check_samplers()
        if max(self.tails) > self.head:
            raise OptionError(("tails",), f"must not be above head ({self.head})")
        if WORST in self.classes.classes:
            raise OptionError(
                ("classes",),
                f"must not name a class {WORST}, which is the name of the worst class's group",
            )
        if self.classes.dimension != 2 and {"scores", "clouds"} & {*self.figures}:
            raise OptionError(("figures",), "scores and clouds need classes in two dimensions")
        for figure, axis in (("v-curve", "betas"), ("generalisation", "tails")):
            if figure in self.figures and len(getattr(self, axis)) < 2:
                raise OptionError(
                    ("figures",), f"{figure} is drawn over {axis}; list several of them"
                )

    def _check_size(self) -> None:
        """Raise OptionError if the matrices of one seed's games exceed MAX_MATRIX_BYTES."""
        if self.matrix_bytes > MAX_MATRIX_BYTES:
            message = (
                f"needs matrices of {self.matrix_bytes / 1e9:.1f} GB for one seed's games, but at"
                f" most {MAX_MATRIX_BYTES / 1e9:.0f} GB are allowed; lower it, or list fewer tails"
                " or betas"
            )
            raise OptionError(("width",), message)

    def _check_samplers(self) -> None:
        """Raise OptionError for more steps than the process has noise levels, and for a window."""
        from ltdm.diffusion import vp  # a reader of the options needs no PyTorch

        process = vp.build(vp.Options())
        for i, sampler in enumerate(self.samplers):
            try:
                if getattr(sampler.options, "window", 0):
                    message = "needs the variance of an image's pixels; leave it out"
                    raise OptionError(("window",), message)
                sampler.module.noise_levels(process, sampler.options)
            except OptionError as error:
                path = ("samplers", str(i), *error.path)
                raise OptionError(path, error.message) from None
