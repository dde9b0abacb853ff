"""What jobs ask for: on a cluster all of it, on one machine GPUs alone, if it says how many it has."""

import math
import os

from ltdm.config.site import WORDS, Site, site
from ltdm.pipeline import gpu_slots
from ltdm.pipeline.resources import Estimates

try:
    cluster_site = Site.of(run_snapshot["site"]) if run_snapshot else site()
except LtdmError as error:
    raise WorkflowError(str(error)) from None
estimates = Estimates(experiment, cluster_site, len(gather.samples("{scatteritem}")))

# `--resources gpu=4` is a machine with four; each takes as many jobs as the site says.
if workflow.is_main_process and "gpu" in workflow.global_resources:
    num_gpus = workflow.global_resources["gpu"].value
    workflow.register_resource("gpu", num_gpus * cluster_site.jobs_per_gpu)
    os.environ[gpu_slots.ENV_VAR] = str(cluster_site.jobs_per_gpu)


def refuse_shared_gpus():
    """Stop where trainings are to share GPUs that Slurm gives out whole."""
    try:
        if not workflow.local_exec:
            cluster_site.check_slurm()
    except LtdmError as error:
        sys.exit(f"ltdm: {error}")


def should_estimate():
    """Whether to take the time to estimate: where jobs are submitted, and not in them once more."""
    return workflow.is_main_process and not workflow.local_exec


def needs(mem_mb=4_000, minutes=20, gpu=0, seconds=None, more_mb=None):
    """Return the resources of a rule; every further attempt asks for more memory and time.

    Args:
        mem_mb: MB of memory.
        minutes: Minutes beside what is estimated.
        gpu: GPUs, or a function of wildcards and input.
        seconds: Estimate of a job's seconds, of wildcards; none is taken of jobs that need no GPU,
            such as those that put a sample set's parts together.
        more_mb: Estimate of MB beside `mem_mb`, of wildcards.
    """

    def gpus(wildcards, input):
        number = gpu(wildcards, input) if callable(gpu) else gpu
        return number if cluster_site.has_gpus else 0

    def cores(wildcards, input, threads):
        return max(threads, cluster_site.cpus_per_gpu * gpus(wildcards, input))

    def memory(wildcards, attempt):
        more = more_mb(wildcards) if more_mb and should_estimate() else 0
        return attempt * (mem_mb + round(more))

    def runtime(wildcards, input, attempt):
        works = seconds and should_estimate() and not input.get("shards")
        more = math.ceil(seconds(wildcards) / 60) if works else 0
        whole = attempt * (minutes + more)
        return min(whole, cluster_site.max_runtime_minutes or whole)

    def option(name):
        return lambda wildcards, input: cluster_site.words(
            gpus(wildcards, input) > 0
        ).get(name)

    return {
        "gpu": gpus,
        "cpus_per_task": cores,
        "mem_mb": memory,
        "runtime": runtime,
        **{name: option(name) for name in WORDS.values()},
    }


def gpus_of_training(wildcards, input):
    return experiment.runs[wildcards.dataset, wildcards.run].train.gpus


def gpus_of_sampling(wildcards, input):
    """Return none where a set's parts are only put together."""
    return 0 if input.get("shards") else 1


def gpus_of_extractor(wildcards, input):
    return int(extractor_part(wildcards).module.RUNS_NETWORK)


def extractor_part(wildcards):
    return next(
        p for p in experiment.evaluate.extractors if p.label == wildcards.extractor
    )


def threads_for(lengths):
    """Return one thread, but several where vectors are so long that the work is in them."""
    return 8 if max(lengths) > 500 else 1


def search_threads(wildcards):
    """Return threads for comparing images pixel by pixel."""
    census = experiment.datasets[wildcards.dataset].census
    return threads_for([census.channels * census.side**2])


def feature_threads(wildcards, parts=()):
    census = experiment.datasets[wildcards.dataset].census
    parts = parts or [extractor_part(wildcards)]
    lengths = [p.module.length(p.options, census.channels, census.side) for p in parts]
    return threads_for(lengths)


def metric_threads(wildcards):
    feeding = experiment.evaluate.feeding(experiment.evaluate.metric(wildcards.metric))
    return feature_threads(wildcards, feeding) if feeding else 1
