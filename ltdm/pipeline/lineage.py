"""Which files of an experiment are made from which: what stands behind every number."""

from pathlib import Path

from ltdm.config.artefacts import as_list, inputs, jobs, outputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.pipeline import code_pairs
from ltdm.plumbing.registry import stage_code
from ltdm.plumbing.request import Request


def lineage(experiment: Experiment) -> dict[Path, list[Path]]:
    """Return every artefact of a finished experiment with the files that it is made from.

    Pictures are left out; what somebody vouched for (`ltdm accept`) is listed.
    """
    parents: dict[Path, list[Path]] = {}
    for rule, wildcards in jobs(experiment):
        if not RULES[rule].pictures_only:
            read = [
                file
                for one in inputs(experiment, rule, wildcards).values()
                for file in as_list(one)
            ]
            for files in outputs(experiment, rule, wildcards).values():
                parents |= {file: [*dict.fromkeys(read)] for file in as_list(files)}
    return parents | {file: [] for file in code_pairs.pair_files(experiment.layout.root)}


def manifest_request(experiment: Experiment) -> Request:
    """Return what the manifest is asked for: to list every artefact, with its parents."""
    vouched = [file.name for file in code_pairs.pair_files(experiment.layout.root)]
    return Request(code=stage_code("manifest"), accepted=vouched, places=lineage(experiment))
