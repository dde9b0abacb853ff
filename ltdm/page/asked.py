"""What an experiment asked for, in a line each, from the records of its results."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ltdm.config.layout import Layout
from ltdm.plumbing.errors import count_of
from ltdm.plumbing.files import explain_read_errors, read_json
from ltdm.reporting.rows import read_classes

Key = tuple[str, str]
"""Section and key of an option, as ("train", "steps"); the name of a part has no key."""
METHOD = ("method", "")
SECTIONS = ("network", "process", "method", "train", "sample")
RECORD = "record of ltdm"  # the kind of a file, for messages
RECORDS = ("train", "sample")  # rules whose records hold the options of a run


class Line(NamedTuple):
    """A line of what was asked."""

    name: str
    text: str


class RunOptions(NamedTuple):
    """The options of a run and its first sample set on a data set."""

    values: dict[Key, Any]  # of all options
    stated: set[Key]  # the options that are not at their defaults


def read_asked(
    layout: Layout, rows: pd.DataFrame, folders: Sequence[str]
) -> list[tuple[str, list[Line]]]:
    """Return what was asked, by title, from the records of the runs in tidy `rows`, and of sweeps.

    `folders` are those of a comparison, in which a run is `<folder>/<run>`, or one empty name.
    """
    datasets = [*rows["dataset"].unique()]
    asked = [("Data sets", dataset_lines(layout, datasets))]
    for folder in folders if datasets else ():
        own = rows[rows["run"].str.startswith(f"{folder}/")] if folder else rows
        options: dict[str, dict[str, RunOptions]] = {}
        for dataset in datasets:
            for run, wildcards in first_sets(own, dataset).items():
                records = [layout.path(f"{rule}.record", **wildcards) for rule in RECORDS]
                options.setdefault(run, {})[dataset] = read_options(*records)
        usual = usual_options(options)
        scores = [score_line(own)] if "metric" in own else []
        title = f"{folder}: {{}}".format if folder else "{}".format
        asked += [
            (title("Runs"), run_lines(options, usual)),
            (title("Seeds"), [Line(", ".join(map(str, own["seed"].unique())), "")]),
            (title("Protocol, unless a run says otherwise"), [*protocol_lines(usual), *scores]),
        ]
    asked.append(("Sweeps of the theory", sweep_lines(layout)))
    return [(title, lines) for title, lines in asked if lines]


def first_sets(rows: pd.DataFrame, dataset: str) -> dict[str, dict[str, Any]]:
    """Return the wildcards of each run's first sample set, of its first seed."""
    keys = ["dataset", "run", "seed", "sample_set"]
    entries = rows[rows["dataset"] == dataset].drop_duplicates("run")
    sets = entries[keys].itertuples(index=False)
    return {str(entry.run): dict(zip(keys, entry, strict=True)) for entry in sets}


def scored_networks(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the wildcards of the networks in tidy rows."""
    keys = ["dataset", "run", "seed"]
    networks = rows[keys].drop_duplicates().itertuples(index=False)
    return [dict(zip(keys, network, strict=True)) for network in networks]


def dataset_lines(layout: Layout, datasets: Iterable[str]) -> list[Line]:
    """Return each data set's size, classes, long tail and source."""
    lines = []
    for name in datasets:
        file = layout.path("prepare.record", dataset=name)
        record = read_json(file)
        train = read_classes(layout.path("prepare.counts", dataset=name))["train"]
        size = f"{train.sum():,} training images in {count_of(len(train), 'class', 'classes')}"
        with explain_read_errors(file, RECORD):
            profile = record.get("defaults", {}).get("longtail", {}).get("profile", "")
            tail = _options_text({"profile": profile, **record["longtail"]})
            source = _value_text(record["source"])
        most, fewest = f"{train.max():,}", f"{train.min():,}"
        per_class = most if most == fewest else f"{most} to {fewest}"
        text = f"{size}, {per_class} per class ({tail}) of {source}"
        lines.append(Line(name, text))
    return lines


def score_line(rows: pd.DataFrame) -> Line:
    """Return the metrics of tidy rows, with their options, the extractors and the numbers."""
    metrics = rows[["metric", "options"]].drop_duplicates().itertuples(index=False)
    texts = [f"{name} ({options})" if options else str(name) for name, options in metrics]
    extractors = ", ".join(rows["extractor"].unique())
    real = ", ".join(f"{number:,.0f}" for number in rows.groupby("dataset")["n_real"].max())
    return Line("scores", f"{', '.join(texts)}; features: {extractors}; {real} real images")


def sweep_lines(layout: Layout) -> list[Line]:
    """Return the options of each sweep of the theory lab that are not at their defaults."""
    records = sorted(layout.path("theory.record", sweep="any").parent.glob("*.json"))
    lines = []
    for file in records:
        record = read_json(file)
        with explain_read_errors(file, RECORD):
            lines.append(Line(file.stem, _options_text(record["spec"])))
    return lines


def run_lines(runs: Mapping[str, Mapping[str, RunOptions]], usual: Mapping[Key, Any]) -> list[Line]:
    """Return each run's method, and how else it differs from the `usual` options.

    `runs` are options by run and data set. A run that differs between data sets says how.
    """
    lines = []
    for run, by_dataset in runs.items():
        texts = {dataset: _run_text(options, usual) for dataset, options in by_dataset.items()}
        same = len({*texts.values()}) == 1
        parts = [text if same else f"{dataset}: {text}" for dataset, text in texts.items()]
        lines.append(Line(run, "; ".join(dict.fromkeys(parts))))
    return lines


def _run_text(options: RunOptions, usual: Mapping[Key, Any]) -> str:
    """Write a run's method and its unusual options; of an unusual part all that it states."""
    values, own = options.values, {}
    for key, value in values.items():
        name = key[0], ""
        if name in values and values[name] != usual.get(name):
            if key in options.stated:
                own[key] = value
        elif key in usual and value != usual[key]:
            own[key] = value
    method = _value_text(values[METHOD]) if METHOD in values else "released checkpoint"
    return "; ".join([method, *_section_texts({k: v for k, v in own.items() if k != METHOD})])


def protocol_lines(usual: Mapping[Key, Any]) -> list[Line]:
    """Return the usual options, a line per section."""
    sections = (text.partition(": ") for text in _section_texts(usual))
    return [Line(name, text) for name, _, text in sections]


def usual_options(runs: Mapping[str, Mapping[str, RunOptions]]) -> dict[Key, Any]:
    """Return the value that most runs have of each option that some run states.

    The options of a part (network, process) are those of the part that most runs have. The method
    is left out, since runs are there to compare methods.
    """
    entries = [options for by_dataset in runs.values() for options in by_dataset.values()]
    keys = dict.fromkeys(key for options in entries for key in options.values if key != METHOD)
    usual: dict[Key, Any] = {}
    for key in sorted(keys, key=lambda key: bool(key[1])):  # the names of parts come first
        name = key[0], ""
        same_part = [
            o for o in entries if o.values.get(name) == usual.get(name, o.values.get(name))
        ]
        if any(key in o.stated for o in same_part):
            texts = [
                json.dumps(o.values[key], sort_keys=True) for o in same_part if key in o.values
            ]
            usual[key] = json.loads(max(texts, key=texts.count))
    return {key: usual[key] for key in keys if key in usual}


def read_options(train: Path, sample: Path) -> RunOptions:
    """Return the options of a network and of a sample set, from their records.

    A record that is missing has none, and that of a released checkpoint no training.

    Raises:
        LtdmError: A record is damaged.
    """
    values: dict[Key, Any] = {}
    stated: set[Key] = set()
    for file, section in ((train, ""), (sample, "sample")):
        record = read_json(file) if file.is_file() else {}
        with explain_read_errors(file, RECORD):
            for part in ("defaults", "spec"):
                content = record.get(part, {})
                options = _by_key({section: content} if section else content)
                values |= {k: v for k, v in options.items() if part == "spec" or k != METHOD}
                stated |= {*options} if part == "spec" else set()
    return RunOptions(values, stated)


def _by_key(sections: Mapping[str, Any]) -> dict[Key, Any]:
    """Return options by section and key; the method, which may be several, is one option."""
    options: dict[Key, Any] = {}
    for section in (name for name in SECTIONS if name in sections):
        content = sections[section]
        if section == METHOD[0] or not isinstance(content, Mapping):
            options[section, ""] = content
        else:
            options |= {(section, "" if k == "name" else k): v for k, v in content.items()}
    return options


def _section_texts(options: Mapping[Key, Any]) -> list[str]:
    """Write options by section, as `train: steps 400, lr 0.003`; the name of a part comes first."""
    texts = []
    for section in dict.fromkeys(section for section, _ in options):
        own = sorted((k, v) for (s, k), v in options.items() if s == section)
        texts.append(f"{section}: {_options_text(dict(own))}")
    return texts


def _options_text(options: Mapping[str, Any]) -> str:
    """Write options in a line, as `steps 400, lr 0.003`."""
    return ", ".join(f"{key} {_value_text(value)}".strip() for key, value in options.items())


def _value_text(value: Any) -> str:
    """Write a value as short text; of a part its name, then its options."""
    if isinstance(value, Mapping):
        name, rest = value.get("name", ""), {k: v for k, v in value.items() if k != "name"}
        inner = _options_text(rest) if rest else "" if name else "defaults"
        return f"{name} ({inner})" if name and inner else str(name) or f"({inner})"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
