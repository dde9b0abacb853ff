"""The GPUs of one machine that a job takes, where several jobs share a GPU.

Snakemake counts GPUs but does not choose them. Each GPU has slots, one per job that may share it. A
job locks a slot on each of its GPUs; the operating system frees the lock however the job ends.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.locks import LockHeld, exclusive

ENV_VAR = "LTDM_JOBS_PER_GPU"  # set where the workflow assigns GPUs: the number of jobs per GPU


@contextmanager
def hold_gpus(number: int, gpus: Sequence[str], jobs_per_gpu: int) -> Iterator[list[str]]:
    """Lock a slot on each of the `number` least busy of `gpus`; yield those, in the order given.

    This waits until slots are free.

    Raises:
        LtdmError: There are fewer GPUs than that.
    """
    if number > len(gpus):
        raise LtdmError(
            f"a job requests {number} GPUs, but this machine has {len(gpus)}; request fewer, or"
            " leave --profile workstation out"
        )
    folder = _slots_folder()
    with ExitStack() as locks:
        chosen: list[str] = []
        while len(chosen) < number:
            # Without this lock several jobs would choose the same GPU at once.
            with exclusive(folder / "choice"):
                free = {g: _free_slots(folder, g, jobs_per_gpu) for g in gpus if g not in chosen}
                gpu = max(free, key=lambda g: len(free[g]))
                if free[gpu]:
                    locks.enter_context(exclusive(free[gpu][0], 0))
                    chosen.append(gpu)
            time.sleep(0 if free[gpu] else 1)
        yield sorted(chosen, key=gpus.index)


def _slots_folder() -> Path:
    """Return the folder of the slots: per user, and per Slurm job, which has GPUs of its own."""
    names = ("ltdm-gpus", str(os.getuid()), os.environ.get("SLURM_JOB_ID"))
    return Path(tempfile.gettempdir()) / "-".join(filter(None, names))


def _free_slots(folder: Path, gpu: str, jobs_per_gpu: int) -> list[Path]:
    """Return the slots of a GPU that no job holds."""
    free = []
    for slot in [folder / f"{gpu}-{number}" for number in range(jobs_per_gpu)]:
        with suppress(LockHeld), exclusive(slot, 0):
            free.append(slot)
    return free


@contextmanager
def assign_gpus(number: int) -> Iterator[None]:
    """Show this process only the GPUs that it holds; `number` 0 means the CPU.

    Nothing happens where the workflow does not assign GPUs, or the user has set LTDM_DEVICE.
    """
    jobs_per_gpu = os.environ.get(ENV_VAR)
    if not jobs_per_gpu or "LTDM_DEVICE" in os.environ:
        yield
        return
    os.environ["LTDM_DEVICE"] = "cuda" if number else "cpu"
    if not number:
        yield
        return
    with hold_gpus(number, _visible_gpus(), int(jobs_per_gpu)) as chosen:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        yield


def _visible_gpus() -> list[str]:
    """Return the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        return visible.split(",")
    import torch  # a job without a GPU starts without it

    return [str(k) for k in range(torch.cuda.device_count())]
