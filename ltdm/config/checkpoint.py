"""Whether a checkpoint that others released holds the network that a run asks for."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltdm.config.datasets import Dataset
from ltdm.config.runs import TRAINED_HERE, Run, WeightSource
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import read_json
from ltdm.plumbing.option_values import to_config
from ltdm.plumbing.registry import Part
from ltdm.training import released

log = logging.getLogger("ltdm")


def attach_checkpoint(run: Run, data: Dataset, records: list[Path]) -> Run:
    """Return a run that knows its checkpoint, once that holds the run's network.

    `records`, the run.json of each seed, stand for a file that is gone if they say the same.
    """
    path = Path(str(run.train.import_checkpoint))
    try:
        held = released.read(path)
        source = WeightSource(released.content(path), tuple(sorted(held.weights)))
    except LtdmError as error:
        source = _source_from_records(records)
        if not isinstance(error.__cause__, FileNotFoundError) or not source.content:
            raise OptionError(("train", "import_checkpoint"), str(error)) from error
        log.warning("%s; %s was made from it and is used", error, records[0].parent)
    else:
        _check_checkpoint(run, held, data)
    return replace(run, weight_source=source)


def _source_from_records(records: list[Path]) -> WeightSource:
    """Return what the records say that a run's checkpoint was, if they say the same."""
    found = set()
    for file in records:
        made = read_json(file) if file.exists() else {}
        found.add(
            WeightSource(made.get("spec", {}).get("content", ""), tuple(made.get("weights", [])))
        )
    return found.pop() if len(found) == 1 else TRAINED_HERE


def _check_checkpoint(run: Run, held: released.Released, data: Dataset) -> None:
    """Refuse a checkpoint that holds another network than the run's."""
    use, shape = run.label_use(data), held.shape
    classes = {"input": len(data.class_counts), "nothing": 0, "network": "one a network"}[use]
    here = _comparable_fields(
        run.network, run.process, data.census.channels, classes, run.train.told()
    )
    there = _comparable_fields(
        held.network, held.process, shape.channels, shape.classes, shape.told
    )
    differing = [f"{k} is {v} there, {here[k]} here" for k, v in there.items() if v != here[k]]
    if data.census.points:
        differing.append("it draws images, and the data are points")
    if differing:
        raise OptionError(
            ("train", "import_checkpoint"),
            f"{run.train.import_checkpoint} holds another network than the run's:"
            f" {', '.join(differing)}; `ltdm import` prints the run that fits it",
        )


def _comparable_fields(
    network: Part, process: Part, channels: int, classes: Any, told: int
) -> dict[str, Any]:
    """Return what two networks must have in common to share weights."""
    decided = {k: to_config(getattr(network.options, k, None)) for k in released.DECIDED}
    return {
        "network": network.name, **{f"network.{k}": v for k, v in decided.items()},
        "process": process.name, "process.T": getattr(process.options, "T", None),
        "process.noise_conditioning": getattr(process.options, "noise_conditioning", None),
        "the number of channels": channels,
        "the number of labels that it knows (none if train.label_dropout is 1)": classes,
        "what it is told of the augmentation (9 numbers if train.augment is ada)": told,
    }  # fmt: skip
