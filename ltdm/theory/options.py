"""What a sweep of the theory lab varies, and how."""

from dataclasses import dataclass
from typing import Any

from ltdm.data._mixtures import Case, CaseOption
from ltdm.diffusion import vp
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.option_values import non_defaults
from ltdm.plumbing.options import option
from ltdm.plumbing.registry import Part, PartOption, parse_part_list

MOST_BYTES = 2e9  # of the matrices of a seed's games; a run holds several times as many
WORST = "worst"  # the group of the class that is worst, beside the classes by name
FIGURES = ("v-curve", "nash-gap", "generalisation", "scores", "clouds")


@dataclass(frozen=True)
class Sweep:
    """Games over all these tails, weights of the mutual term, and seeds."""

    classes: Case = option(
        Case.called("overlapping"), "The classes' densities, head first.", parser=CaseOption()
    )
    head: int = option(1000, "Points of the first class.", low=1)
    tails: tuple[int, ...] = option(
        (50,), "Points of the last class; classes between lie on an exponential.", low=1
    )
    betas: tuple[float, ...] = option(
        (0.0, 0.001, 0.01, 0.1, 1.0), "Weights of the mutual term at pure noise.", low=0
    )
    seeds: int = option(10, "How often all is drawn: data, noise, first layers.", low=1)
    steps: tuple[int, ...] = option(
        (100_000,), "Steps of training (T_train) after which is sampled; the last is its end.",
        low=1, high=2**40,
    )  # fmt: skip
    update_order: str = option(
        "simultaneous", "Whether all players move at once, as the paper's do, or in turn.",
        choices=("simultaneous", "sequential"),
    )  # fmt: skip
    step: float = option(0.9, "Step size over what is safe for the game.", above=0)
    shared_step: bool = option(
        False, "One step size for all games of a seed: the smallest of theirs."
    )
    width: int = option(128, "Random features of each player.", low=1, high=4096)
    noise_draws: int = option(
        64, "Noise levels and noises that a training point is seen with.", low=1
    )
    ridge: float = option(
        1e-6,
        "Weight of A's squared norm in each player's cost; keeps the equilibrium determined.",
        above=0,
    )
    samples: int = option(1000, "Points drawn of each class, for the Frechet distance.", low=10)
    samplers: tuple[Part, ...] = option(
        parse_part_list(
            "sampler", [{"name": "ancestral", "steps": 50}, {"name": "heun", "steps": 25}], ()
        ),
        "How they are drawn: `ancestral` follows the reverse SDE, `heun` and `ddim` the probability"
        " flow. Figures show the first one's.",
        parser=PartOption("sampler", many=True),
    )  # fmt: skip
    sigma_min: float = option(
        0.1, "Noise over signal at which densities are compared (KL).", low=0.01, high=100
    )
    kl_samples: int = option(250, "Exact draws of each class that a KL is a mean over.", low=10)
    figures: tuple[str, ...] = option((), "What is drawn of it.", choices=FIGURES)

    @property
    def games(self) -> int:
        """How many there are."""
        return self.seeds * len(self.tails) * len(self.betas)

    @property
    def matrix_bytes(self) -> int:
        """The size of the matrices of a seed's games."""
        side = len(self.classes.classes) * self.width
        return 8 * side**2 * len(self.tails) * len(self.betas)

    def spec(self) -> dict[str, Any]:
        """Return what decides the rows: all that is not at its default, the figures apart."""
        return {k: v for k, v in non_defaults(self).items() if k != "figures"}

    def __post_init__(self) -> None:
        """Refuse lists that are empty or name an entry twice, and figures without their axis."""
        for name in ("tails", "betas", "steps"):
            entries = getattr(self, name)
            if not entries or sorted(set(entries)) != list(entries):
                raise OptionError((name,), "must name at least one, in rising order")
        if len(set(self.figures)) < len(self.figures):
            raise OptionError(("figures",), "names a figure twice")
        self._check_size()
        self._check_samplers()
        if max(self.tails) > self.head:
            raise OptionError(("tails",), f"must not be above head ({self.head})")
        if WORST in self.classes.classes:
            raise OptionError(("classes",), f"a class called {WORST} is taken for the worst one")
        if self.classes.dimension != 2 and {"scores", "clouds"} & {*self.figures}:
            raise OptionError(("figures",), "scores and clouds are drawn of two dimensions alone")
        for figure, axis in (("v-curve", "betas"), ("generalisation", "tails")):
            if figure in self.figures and len(getattr(self, axis)) < 2:
                raise OptionError(("figures",), f"{figure} is drawn over {axis}; name several")

    def _check_size(self) -> None:
        """Refuse games of one seed whose matrices would not fit into memory."""
        if self.matrix_bytes > MOST_BYTES:
            message = (
                f"makes matrices of {self.matrix_bytes / 1e9:.1f} GB for a seed's games, and"
                f" {MOST_BYTES / 1e9:.0f} are allowed; lower it, or cut tails and betas"
            )
            raise OptionError(("width",), message)

    def _check_samplers(self) -> None:
        """Refuse samplers that ask for more levels than the process has."""
        process = vp.build(vp.Options())
        for i, one in enumerate(self.samplers):
            try:
                one.module.levels(process, one.options)
            except LtdmError as error:
                raise OptionError(("samplers", str(i), "steps"), str(error)) from None
