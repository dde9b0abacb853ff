"""Which files of an experiment are made from which: what stands behind every number."""

from itertools import product
from pathlib import Path

from ltdm.config import Experiment
from ltdm.stages.tables import NAMES


def lineage(experiment: Experiment) -> dict[Path, list[Path]]:
    """Return every artefact of a finished experiment with the files that it is made from."""
    made: dict[Path, list[Path]] = {}
    for dataset in experiment.grid["dataset"]:
        made |= _data(experiment, dataset)
    for (dataset, run), seed in product(experiment.runs, experiment.grid["seed"]):
        start = experiment.init(dataset, run, seed)
        network = experiment.layout.run(dataset, run, seed)
        behind = [experiment.layout.data(dataset) / "train.npz", *([start] if start else [])]
        names = ("model.safetensors", "history.csv", "run.json")
        made |= dict.fromkeys((network / name for name in names), behind)
    tables = [
        table
        for key in product(*experiment.grid.values())
        for table in _samples(experiment, made, *key)
    ]
    folder = experiment.layout.root / "tables"
    for name in NAMES:
        made[folder / name] = tables
    return made


def _data(experiment: Experiment, dataset: str) -> dict[Path, list[Path]]:
    folder = experiment.layout.data(dataset)
    made: dict[Path, list[Path]] = {
        folder / name: [] for name in ("train.npz", "reference.npz", "counts.csv", "data.json")
    }
    reference = folder / "reference.npz"
    for part in experiment.evaluate.features:
        weights = folder / f"extractors/{part.label}.safetensors"
        made[weights] = made[weights.with_suffix(".json")] = [reference]
        made[folder / f"features/{part.label}.npz"] = [reference, weights]
    for metric in experiment.evaluate.searching:
        made[folder / f"neighbours/{metric.label}.npz"] = [folder / "train.npz", reference]
    return made


def _samples(
    experiment: Experiment,
    made: dict[Path, list[Path]],
    dataset: str,
    run: str,
    seed: int,
    sample_set: str,
) -> list[Path]:
    """Add a sample set of a network and what follows; return the tables of its metrics."""
    data, network = experiment.layout.data(dataset), experiment.layout.run(dataset, run, seed)
    folder = experiment.layout.samples(dataset, run, seed, sample_set)
    for name in ("samples.npz", "samples.json"):
        made[folder / name] = [network / "model.safetensors"]
    for part in experiment.evaluate.features:
        weights = data / f"extractors/{part.label}.safetensors"
        made[folder / f"features/{part.label}.npz"] = [folder / "samples.npz", weights]
    for metric in experiment.evaluate.searching:
        found = folder / f"neighbours/{metric.label}.npz"
        made[found] = [data / "train.npz", folder / "samples.npz"]
    tables = []
    for metric in experiment.evaluate.metrics:
        files = experiment.evaluate.files(metric).values()
        table = folder / f"metrics/{metric.label}.csv"
        behind = [data / "counts.csv", *(at / name for name in files for at in (data, folder))]
        made |= dict.fromkeys((table, table.with_suffix(".json")), behind)
        tables.append(table)
    return tables
