"""What an experiment asked for, in a line each, from the records of its results."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ltdm.plumbing.errors import count_of
from ltdm.plumbing.files import read_json
from ltdm.reporting.rows import read_classes

Options = dict[tuple[str, str], Any]
"""Values by section and key, as ("train", "steps"); a part, such as the method, has no key."""
SECTIONS = ("train", "sample")


class Line(NamedTuple):
    """A line of what was asked."""

    name: str
    text: str


def dataset_lines(root: Path, datasets: Iterable[str]) -> list[Line]:
    """Return each data set's size, classes, long tail and source."""
    lines = []
    for name in datasets:
        folder = root / "data" / name
        record, counts = read_json(folder / "data.json"), read_classes(folder / "counts.csv")
        train = counts["train"]
        size = f"{train.sum():,} training images in {count_of(len(train), 'class', 'classes')}"
        tail = _options_text({"profile": "exp", **record["longtail"]})
        source = _value_text(record["source"])
        text = f"{size}, {train.max():,} to {train.min():,} per class ({tail}) of {source}"
        lines.append(Line(name, text))
    return lines


def run_lines(runs: Mapping[str, Mapping[str, Options]], common: Options) -> list[Line]:
    """Return how each run differs from what all have in `common`.

    `runs` are options by run and data set. A run that differs between data sets says how.
    """
    lines = []
    for run, by_dataset in runs.items():
        texts = {}
        for dataset, options in by_dataset.items():
            own = {key: value for key, value in options.items() if common.get(key) != value}
            texts[dataset] = _sections_text(own) or "as above"
        same = len({*texts.values()}) == 1
        parts = [text if same else f"{dataset}: {text}" for dataset, text in texts.items()]
        lines.append(Line(run, "; ".join(dict.fromkeys(parts))))
    return lines


def protocol_lines(common: Options) -> list[Line]:
    """Return the options that all runs have in common, a line per section."""
    sections = dict.fromkeys(section for section, _ in common)
    return [
        Line(name, _options_text({k: v for (section, k), v in common.items() if section == name}))
        for name in sections
    ]


def common_options(runs: Mapping[str, Mapping[str, Options]]) -> Options:
    """Return the options that are the same in all runs on all data sets."""
    first, *others = [options for by_dataset in runs.values() for options in by_dataset.values()]
    return {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}


def read_options(train: Path, sample: Path) -> Options:
    """Return the options that are not at their defaults, from two records, of which one may lack.

    `train` is the record of a network, `sample` that of a sample set.
    """
    spec: dict[str, Any] = read_json(train)["spec"] if train.is_file() else {}
    if sample.is_file():
        spec = {**spec, "sample": read_json(sample)["spec"]}
    options: Options = {}
    for section, content in spec.items():
        if section in SECTIONS:
            options |= {(section, key): value for key, value in content.items()}
        else:
            options[section, ""] = content
    return options


def _sections_text(options: Options) -> str:
    """Write options of several sections; `train: steps 400; method cbdm`."""
    parts = []
    for section in dict.fromkeys(section for section, _ in options):
        text = _options_text({k: v for (s, k), v in options.items() if s == section})
        parts.append(f"{section}: {text}")
    return "; ".join(parts)


def _options_text(options: Mapping[str, Any]) -> str:
    """Write options in a line, as `steps 400, lr 0.003`."""
    return ", ".join(f"{key} {_value_text(value)}".strip() for key, value in options.items())


def _value_text(value: Any) -> str:
    """Write a value as short text; of a part its name, then its options."""
    if isinstance(value, Mapping):
        name, rest = value.get("name", ""), {k: v for k, v in value.items() if k != "name"}
        inner = ", ".join(f"{key} {_value_text(v)}" for key, v in rest.items())
        return f"{name} ({inner})" if name and inner else name or f"({inner})"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value_text, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
