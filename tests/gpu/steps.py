"""The steps of the check: the function that each runs, and its time limit."""

from importlib import import_module
from typing import Any, NamedTuple

FASTEST = "bf16-master, compiled, one graph"
"""The fastest variant of the training step; see `tests.gpu.setting.VARIANTS`."""
CUT_OFF = "cut off"
"""Outcome of a step that fills the remaining time."""
NO_GPU = 2
"""Exit status of a step that finds no GPU."""


class Step(NamedTuple):
    """A process of the check.

    Attributes:
        name: Name in results.
        seconds: Time limit.
        call: Module of tests.gpu, and function.
        arguments: Arguments of the function after the setting.
        spare: Whether it fills the remaining time, and may be cut off.
    """

    name: str
    seconds: int
    call: str
    arguments: tuple[str, ...] = ()
    spare: bool = False

    @property
    def module(self) -> str:
        """Full name of the module."""
        return f"tests.gpu.{self.call.partition('.')[0]}"

    def run(self, setting: Any) -> None:
        """Run the step in this process."""
        getattr(import_module(self.module), self.call.partition(".")[2])(setting, *self.arguments)


COMPILE_STEPS = [
    Step("compile-ddpm", 200, "speed.fill_compiler_cache", ("ddpm", "compiled, one graph")),
    Step("compile-cbdm", 200, "speed.fill_compiler_cache", ("cbdm", "compiled, one graph")),
    Step("compile-half", 200, "speed.fill_compiler_cache", ("ddpm", FASTEST)),
    Step("compile-edm2", 200, "speed.fill_compiler_cache", ("edm2-e", "compiled")),
]
"""They fill the compiler's cache on the host: all at once, in parallel with untimed steps."""

MACHINE = Step("machine", 30, "machine.run")
"""The first step."""

CORRECTNESS_STEPS = [
    Step("own-tests", 100, "cuda_tests.run"),
    Step("parity", 70, "parity.run"),
    Step("graphs", 60, "graphs.run"),
    Step("resuming", 50, "resume.run"),
    Step("training", 100, "training.run"),
]
"""Checks of correctness, which a busy machine does not affect."""

TIMED_STEPS = [
    Step("ceilings", 25, "machine.time_ceilings"),
    Step("methods", 110, "speed.time_methods"),
    Step("compiled", 60, "speed.time_compiled"),
    Step("sampling", 40, "sampling.run"),
    Step("edm2", 50, "speed.time_edm2"),
    Step("bench", 60, "bench.run", ("methods",)),
    Step("concurrent", 50, "concurrent_training.run"),
    Step("bench-others", 40, "bench.run", ("others",)),
    Step("layers", 30, "layers.run"),
    Step("sizes", 40, "speed.time_sizes"),
    Step("bench-edm2", 60, "bench.run", ("edm2",)),
    Step("rest", 300, "speed.time_rest", spare=True),
]
"""Timings, one after the other, once compiling is done; the least important comes last."""

CONCURRENT_TRAINING = Step("concurrent-training", 0, "concurrent_training.serve_training")
"""A training that the step `concurrent` starts."""

ALL_STEPS = {
    step.name: step
    for step in (MACHINE, *COMPILE_STEPS, *CORRECTNESS_STEPS, *TIMED_STEPS, CONCURRENT_TRAINING)
}
TINY_COMPILE_STEPS = {"compile-ddpm"}
"""Steps of `COMPILE_STEPS` in the tiny check: on a CPU the others would show no more."""
