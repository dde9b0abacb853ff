"""Dry runs of Snakemake in this process."""

import gc
import os
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    DeploymentSettings,
    ExecutionSettings,
    OutputSettings,
    Quietness,
    RemoteExecutionSettings,
    ResourceSettings,
    StorageSettings,
    WorkflowSettings,
)

ROOT = Path(__file__).parents[2]


def dry_run(config, folder):
    """Return the jobs of a dry run, without the target's, and the names of local rules."""
    old, thresholds = os.environ.copy(), gc.get_threshold()
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, dryrun=True)) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                storage_settings=StorageSettings(),
                config_settings=ConfigSettings(configfiles=[config]),
                snakefile=ROOT / "Snakefile",
                workflow_settings=WorkflowSettings(),
                deployment_settings=DeploymentSettings(),
                workdir=folder,
            )
            workflow.dag(DAGSettings()).execute_workflow(
                executor="dryrun",
                execution_settings=ExecutionSettings(),
                remote_execution_settings=RemoteExecutionSettings(),
            )
            jobs = [job for job in workflow._workflow.dag.jobs if job.rule.name != "all"]
            return jobs, workflow._workflow._localrules
    finally:
        os.environ.clear()
        os.environ.update(old)
        gc.unfreeze()  # the Snakefile takes the process for its own
        gc.set_threshold(*thresholds)
