"""Checkpoints released by others: whether one holds the network that a run describes."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltdm.config.datasets import Dataset
from ltdm.config.runs import TRAINED_HERE, Run, WeightSource
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import explain_read_errors, read_json
from ltdm.plumbing.option_values import to_config
from ltdm.plumbing.registry import Part
from ltdm.training import released
from ltdm.training.foreign_files import archive_digest

log = logging.getLogger("ltdm")


def attach_checkpoint(run: Run, data: Dataset, records: list[Path]) -> Run:
    """Return the run with its checkpoint as weight source, once that is checked to fit the run.

    If the checkpoint's file is gone, `records`, the run.json of each seed, are used instead, if
    they agree.

    Raises:
        OptionError: The checkpoint cannot be read, or contains another network.
    """
    path = Path(str(run.train.import_checkpoint))
    try:
        checkpoint = released.read_checkpoint(path)
        source = WeightSource(archive_digest(path), tuple(sorted(checkpoint.weights)))
    except LtdmError as error:
        source = _source_from_records(records)
        if not isinstance(error.__cause__, FileNotFoundError) or not source.content:
            raise OptionError(("train", "import_checkpoint"), str(error)) from error
        log.warning("%s; %s was made from it and is used instead", error, records[0].parent)
    else:
        _check_checkpoint(run, checkpoint, data)
    return replace(run, weight_source=source)


def _source_from_records(records: list[Path]) -> WeightSource:
    """Return the weight source that all records name; `TRAINED_HERE` if they differ."""
    sources = set()
    for file in records:
        record = read_json(file) if file.exists() else {}
        with explain_read_errors(file, "record of a run"):
            content = record.get("spec", {}).get("content", "")
            sources.add(WeightSource(content, tuple(record.get("weights", []))))
    return sources.pop() if len(sources) == 1 else TRAINED_HERE


def _check_checkpoint(run: Run, checkpoint: released.ReleasedCheckpoint, data: Dataset) -> None:
    """Refuse a checkpoint that holds another network than the run's."""
    use, shape, channels = run.label_role(data), checkpoint.shape, data.info.channels
    labels = {"input": len(data.class_counts), "nothing": 0, "network": "one network per class"}
    of_run = _comparable_fields(
        run.network, run.process, channels, labels[use], run.train.augment_dim()
    )
    of_file = _comparable_fields(
        checkpoint.network, checkpoint.process, shape.channels, shape.classes, shape.augment_dim
    )
    differences = [
        f"{name} is {value} in the checkpoint, {of_run[name]} in the run"
        for name, value in of_file.items()
        if value != of_run[name]
    ]
    if data.info.points:
        differences.append("it generates images, and the data are points")
    if differences:
        raise OptionError(
            ("train", "import_checkpoint"),
            f"{run.train.import_checkpoint} holds another network than the run's:"
            f" {'; '.join(differences)}; `ltdm import` prints the run that fits it",
        )


def _comparable_fields(
    network: Part, process: Part, channels: int, labels: Any, augment_dim: int
) -> dict[str, Any]:
    """Return, by description, what two networks must have in common to share weights."""
    # No file that can be read has the last two.
    names = (*released.WEIGHT_OPTIONS, "label_layers", "reserve")
    decisive = {name: to_config(getattr(network.options, name, None)) for name in names}
    return {
        "network": network.name,
        **{f"network.{k}": v for k, v in decisive.items()},
        "process": process.name,
        "process.T": getattr(process.options, "T", None),
        "process.noise_conditioning": getattr(process.options, "noise_conditioning", None),
        "the number of channels": channels,
        "the number of labels (0 if train.label_dropout is 1)": labels,
        "the size of the augmentation's conditioning (9 if train.augment is ada)": augment_dim,
    }
