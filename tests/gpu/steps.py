"""The steps of the check: what each runs, and how many seconds it may take."""

from importlib import import_module
from typing import Any, NamedTuple

FASTEST = "bf16-master, compiled, one graph"
"""What an update is at its fastest; see `tests.gpu.setting.VARIANTS`."""
CUT_OFF = "cut off"
"""How a step ends that was to fill what time is left."""


NO_GPU = 2
"""Status of a step that finds no GPU, and none of which another would find."""


class Step(NamedTuple):
    """A process of the check.

    Attributes:
        name: What results call it.
        seconds: Its limit.
        call: Module of tests.gpu and function.
        arguments: What the function is given beside the setting.
        spare: Whether it fills what time is left, and may be cut off.
    """

    name: str
    seconds: int
    call: str
    arguments: tuple[str, ...] = ()
    spare: bool = False

    @property
    def module(self) -> str:
        """The module's whole name."""
        return f"tests.gpu.{self.call.partition('.')[0]}"

    def run(self, setting: Any) -> None:
        """Run it in this process."""
        getattr(import_module(self.module), self.call.partition(".")[2])(setting, *self.arguments)


COMPILE_STEPS = [
    Step("compile-ddpm", 200, "speed.fill_compiler_cache", ("ddpm", "compiled, one graph")),
    Step("compile-cbdm", 200, "speed.fill_compiler_cache", ("cbdm", "compiled, one graph")),
    Step("compile-half", 200, "speed.fill_compiler_cache", ("ddpm", FASTEST)),
    Step("compile-edm2", 200, "speed.fill_compiler_cache", ("edm2-e", "compiled")),
]
"""They fill the compiler's cache, which takes the host: all at once, beside what is not timed."""

MACHINE = Step("machine", 30, "machine.run")
"""The first."""

CORRECTNESS_STEPS = [
    Step("own-tests", 100, "cuda_tests.run"),
    Step("parity", 70, "parity.run"),
    Step("graphs", 60, "graphs.run"),
    Step("resuming", 50, "resume.run"),
    Step("training", 100, "training.run"),
]
"""Whether it is right, which a busy machine does not change."""

TIMED_STEPS = [
    Step("ceilings", 25, "machine.time_ceilings"),
    Step("methods", 90, "speed.time_methods"),
    Step("compiled", 60, "speed.time_compiled"),
    Step("sampling", 40, "sampling.run"),
    Step("edm2", 50, "speed.time_edm2"),
    Step("bench", 60, "bench.run", ("methods",)),
    Step("beside", 50, "concurrent_training.run"),
    Step("bench-others", 40, "bench.run", ("others",)),
    Step("layers", 30, "layers.run"),
    Step("sizes", 40, "speed.time_sizes"),
    Step("bench-edm2", 60, "bench.run", ("edm2",)),
    Step("rest", 300, "speed.time_rest", spare=True),
]
"""What it costs: one after the other, once nothing is compiled beside them; the least one last."""

CONCURRENT_TRAINING = Step("trained-beside", 0, "concurrent_training.serve_training")
"""One of the trainings that the step `beside` starts."""

ALL_STEPS = {
    step.name: step
    for step in (MACHINE, *COMPILE_STEPS, *CORRECTNESS_STEPS, *TIMED_STEPS, CONCURRENT_TRAINING)
}
TINY_COMPILE_STEPS = {"compile-ddpm"}
"""What of `COMPILE_STEPS` the tiny check runs: a CPU's compiler shows no more with the others."""
