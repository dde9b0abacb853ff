"""One step of the check. `python -m tests.gpu.step NAME OUT` runs it alone.

Late imports take seconds, and the check's own process does not need them.
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
    """Run a step in this process; exit with status 1 if a row has an error or a failed check."""
    from functools import partial

    import torch

    from tests.gpu.setting import Setting

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    rows, status = Rows(out / "rows.jsonl", name), 0
    with rows.attempt(name):
        setting = Setting(out, work, tiny, rows)
        if not setting.gpu:
            # Compiling for a CPU takes a minute, so there the network is only traced.
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
    """Run a step in a process group of its own, with its output in a file."""
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
    parser.add_argument("--work", type=Path, help="Folder for temporary files.")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.work:
        run(arguments.name, arguments.out, arguments.work, arguments.tiny)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        run(arguments.name, arguments.out, Path(work), arguments.tiny)


if __name__ == "__main__":
    main()
