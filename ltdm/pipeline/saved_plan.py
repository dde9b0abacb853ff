"""Plans in files: a config that was checked once starts again without PyTorch.

A plan is saved under a digest of the config and of ltdm's sources. It is used again if the files
that the checks read are as they were: the data sets' sources, and the weights of extractors.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltdm.config.artefacts import jobs
from ltdm.config.datasets import parse_dataset
from ltdm.config.layout import Layout
from ltdm.config.plan import NetworkPlan, Plan, SampleSetPlan
from ltdm.config.rules import Wildcards, with_wildcards
from ltdm.plumbing.code_digest import sources_digest
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.request import Request

if TYPE_CHECKING:
    from ltdm.config.experiment import Experiment

FOLDER = Path(".snakemake/ltdm")
PATTERN = "plan-{}.json"
MAX_FILES = 20
DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a plan may raise; then there is none."""
LoadExperiment = Callable[[], "Experiment"]


def find_plan(config: Mapping[str, Any], load_experiment: LoadExperiment) -> Plan:
    """Return the plan of a merged config: a saved one, or else that of the experiment, then saved.

    Raises:
        OptionError: The config is invalid.
    """
    file = plan_file(config)
    with suppress(*DAMAGES):
        content = json.loads(file.read_text(encoding="utf-8"))
        if _is_current(content, config):
            file.touch()
            return _parse(content["plan"], load_experiment)
    experiment = load_experiment()
    with suppress(OSError):  # it only saves time
        save(experiment, file)
    return experiment.plan


def load(file: Path, load_experiment: LoadExperiment) -> Plan | None:
    """Return the plan in a file, whatever became of the files that its checks read."""
    with suppress(*DAMAGES):
        content = json.loads(file.read_text(encoding="utf-8"))
        file.touch()
        return _parse(content["plan"], load_experiment)
    return None


def plan_file(config: Mapping[str, Any]) -> Path:
    """Return the file of the plan of a merged config, the present code and home."""
    text = repr([config, sources_digest(), os.path.expanduser("~")])  # the order of entries counts
    return FOLDER / PATTERN.format(hashlib.sha256(text.encode()).hexdigest()[:16])


def save(experiment: "Experiment", file: Path) -> None:
    """Save the plan of an experiment, and of other plans the newest."""
    path, extractors = Layout(experiment.plan.root).path, experiment.evaluate.extractors
    checked = [part.label for part in extractors if hasattr(part.module, "check")]
    keys = [{"dataset": name, "extractor": e} for name in experiment.datasets for e in checked]
    content = {
        "plan": _to_json(experiment.plan),
        "data": {name: data.info.to_record() for name, data in experiment.datasets.items()},
        "weights": [str(path("extractor.weights", **key)) for key in keys],
        "released": any(run.train.released for run in experiment.runs.values()),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.with_suffix(f".{os.getpid()}")  # another snakemake may write the same plan
    own.write_text(json.dumps(content), encoding="utf-8")
    own.replace(file)
    files = sorted(file.parent.glob(PATTERN.format("*")), key=lambda f: f.stat().st_mtime)
    for old in files[:-MAX_FILES]:
        old.unlink(missing_ok=True)


def _is_current(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the checks of the config would find the files as they did when it was saved."""
    if content["released"] or not all(Path(file).exists() for file in content["weights"]):
        return False
    path = Layout(Path(content["plan"]["root"])).path
    for name, info in content["data"].items():
        record = path("prepare.record", dataset=name)
        try:
            data = parse_dataset(config["datasets"][name], ("datasets", name), record)
        except LtdmError:
            return False
        if data.info.to_record() != info:
            return False
    return True


def _to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON: its fields, and the request of every job.

    Requests that differ in the seed alone are one, as are those of several jobs that are equal.
    """
    rules: dict[str, dict[str, int]] = {}
    unique: dict[str, int] = {}
    for rule, wildcards in (*jobs(plan), ("manifest", {}), ("page", {})):
        indices = rules.setdefault(rule, {})
        if (key := _key(wildcards)) not in indices:
            job = {k: v for k, v in plan.request(rule, wildcards).items() if k != "where"}
            indices[key] = unique.setdefault(json.dumps(job), len(unique))
    rules["sample_shard"] = rules["sample"]
    return {
        **{f.name: getattr(plan, f.name) for f in fields(Plan)},
        "root": str(plan.root),
        "networks": [[*key, *network] for key, network in plan.networks.items()],
        "request": [[json.loads(text) for text in unique], rules],
    }


def _parse(content: Mapping[str, Any], load_experiment: LoadExperiment) -> Plan:
    unique, rules = content["request"]

    def request(rule: str, wildcards: Wildcards) -> Request:
        index = rules.get(rule, {}).get(_key(wildcards))
        if index is None:  # of a file that no target needs, such as another width of an EMA
            return load_experiment().plan.request(rule, wildcards)
        return with_wildcards(unique[index], wildcards)

    own = {"root": Path(content["root"]), "networks": _networks(content), "request": request}
    return Plan(**{**content, **own})


def _networks(content: Mapping[str, Any]) -> dict[tuple[str, str], NetworkPlan]:
    networks = {}
    for dataset, run, init_from, gpus, ema_widths, samples in content["networks"]:
        sample_sets = {name: SampleSetPlan(*values) for name, values in samples.items()}
        networks[dataset, run] = NetworkPlan(init_from, gpus, ema_widths, sample_sets)
    return networks


def _key(wildcards: Wildcards) -> str:
    """Return a job's wildcards as text, except the seed and the shard."""
    names = sorted(wildcards.keys() - {"seed", "scatteritem"})
    return "/".join(str(wildcards[name]) for name in names)
