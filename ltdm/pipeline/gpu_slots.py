"""Which GPUs of one machine a job takes, where several jobs share them.

Snakemake counts GPUs but does not say which. A job locks its places, which the operating system
frees when it ends, however it ends.
"""

import getpass
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.locks import Held, alone

ENV_VAR = "LTDM_JOBS_PER_GPU"  # set where the workflow shares out GPUs: how many jobs on each


@contextmanager
def hold_gpus(number: int, gpus: Sequence[str], each: int) -> Iterator[list[str]]:
    """Hold a place on each of the `number` least busy of these GPUs, which have `each` places."""
    if number > len(gpus):
        raise LtdmError(
            f"a job asks for {number} GPUs, and this machine shows {len(gpus)}; ask for fewer, or"
            " leave --profile workstation out"
        )
    folder = _slots_folder()
    with ExitStack() as held:
        chosen: list[str] = []
        while len(chosen) < number:
            with alone(folder / "choice"):  # else several at once would choose the same GPU
                free = {g: _free_slots(folder, g, each) for g in gpus if g not in chosen}
                gpu = max(free, key=lambda g: len(free[g]))
                if free[gpu]:
                    held.enter_context(alone(free[gpu][0], 0))
                    chosen.append(gpu)
            time.sleep(0 if free[gpu] else 1)  # one that is ending still holds it
        yield sorted(chosen, key=gpus.index)


def _slots_folder() -> Path:
    """Return where the places of these GPUs lie: a job of Slurm has GPUs of its own."""
    names = ("ltdm-gpus", getpass.getuser(), os.environ.get("SLURM_JOB_ID"))
    return Path(tempfile.gettempdir()) / "-".join(filter(None, names))


def _free_slots(folder: Path, gpu: str, each: int) -> list[Path]:
    """Return the places on a GPU that no job holds."""
    free = []
    for slot in [folder / f"{gpu}-{number}" for number in range(each)]:
        with suppress(Held), alone(slot, 0):
            free.append(slot)
    return free


@contextmanager
def assign_gpus(number: int) -> Iterator[None]:
    """Show this process its own GPUs alone, if the workflow shares them out; none means the CPU."""
    each = os.environ.get(ENV_VAR)
    if not each or "LTDM_DEVICE" in os.environ:
        yield
        return
    os.environ["LTDM_DEVICE"] = "cuda" if number else "cpu"
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    known = shown.split(",") if shown else [str(k) for k in range(torch.cuda.device_count())]
    with hold_gpus(number, known, int(each)) as chosen:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        yield
