"""One step of the check. `python -m tests.gpu.step NAME OUT` runs it alone.

What is imported late here takes seconds, which the check's own process has no use for.
"""

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from tests.gpu.rows import Rows
from tests.gpu.steps import ALL_STEPS, NO_GPU


def run(name: str, out: Path, work: Path, tiny: bool) -> None:
    """Run a step in this process, whose status is then 1 where something is not as it should be."""
    from functools import partial

    import torch

    from tests.gpu.setting import Setting

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    rows, status = Rows(out / "rows.jsonl", name), 0
    with rows.attempt(name):
        setting = Setting(out, work, tiny, rows)
        if not setting.gpu:
            # A CPU's code takes a minute to compile: there, the network is only traced.
            torch.compile = partial(torch.compile, backend="eager")
        if tiny:
            torch.set_num_threads(1)
        if setting.gpu or tiny:
            ALL_STEPS[name].run(setting)
        else:
            rows.add(name, error="there is no GPU here; --tiny tries the check on a CPU")
            status = NO_GPU
    sys.stdout.flush()
    sys.exit(status or rows.failed)


def run_logged(log: Path, name: str, out: Path, work: Path, tiny: bool) -> None:
    """Run a step in a process group of its own; all that is said there goes to a file."""
    os.setsid()
    with open(log, "w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    run(name, out, work, tiny)


def main() -> None:
    """Run the step that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=ALL_STEPS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, help="Folder for what is no result.")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.work:
        run(arguments.name, arguments.out, arguments.work, arguments.tiny)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        run(arguments.name, arguments.out, Path(work), arguments.tiny)


if __name__ == "__main__":
    main()
