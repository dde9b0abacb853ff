"""What every workflow script does around its one call: a log, a device, a last sentence.

Snakemake itself holds the numerical libraries to the rule's threads, through the environment.
"""

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
        try:
            yield
        except LtdmError as error:
            log.error("error: %s", error)
            sys.exit(1)
        except Exception:
            log.exception("this is a bug in ltdm; please report it with this log")
            sys.exit(1)


def let_jobs_import(folder: str) -> None:
    """Let the processes that Snakemake starts import the checkout, whatever else is installed."""
    paths = [folder, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, dict.fromkeys(paths)))
