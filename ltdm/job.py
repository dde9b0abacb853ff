"""What every workflow script does around its one call: log, threads, device, a last sentence."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from ltdm.errors import LtdmError

log = logging.getLogger("ltdm")


@contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Run a rule's script: everything it says goes to the rule's log.

    A user's mistake ends the job with one sentence; anything else with a traceback, in the log.
    """
    with (
        open(snakemake.log[0], "w", buffering=1) as file,
        redirect_stderr(file),
        redirect_stdout(file),
    ):
        logging.basicConfig(
            stream=file,
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            force=True,
        )
        logging.captureWarnings(True)
        if snakemake.resources.get("gpu", 0):
            os.environ.setdefault("LTDM_DEVICE", "cuda")
        _limit_threads(snakemake.threads)
        try:
            yield
        except LtdmError as error:
            log.error("error: %s", error)
            sys.exit(1)
        except Exception:
            log.exception("this is a bug in ltdm; please report it with this log")
            sys.exit(1)


def _limit_threads(threads: int) -> None:
    """Keep to the rule's threads where torch is used; stages that do without never load it."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
