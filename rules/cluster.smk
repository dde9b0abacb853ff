"""The resources of jobs: all on a cluster; on one machine GPUs alone, with `--resources gpu=N`."""

import math
import os

from ltdm.config.site import PLUGIN_NAMES, Site, load_site
from ltdm.pipeline import gpu_slots

try:
    cluster_site = Site.parse(run_snapshot["site"]) if run_snapshot else load_site()
except LtdmError as error:
    raise WorkflowError(str(error)) from None


@cache
def estimates():
    """Return the estimates of jobs, by wildcards."""
    from ltdm.pipeline.resources import Estimates

    num_shards = len(gather.samples("{scatteritem}"))
    return Estimates(experiment(), cluster_site, num_shards)


# `--resources gpu=4` is the number of GPUs; Snakemake counts slots, `jobs_per_gpu` on each GPU.
if workflow.is_main_process and "gpu" in workflow.global_resources:
    num_gpus = workflow.global_resources["gpu"].value
    workflow.register_resource("gpu", num_gpus * cluster_site.jobs_per_gpu)
    os.environ[gpu_slots.ENV_VAR] = str(cluster_site.jobs_per_gpu)


def refuse_shared_gpus():
    """Stop if the site shares a GPU among jobs on Slurm, which allocates whole GPUs."""
    if not workflow.local_exec:
        cluster_site.check_slurm()


def should_estimate():
    """Whether estimates are needed: where jobs are submitted, but not again within the jobs."""
    return workflow.is_main_process and not workflow.local_exec


def needs(mem_mb=4_000, minutes=20, gpu=0, seconds=None, more_mb=None):
    """Return the resources of a rule; each retry requests more memory and time.

    Args:
        mem_mb: Memory, MB.
        minutes: Runtime, besides the estimate.
        gpu: Number of GPUs, or a function of wildcards and input that returns it.
        seconds: Method of the estimates for the runtime, in seconds; it is not added for a job that
            only merges shards.
        more_mb: Method of the estimates for the memory besides `mem_mb`, MB.
    """

    def estimate(method, wildcards):
        return getattr(estimates(), method)(wildcards)

    def gpus(wildcards, input):
        number = gpu(wildcards, input) if callable(gpu) else gpu
        return number if cluster_site.has_gpus else 0

    def cores(wildcards, input, threads):
        return max(threads, cluster_site.cpus_per_gpu * gpus(wildcards, input))

    def memory(wildcards, attempt):
        more = estimate(more_mb, wildcards) if more_mb and should_estimate() else 0
        return attempt * (mem_mb + round(more))

    def runtime(wildcards, input, attempt):
        computes = seconds and should_estimate() and not input.get("shards")
        more = math.ceil(estimate(seconds, wildcards) / 60) if computes else 0
        total = attempt * (minutes + more)
        return min(total, cluster_site.max_runtime_minutes or total)

    def slurm_option(name):
        return lambda wildcards, input: cluster_site.submit_options(
            gpus(wildcards, input) > 0
        ).get(name)

    return {
        "gpu": gpus,
        "cpus_per_task": cores,
        "mem_mb": memory,
        "runtime": runtime,
        **{name: slurm_option(name) for name in PLUGIN_NAMES.values()},
    }


def gpus_of_training(wildcards, input):
    return plan.networks[wildcards.dataset, wildcards.run].gpus


def gpus_of_sampling(wildcards, input):
    """Return 0 for a job that only merges shards, else 1."""
    return 0 if input.get("shards") else 1


def gpus_of_extractor(wildcards, input):
    return int(wildcards.extractor in plan.gpu_extractors)


def threads_of_vectors(wildcards, spaces):
    """Return 8 threads if the longest vectors of some spaces have more than 500 numbers, else 1."""
    dims = plan.feature_dims[wildcards.dataset]
    return 8 if max(dims[space] for space in spaces) > 500 else 1


def search_threads(wildcards):
    """Return the threads of a neighbour search, which compares images pixel by pixel."""
    return threads_of_vectors(wildcards, ["pixels"])


def feature_threads(wildcards):
    return threads_of_vectors(wildcards, [wildcards.extractor])


def tuning_threads(wildcards):
    return threads_of_vectors(wildcards, [plan.first_extractor])


def metric_threads(wildcards):
    searches = wildcards.metric in plan.axes["search"]
    return (
        1 if searches else threads_of_vectors(wildcards, plan.spaces[wildcards.metric])
    )
