"""Which files of an experiment are made from which: what stands behind every number."""

from pathlib import Path

from ltdm.config.artefacts import flat, inputs, jobs, outputs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import STEPS
from ltdm.pipeline import accepted
from ltdm.plumbing.registry import stage_digest
from ltdm.plumbing.request import Request


def lineage(experiment: Experiment) -> dict[Path, list[Path]]:
    """Return every artefact of a finished experiment with the files that it is made from.

    Pictures are left out; what somebody vouched for (`ltdm accept`) is listed.
    """
    made: dict[Path, list[Path]] = {}
    for rule, keys in jobs(experiment):
        if not STEPS[rule].draws:
            read = [file for one in inputs(experiment, rule, keys).values() for file in flat(one)]
            for files in outputs(experiment, rule, keys).values():
                made |= {file: [*dict.fromkeys(read)] for file in flat(files)}
    return made | {file: [] for file in accepted.records(experiment.layout.root)}


def manifest_request(experiment: Experiment) -> Request:
    """Return what the manifest is asked for: to list every artefact, with its parents."""
    vouched = [file.name for file in accepted.records(experiment.layout.root)]
    return Request(code=stage_digest("manifest"), accepted=vouched, places=lineage(experiment))
