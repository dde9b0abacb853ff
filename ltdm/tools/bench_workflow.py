"""The workflow's own cost: dry runs of made-up finished results, and the start of every job.

The results are those of a config with as many seeds as it takes. Files are empty, records are real,
and Snakemake has noted each file's request. The same files under empty rules, a Snakefile without
ltdm, show what Snakemake alone takes.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import yaml

from ltdm.config.artefacts import as_list, inputs, jobs, outputs, target_files
from ltdm.config.experiment import Experiment
from ltdm.config.layout import MANIFEST, PAGE, RULES, Layout
from ltdm.config.plan import Plan
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_json
from ltdm.plumbing.request import to_record

PARTS = ("Snakefile", "rules", "workflow", "profiles", "ltdm")
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
NOTE = """
from snakemake.cli import main
from snakemake.workflow import Workflow

build = Workflow._build_dag

def build_and_note(workflow):
    build(workflow)
    for job in workflow.dag.jobs:
        workflow.async_run(workflow.persistence.finished(job))
Workflow._build_dag = build_and_note
main()
"""
"""Snakemake that notes every job as finished; `--touch` would take 0.1 s for each."""
EMPTY_JOB = """
import sys, snakemake.script
from types import SimpleNamespace as Fields
from ltdm.pipeline.job import run_stage
job = Fields(log=["log"], rule="", resources={}, wildcards={}, input={}, output={})
job.params = Fields(request={"code": ""})
run_stage(job, sys.argv[1], "__eq__")  # which does nothing
"""
EMPTY_RULE = """
rule {rule}:
    input: lambda wildcards: INPUTS["{rule} " + " ".join(wildcards)]
    output: {outputs}
    shell: "touch {{output}}"
"""


class Cost(NamedTuple):
    """What a process and its children took."""

    cpu_seconds: float
    seconds: float
    megabytes: float


def run(config: Mapping[str, Any], numbers: list[int]) -> dict[str, Any]:
    """Measure dry runs of about so many jobs, and the start of a job of each rule.

    `config` is merged; its seeds are replaced. The work folder must be a checkout.

    Raises:
        LtdmError: The work folder is no checkout, or a run fails.
    """
    checkout = Path.cwd()
    if missing := [part for part in PARTS if not (checkout / part).exists()]:
        raise LtdmError(f"{checkout} has no {missing[0]}; run this in a checkout of ltdm")
    with TemporaryDirectory() as folder:
        dry_runs = [_dry_runs(checkout, Path(folder, str(n)), config, n) for n in numbers]
        modules = {f"stages.{rule.stage or name}" for name, rule in RULES.items()}
        starts = {"(frame)": "plumbing.request", "page": "page.document"}
        starts |= {module: module for module in sorted({*modules, "stages.manifest"})}
        costs = {name: _empty_job(checkout, Path(folder), m) for name, m in starts.items()}
    return {"dry_runs": dry_runs, "jobs": {name: cost._asdict() for name, cost in costs.items()}}


def format_table(result: Mapping[str, Any]) -> str:
    """Return the measurements as Markdown tables, with a line fitted to the growth of each."""
    lines = ["| jobs | dry run of | CPU s | s | MB |", "|--:|:--|--:|--:|--:|"]
    for row in result["dry_runs"]:
        for name, cost in row["costs"].items():
            numbers = f"{cost['cpu_seconds']:.1f} | {cost['seconds']:.1f} | {cost['megabytes']:.0f}"
            lines.append(f"| {row['jobs']} | {name} | {numbers} |")
    lines += ["", *_growth(result["dry_runs"])]
    lines += ["", "| start of a job | CPU s | s | MB |", "|:--|--:|--:|--:|"]
    for name, cost in sorted(result["jobs"].items(), key=lambda item: item[1]["cpu_seconds"]):
        numbers = f"{cost['cpu_seconds']:.2f} | {cost['seconds']:.2f} | {cost['megabytes']:.0f}"
        lines.append(f"| {name.rpartition('.')[2]} | {numbers} |")
    return "\n".join(lines)


def _growth(dry_runs: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the line through each kind's CPU-seconds by jobs, and how far the farthest is off."""
    numbers = [row["jobs"] for row in dry_runs]
    for name in dry_runs[0]["costs"] if len(numbers) > 1 else ():
        seconds = np.array([row["costs"][name]["cpu_seconds"] for row in dry_runs])
        slope, start = np.polyfit(numbers, seconds, 1, w=1 / seconds)
        off = np.abs(start + slope * np.array(numbers) - seconds) / seconds
        line = f"{start:.1f} s + {1000 * slope:.2f} ms per job"
        yield f"{name}: {line}, off by at most {100 * off.max():.0f} %"


def _dry_runs(
    checkout: Path, folder: Path, config: Mapping[str, Any], number: int
) -> dict[str, Any]:
    """Return the costs of dry runs of about `number` finished jobs."""
    own, alone = folder / "ltdm", folder / "alone"
    own.mkdir(parents=True)
    for part in PARTS:
        (own / part).symlink_to(checkout / part)
    plan, seeded = _seeded(config, number)
    (own / "config.yaml").write_text(yaml.safe_dump(seeded, sort_keys=False))
    _make_up(plan, own)
    shutil.copytree(own / plan.root, alone / plan.root, copy_function=shutil.copy2)
    _write_empty_rules(plan, alone)
    costs = {}
    for name, place in {"Snakemake alone": alone, "ltdm": own}.items():
        arguments = ["--quiet", "host", "--dry-run"]
        arguments += ["--configfile", "config.yaml"] if place == own else []
        _measure([sys.executable, "-c", NOTE, *arguments], place)
        costs[name] = min(_finished([*SNAKEMAKE, *arguments], place) for _ in range(2))._asdict()
    shutil.rmtree(own / ".snakemake/ltdm")
    costs["ltdm, with a new config"] = _finished([*SNAKEMAKE, *arguments], own)._asdict()
    shutil.rmtree(folder)
    return {"jobs": sum(1 for _ in jobs(plan)), "costs": costs}


def _seeded(config: Mapping[str, Any], number: int) -> tuple[Plan, dict[str, Any]]:
    """Return the plan of the config with seeds for about `number` jobs, and that config."""

    def with_seeds(n: int) -> dict[str, Any]:
        return {**config, "grid": {**config["grid"], "seed": [*range(n)]}}

    one, two = (sum(1 for _ in jobs(Experiment(with_seeds(n)).plan)) for n in (1, 2))
    seeded = with_seeds(max(1, round((number - one) / (two - one)) + 1))
    return Experiment(seeded).plan, seeded


def _make_up(plan: Plan, folder: Path) -> None:
    """Write every file of an experiment: the records, and empty files."""
    for rule, wildcards in jobs(plan):
        for files in outputs(plan, rule, wildcards).values():
            for file in as_list(files):
                path = folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        if "record" in RULES[rule].outputs:
            record = folder / Layout(plan.root).path(f"{rule}.record", **wildcards)
            write_json(record, to_record(plan.request(rule, wildcards)))
    for name in (MANIFEST, PAGE):
        (folder / plan.root / name).touch()


def _write_empty_rules(plan: Plan, folder: Path) -> None:
    """Write a Snakefile of empty rules with the files of all jobs."""
    job_inputs, patterns = {}, {}
    for rule, wildcards in jobs(plan):
        read = [str(f) for v in inputs(plan, rule, wildcards).values() for f in as_list(v)]
        names = _names(plan, rule, {*wildcards})
        patterns[rule] = [name for name, _ in names]
        order = names[0][1]
        job_inputs[f"{rule} " + " ".join(str(wildcards[w]) for w in order)] = read
    write_json(folder / "inputs.json", job_inputs)
    write_json(folder / "targets.json", {"targets": [str(file) for file in target_files(plan)]})
    values: dict[str, dict[str, None]] = {}
    for _, wildcards in jobs(plan):
        for axis, value in wildcards.items():
            values.setdefault(axis, {})[re.escape(str(value))] = None
    constraints = ", ".join(f"{axis}={'|'.join(texts)!r}" for axis, texts in values.items())
    head = "import json\nINPUTS = json.load(open('inputs.json'))\n"
    head += f"wildcard_constraints: {constraints}\n"
    head += "rule all:\n    input: json.load(open('targets.json'))['targets']\n"
    rules = (
        EMPTY_RULE.format(rule=r, outputs=", ".join(map(repr, p))) for r, p in patterns.items()
    )
    (folder / "Snakefile").write_text(head + "".join(rules))


def _names(plan: Plan, rule: str, of_job: set[str]) -> list[tuple[str, list[str]]]:
    """Return a rule's outputs as patterns of its jobs' wildcards, each with its wildcards."""
    names = []
    for value in RULES[rule].outputs.values():
        for pattern in (value,) if isinstance(value, str) else value:
            axes = [part.partition("}")[0] for part in pattern.split("{")[1:]]
            free = [axis for axis in axes if axis not in of_job]
            for values in product(*(plan.axes[axis] for axis in free)):
                name = f"{plan.root}/{pattern}"
                for axis, text in zip(free, values, strict=True):
                    name = name.replace(f"{{{axis}}}", str(text))
                names.append((name, [axis for axis in dict.fromkeys(axes) if axis in of_job]))
    return names


def _empty_job(checkout: Path, folder: Path, module: str) -> Cost:
    """Return the lowest cost of three starts of a job that does nothing."""
    command = [sys.executable, "-c", EMPTY_JOB, module]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return min(_measure(command, folder, environment) for _ in range(3))


def _finished(command: list[str], folder: Path) -> Cost:
    """Measure a dry run that finds nothing to do."""
    cost = _measure(command, folder)
    if "Nothing to be done" not in (printed := (folder / "printed").read_text()):
        raise LtdmError(f"the made-up results are not finished: {printed[-2000:]}")
    return cost


def _measure(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run a command to its end; return what it took."""
    began, memory = time.monotonic(), 0.0
    with open(folder / "printed", "w") as printed:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT
        )
        # The kernel's maximum would be that of this process, of which the command is a fork.
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            memory = max(memory, _peak_megabytes(process.pid))
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode:
        printed_text = (folder / "printed").read_text()
        raise LtdmError(f"{command[-1]} failed in {folder}: {printed_text[-2000:]}")
    return Cost(ended[2].ru_utime + ended[2].ru_stime, time.monotonic() - began, memory)


def _peak_megabytes(pid: int) -> float:
    """Return the most memory that a process has had; 0 where the system does not say."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return 0.0
