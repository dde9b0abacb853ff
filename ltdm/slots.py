"""Which GPUs of one machine a job takes, where several jobs share them.

Snakemake counts GPUs but does not say which. A job locks its places, which the operating system
frees when it ends, however it ends.
"""

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from ltdm.errors import LtdmError
from ltdm.locks import Held, alone

VARIABLE = "LTDM_RUNS_PER_GPU"
"""Set where the workflow shares out this machine's GPUs: how many jobs go on each."""


@contextmanager
def on_gpus(number: int, gpus: int, each: int) -> Iterator[list[int]]:
    """Hold places on the least busy GPUs for as long as a job runs.

    Args:
        number: GPUs that the job needs, each another one.
        gpus: GPUs that there are.
        each: Places on each.

    Raises:
        LtdmError: There are not so many GPUs.
    """
    if number > gpus:
        raise LtdmError(
            f"a job asks for {number} GPUs, and this machine shows {gpus}; ask for fewer, or leave"
            " --profile workstation out"
        )
    home = Path(tempfile.gettempdir()) / f"ltdm-gpus-{getpass.getuser()}"
    with ExitStack() as held:
        taken: list[int] = []
        while len(taken) < number:
            for place, gpu in ((p, g) for p in range(each) for g in range(gpus)):
                if len(taken) < number and gpu not in taken:
                    with suppress(Held):
                        held.enter_context(alone(home / f"{gpu}-{place}", 0))
                        taken.append(gpu)
            time.sleep(0 if len(taken) == number else 1)  # one that is ending still holds it
        yield sorted(taken)


@contextmanager
def sharing(number: int) -> Iterator[None]:
    """Show this process its own GPUs alone, if the workflow shares them out.

    Args:
        number: GPUs that the job asks for; none means the CPU.
    """
    each = os.environ.get(VARIABLE)
    if not each or "LTDM_DEVICE" in os.environ:
        yield
        return
    os.environ["LTDM_DEVICE"] = "cuda" if number else "cpu"
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    known = shown.split(",") if shown else [str(k) for k in range(torch.cuda.device_count())]
    with on_gpus(number, len(known), int(each)) as taken:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(known[k] for k in taken)
        yield
