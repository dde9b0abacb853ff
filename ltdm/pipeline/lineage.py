"""Which files of an experiment are made from which: what stands behind every number."""

from itertools import product
from pathlib import Path

from ltdm.config.experiment import Experiment
from ltdm.stages import probe_tables, theory, theory_tables
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
        for width in experiment.runs[dataset, run].widths:
            average = experiment.layout.model(dataset, run, seed, width)
            made[average] = made[average.with_suffix(".json")] = [network / "model.safetensors"]
    tables = [
        table
        for key in product(*experiment.grid.values())
        for table in _samples(experiment, made, *key)
    ]
    folder = experiment.layout.root / "tables"
    for name in NAMES:
        made[folder / name] = tables
    return made | _probes(experiment) | _theory(experiment)


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


def _probes(experiment: Experiment) -> dict[Path, list[Path]]:
    """Return the files of the linear probe, if there is one."""
    made: dict[Path, list[Path]] = {}
    probe, layout, grid = experiment.evaluate.probe, experiment.layout, experiment.grid
    if probe is None:
        return made
    tables = []
    for dataset in grid["dataset"]:
        data = layout.data(dataset)
        made[data / "test.npz"] = made[data / "test.json"] = [data / "reference.npz"]
        behind = [data / name for name in (probe.file, "test.npz", "counts.csv")]
        for run, seed in product(grid["run"], grid["seed"]):
            table = layout.run(dataset, run, seed) / "probe.csv"
            made[table] = [layout.model(dataset, run, seed), *behind]
            made[table.with_suffix(".json")] = made[table]
            tables.append(table)
    return made | {layout.root / "tables" / name: tables for name in probe_tables.NAMES}


def _theory(experiment: Experiment) -> dict[Path, list[Path]]:
    """Return the files of the theory lab, which are made from the config alone, and its tables."""
    sweeps = {name: experiment.layout.sweep(name) for name in experiment.sweeps}
    made: dict[Path, list[Path]] = {
        rows.with_suffix(ending): [] for rows in sweeps.values() for ending in theory.ENDINGS
    }
    folder = experiment.layout.root / "tables"
    tables = theory_tables.names(list(sweeps)) if sweeps else []
    return made | {folder / name: list(sweeps.values()) for name in tables}


def _samples(
    experiment: Experiment,
    made: dict[Path, list[Path]],
    dataset: str,
    run: str,
    seed: int,
    sample_set: str,
) -> list[Path]:
    """Add a sample set of a network and what follows; return the tables of its metrics."""
    data, model = experiment.layout.data(dataset), experiment.model(dataset, run, seed, sample_set)
    folder = experiment.layout.samples(dataset, run, seed, sample_set)
    guide = experiment.guide(dataset, run, seed, sample_set)
    for name in ("samples.npz", "samples.json"):
        made[folder / name] = [model, *([guide] if guide else [])]
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
