"""Results that another config made: found before they are taken for this one's.

Snakemake remembers what made a file, as long as its own notes are there. Beside a fresh clone, on
another machine, or after somebody else's hand, the files' records have to say it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.options import changed
from ltdm.plumbing.registry import stage_code
from ltdm.stages import theory

SHOWN = 3  # files, and differing keys of each, that are named; the rest are counted


class Claim(NamedTuple):
    """What a file must be to be this experiment's.

    Attributes:
        record: A JSON file beside what it describes.
        wanted: What must stand there, as the rule's params have it.
        links: Keys of it, and where the same values stand in the records of what it is made from.
    """

    record: Path
    wanted: Mapping[str, Any]
    links: tuple[tuple[str, Path, tuple[str, ...]], ...] = ()


def claims(experiment: Experiment) -> Iterator[Claim]:
    """Yield what the config asks of every file that says what it is; nothing is read."""
    evaluate, layout = experiment.evaluate, experiment.layout
    for name, data in experiment.datasets.items():
        folder = layout.data(name)
        yield Claim(folder / "data.json", {**data.spec(), "code": data.code()})
        for part in evaluate.features:
            wanted = {"extractor": part.plain(), "code": stage_code("extractor", part)}
            yield Claim(folder / f"extractors/{part.label}.json", wanted)
    for (dataset, name), run in experiment.runs.items():
        link = "data", layout.data(dataset) / "data.json", ("sha256", "train.npz")
        for seed in experiment.grid["seed"]:
            record = layout.run(dataset, name, seed) / "run.json"
            wanted = {"spec": run.spec(), "code": run.train_code(), "seed": seed}
            start = experiment.init(dataset, name, seed)
            init = [("init", start.with_name("run.json"), ("key",))] if start else []
            yield Claim(record, wanted, (link, *init))
            for width in run.widths:
                of = "of", record, ("key",)
                average = layout.model(dataset, name, seed, width).with_suffix(".json")
                yield Claim(average, {"sigma_rel": width, "code": stage_code("posthoc")}, (of,))
    for dataset, name, seed, sample_set in product(*experiment.grid.values()):
        yield from _of_samples(experiment, dataset, name, seed, sample_set)
    yield from _of_probes(experiment)
    for name, sweep in experiment.sweeps.items():
        yield Claim(layout.sweep(name).with_suffix(".json"), theory.asked(sweep))
    wanted = {**experiment.shown(), "code": stage_code("tables")}
    yield Claim(layout.root / "tables/tables.json", wanted)


def _of_samples(
    experiment: Experiment, dataset: str, name: str, seed: int, sample_set: str
) -> Iterator[Claim]:
    evaluate, run = experiment.evaluate, experiment.runs[dataset, name]
    folder = experiment.layout.samples(dataset, name, seed, sample_set)
    model, own = experiment.model(dataset, name, seed, sample_set), folder.parent / "run.json"
    averaged = run.samples[sample_set].sigma_rel is not None
    links = [("model", model.with_suffix(".json") if averaged else own, ("key",))]
    guide = experiment.guide(dataset, name, seed, sample_set)
    if guide:
        links.append(("guide", guide.with_name("run.json"), ("key",)))
    wanted = {"spec": changed(run.samples[sample_set]), "code": run.sample_code(sample_set)}
    yield Claim(folder / "samples.json", {**wanted, "seed": seed}, tuple(links))
    for part in evaluate.metrics:
        scored = {
            "metric": part.plain(), "groups": evaluate.grouping(),
            "extractors": list(evaluate.files(part)),
            "code": stage_code("metrics", part),
        }  # fmt: skip
        yield Claim(folder / f"metrics/{part.label}.json", scored)


def _of_probes(experiment: Experiment) -> Iterator[Claim]:
    probe, layout, grid = experiment.evaluate.probe, experiment.layout, experiment.grid
    if probe is None:
        return
    for dataset in grid["dataset"]:
        data, test = experiment.datasets[dataset], layout.data(dataset) / "test.json"
        yield Claim(test, {**data.test_spec(), "code": data.test_code()})
        for run, seed in product(grid["run"], grid["seed"]):
            folder = layout.run(dataset, run, seed)
            wanted = {
                "probe": changed(probe), "groups": experiment.evaluate.probe_grouping(),
                "code": experiment.runs[dataset, run].probe_code(), "seed": seed,
            }  # fmt: skip
            link = "model", folder / "run.json", ("key",)
            yield Claim(folder / "probe.json", wanted, (link,))


def refuse_foreign(experiment: Experiment, remembered: Callable[[Path], list[str] | None]) -> None:
    """Compare every record that is there with what the config asks for.

    Args:
        experiment: The experiment.
        remembered: Gives the params that Snakemake remembers of a file, as text; None if none. A
            file of which it remembers other params than today's is about to be made anew.

    Raises:
        LtdmError: Files were made by another config, or by other code.
    """
    found = []
    for claim in claims(experiment):
        params = remembered(claim.record)
        if not claim.record.exists() or (params is not None and _stale(claim, params)):
            continue
        wanted = claim.wanted if params is not None else {**claim.wanted, **_linked(claim)}
        made = read_json(claim.record)
        differing = differences({key: made.get(key) for key in wanted}, wanted)
        if differing:
            found.append(f"{claim.record} ({_few(differing)})")
    if found:
        raise LtdmError(
            f"made by another config or other code: {_few(found)}; give this experiment another"
            " name, or delete what is named to have it made anew"
        )


def finished(record: Path, claimed: Mapping[Path, Claim]) -> bool:
    """Whether a record, and those of all that it is made from, say what the config asks for.

    Args:
        record: The record.
        claimed: What the config asks of every record.
    """
    claim = claimed[record]
    if not all(finished(source, claimed) for _, source, _ in claim.links):
        return False
    try:
        made = read_json(record)
    except LtdmError:  # missing or damaged
        return False
    return all(made.get(key) == value for key, value in {**claim.wanted, **_linked(claim)}.items())


def differences(made: Any, wanted: Any, path: str = "") -> list[str]:
    """Return a phrase for each key in which two nested mappings differ, sorted by key."""
    if not (isinstance(made, Mapping) and isinstance(wanted, Mapping)):
        if made == wanted:
            return []
        there, here = ("unset" if v is None else json.dumps(v) for v in (made, wanted))
        return [f"{path} is {there} there, {here} here"]
    found = []
    for key in sorted({*made, *wanted}):
        below = f"{path}.{key}" if path else str(key)
        found += differences(made.get(key), wanted.get(key), below)
    return found


def _stale(claim: Claim, params: list[str]) -> bool:
    """Whether some of what is wanted is not among the params that Snakemake remembers.

    The seed is in the file's path, and a data set's spec is one param.
    """
    spec = {k: v for k, v in claim.wanted.items() if k not in ("seed", "code")}
    apart = {repr(value) for value in spec.values()} <= {*params}
    return repr(claim.wanted["code"]) not in params or not (apart or repr(spec) in params)


def _linked(claim: Claim) -> dict[str, Any]:
    """Return what must stand in a record, by those of what it is made from, if they are there."""
    found = {}
    for key, record, path in claim.links:
        if record.exists():
            value: Any = read_json(record)
            for step in path:
                value = value.get(step, {})
            found[key] = value
    return found


def _few(things: list[str]) -> str:
    more = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return f"{', '.join(things[:SHOWN])}{more}"
