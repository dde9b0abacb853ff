"""What jobs ask for: on a cluster all of it, on one machine GPUs alone, if it says how many it has."""

import os

from ltdm.pipeline import gpu_slots
from ltdm.pipeline.resources import Asks
from ltdm.config.site import WORDS, Site, site

try:
    here = Site.of(began["site"]) if began else site()
    asking = Asks(experiment, here, len(gather.samples("{scatteritem}")))
except LtdmError as error:
    raise WorkflowError(str(error)) from None

# `--resources gpu=4` is a machine with four; each takes as many jobs as the site says.
if workflow.is_main_process and "gpu" in workflow.global_resources:
    shown = workflow.global_resources["gpu"].value
    workflow.register_resource("gpu", shown * here.runs_per_gpu)
    os.environ[gpu_slots.VARIABLE] = str(here.runs_per_gpu)


def refuse_shared_gpus():
    """Stop where trainings are to share GPUs that Slurm gives out whole."""
    try:
        if not workflow.local_exec:
            here.check_slurm()
    except LtdmError as error:
        sys.exit(f"ltdm: {error}")


def gpus(wildcards, rulename, input):
    return asking.gpus(called(rulename, input), wildcards)


def called(rulename, input):
    """Return the name by which `Asks` knows a job: `gather` if it only puts shards together."""
    return "gather" if input.get("shards") else rulename


def cores(wildcards, rulename, threads, input):
    return asking.cores(called(rulename, input), wildcards, threads)


def memory(wildcards, rulename, attempt, input):
    return asking.memory(called(rulename, input), wildcards, attempt, reckoned())


def minutes(wildcards, rulename, attempt, input):
    return asking.minutes(called(rulename, input), wildcards, attempt, reckoned())


def reckoned():
    """Whether to take the time to reckon: where jobs are submitted, and not in them once more."""
    return workflow.is_main_process and not workflow.local_exec


def word(name):
    """Return a function of what a job says to Slurm under a name, if anything."""

    def said(wildcards, rulename, input):
        return asking.word(called(rulename, input), wildcards, name)

    return said


asks = {
    "gpu": gpus,
    "cpus_per_task": cores,
    "mem_mb": memory,
    "runtime": minutes,
    **{name: word(name) for name in WORDS.values()},
}
