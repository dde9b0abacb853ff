"""The lineage of an experiment's files: for every artefact, the files that it was made from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ltdm.config.artefacts import as_list, inputs, jobs, outputs
from ltdm.config.layout import RULES, Layout
from ltdm.config.plan import Plan
from ltdm.pipeline import code_pairs
from ltdm.plumbing.request import Request

TEMPLATES = Path(__file__).parents[1] / "reporting/templates"


def lineage(plan: Plan) -> dict[Path, list[Path]]:
    """Return the parents of every artefact of a finished experiment.

    Pictures are left out. The files of accepted codes (`ltdm accept`) are in it, without parents.
    """
    parents: dict[Path, list[Path]] = {}
    for rule, wildcards in jobs(plan):
        if RULES[rule].pictures_only:
            continue
        input_files: dict[Path, None] = {}
        for files in inputs(plan, rule, wildcards).values():
            input_files |= dict.fromkeys(as_list(files))
        for files in outputs(plan, rule, wildcards).values():
            parents |= {file: [*input_files] for file in as_list(files)}
    return parents | {file: [] for file in code_pairs.pair_files(plan.root)}


def page_inputs(plan: Plan) -> list[Path]:
    """Return the tables and pictures that the page of an experiment shows."""
    tables = Layout(plan.root).path("tables.tidy").parent
    return [
        file
        for rule, wildcards in jobs(plan)
        for files in outputs(plan, rule, wildcards).values()
        for file in as_list(files)
        if RULES[rule].pictures_only or file.parent == tables
    ]


def page_request(plan: Plan) -> Request:
    """Return the request of the rule `page`: the code, and its templates."""
    content = b"".join(file.read_bytes() for file in sorted(TEMPLATES.iterdir()))
    templates = hashlib.sha256(content).hexdigest()[:16]
    return Request(plan.request("page", {}), templates=templates)


def manifest_request(plan: Plan, parents: Mapping[Path, list[Path]]) -> Request:
    """Return the request of the rule `manifest`: every artefact, with its parents (`lineage`)."""
    accepted = [file.name for file in code_pairs.pair_files(plan.root)]
    return Request(plan.request("manifest", {}), accepted=accepted, places=parents)
