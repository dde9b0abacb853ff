"""A made-up results folder, with everything that the page of results reads."""

import numpy as np
import pandas as pd

from ltdm.config.layout import FIGURES, Layout
from ltdm.plumbing.files import read_json, write_json, write_npz, write_text
from ltdm.plumbing.request import Request
from ltdm.reporting.rows import SCORE_COLUMNS, read_rows, write_rows
from ltdm.stages import figures, sample_sheet, tables
from tests.helpers.figure_files import HISTORY_ROWS, RECORD

COLUMNS = ["frechet", "frechet@tail", "recall@tail"]
SPEC = {
    "network": {"name": "unet", "ch": 24, "norm_groups": 8},
    "process": {"name": "vp"},
    "method": {"name": "ddpm"},
    "train": {"steps": 400, "batch_size": 48},
}
DEFAULTS = {"network": {"dropout": 0.1}, "train": {"class_sampling": "natural"}, "method": [{}]}
SAMPLE_SPEC = {"num_images": 1000, "sampler": {"name": "ddim", "steps": 16}, "guidance": 0.8}


def class_counts(classes):
    """counts.csv of an exponential long tail; the rarest class is number 0."""
    train = np.geomspace(5, 500, classes).round().astype(int)
    names = [f"class {k}" for k in range(classes)]
    return pd.DataFrame({"class": range(classes), "name": names, "available": 500, "train": train})


def score_rows(dataset, runs, seeds, classes, num_images=1000):
    """Tidy rows of two metrics: later runs are better, rarer classes worse, seeds differ a bit."""
    rng = np.random.default_rng(0)
    rows = []
    for number, run in enumerate(runs):
        for seed in seeds:
            by_class = 20 * np.linspace(1, 0.2, classes) / (1 + 0.2 * number)
            by_class *= 1 + 0.05 * rng.standard_normal(classes)
            groups = {"all": by_class.mean(), "tail": by_class[: classes // 3 + 1].mean()}
            groups |= {f"class-{k}": value for k, value in enumerate(by_class)}
            for metric, scale in (("frechet", 1.0), ("recall", 0.02)):
                for group, value in groups.items():
                    rows.append([run, seed, metric, group, scale * value, 0.02 * scale * value])
    frame = pd.DataFrame(rows, columns=["run", "seed", "metric", "group", "value", "error"])
    constants = {"dataset": dataset, "sample_set": "main", "sampler": "ddim(steps=16)"}
    constants |= {"guidance": 0.8, "weights": "ema", "extractor": "pixels", "options": ""}
    constants |= {"baseline": np.nan, "n_real": 500, "n_generated": num_images, "note": ""}
    return frame.assign(**constants)[[*SCORE_COLUMNS, "n_real", "n_generated"]]


def write_results(
    root, datasets=("digits-lt",), runs=("ddpm", "cbdm"), seeds=(0, 1), classes=10, rows=None
):
    """Write a results folder of these data sets, runs and seeds, by the stages that make tables.

    `rows` are tidy rows to take in place of `score_rows`.
    """
    layout = Layout(root)
    parts = [score_rows(dataset, runs, seeds, classes) for dataset in datasets]
    all_rows = pd.concat(parts) if rows is None else rows
    for dataset in datasets:
        write_dataset(layout, dataset, classes)
        for run in runs:
            for seed in seeds:
                write_network(layout, dataset, run, seed)
    write_tables(layout, all_rows, baseline=runs[0])
    for dataset in datasets:
        draw_figures(layout, dataset, runs, seeds)
    config = {"experiment": root.name, "defaults": {"train": {"steps": 400}}}
    origins = {"experiment": "config/made-up.yaml", "defaults.train.steps": "config/base.yaml"}
    write_json(root / "logs/run-0.json", {"config": config, "origins": origins})
    manifest = {"versions": {"torch": "2.11"}, "commit": "0" * 40}
    manifest["files"] = {"tables/main.csv": {"sha256": "ab" * 32, "bytes": 100, "from": []}}
    write_json(root / "manifest.json", manifest)
    write_text(root / "benchmarks/tables.tsv", "s\th:m:s\n1.5\t0:00:01\n")
    return root


def write_dataset(layout, dataset, classes):
    """Write a data set's record, counts, images (a grey level per class) and sheet."""
    counts = layout.path("prepare.counts", dataset=dataset)
    counts.parent.mkdir(parents=True)
    class_counts(classes).to_csv(counts, index=False)
    digests = {f"{part}.npz": f"{part} of {dataset}" for part in ("train", "reference")}
    census = {"channels": 1, "side": 8, "sizes": [500] * classes}
    record = {"source": {"name": "digits"}, "longtail": {"imbalance": 0.01}, "sha256": digests}
    record |= {"census": census, "code": "prepare digits: 0"}
    write_json(layout.path("prepare.record", dataset=dataset), record)
    extractor = {"code": "extractor pixels: 0", "extractor": {"name": "pixels"}, "defaults": {}}
    path = layout.path("extractor.record", dataset=dataset, extractor="pixels")
    write_json(path, extractor)
    path.with_suffix(".safetensors").write_bytes(b"no weights")
    images = layout.path("prepare.reference", dataset=dataset)
    labels = np.repeat(np.arange(classes), 10)
    shades = (labels * 255 // classes).astype(np.uint8)
    write_npz(images, images=shades[:, None, None, None].repeat(8, 2).repeat(8, 3), labels=labels)
    picture = layout.path("reference_sheet.picture", dataset=dataset)
    draw_sheet(images, counts, picture)


def draw_sheet(images, counts, picture):
    picture.parent.mkdir(parents=True, exist_ok=True)
    sample_sheet.run(Request(shuffled=False), images=images, counts=counts, picture=picture)


def write_network(layout, dataset, run, seed):
    """Write the records of a network and its sample set, its history, and a sheet."""
    where = {"dataset": dataset, "run": run, "seed": seed, "sample_set": "main"}
    method = "cbdm" if run == "cbdm" else "ddpm"
    spec = {**SPEC, "method": {"name": method}}
    record = {**RECORD, "spec": spec, "defaults": DEFAULTS, "versions": {"torch": "2.11"}}
    write_json(layout.path("train.record", **where), record)
    history = pd.DataFrame(HISTORY_ROWS)
    write_text(layout.path("train.history", **where), history.to_csv(index=False))
    sampled = {"spec": SAMPLE_SPEC, "defaults": {"precision": "fp32"}, "code": "sample ddim: 0"}
    write_json(layout.path("sample.record", **where), sampled)
    for metric in ("frechet", "precision-recall"):
        scored = {"metric": {"name": metric}, "defaults": {"k": 3}, "groups": {"kinds": ["all"]}}
        scored["code"] = f"metrics {metric}: 0"
        write_json(layout.path("metrics.record", **where, metric=metric), scored)
    reference, counts = (layout.path(f"prepare.{k}", **where) for k in ("reference", "counts"))
    draw_sheet(reference, counts, layout.path("sample_sheet.picture", **where))


def write_tables(layout, rows, baseline, columns=COLUMNS):
    """Write the tables of tidy rows."""
    names = ("tidy", "differences", "main", "vs_baseline", "record")
    files = {name: layout.path(f"tables.{name}") for name in names}
    files["tidy"].parent.mkdir(parents=True, exist_ok=True)
    part = layout.root / "rows.csv"
    write_rows(rows, part)
    request = Request(columns=list(columns), extractors=["pixels"], baseline=baseline)
    tables.run(request, metrics=[part], others=[], **files)
    part.unlink()


def rescore(root, **columns):
    """Write the tables of a results folder again, of rows with other values in some columns."""
    layout = Layout(root)
    rows = read_rows(layout.path("tables.tidy")).assign(**columns)
    write_tables(layout, rows, "ddpm")


def edit_records(root, pattern, change):
    """Change the contents of the records at a path; with {run} and {seed}, those of all of them."""
    for path in root.glob(pattern.format(run="*", seed="*")):
        record = read_json(path)
        change(record)
        write_json(path, record)


def draw_figures(layout, dataset, runs, seeds):
    """Write the numbers behind a data set's figures; the page needs no picture of them."""
    request = {"metric": "frechet", "extractor": "pixels", "columns": COLUMNS}
    request |= {"extractors": ["pixels"], "baseline": runs[0], "runs": list(runs)}
    request |= {"seeds": list(seeds), "where": {"dataset": dataset}}
    networks = [{"dataset": dataset, "run": run, "seed": seed} for run in runs for seed in seeds]
    reference = layout.path("prepare.reference", dataset=dataset)
    outputs = {
        f"{figure}_csv": layout.path(f"figures.{figure}_csv", dataset=dataset)
        for figure, forms in FIGURES.items()
        if "csv" in forms
    }
    next(iter(outputs.values())).parent.mkdir(parents=True, exist_ok=True)
    figures.run(
        Request(request),
        counts=layout.path("prepare.counts", dataset=dataset),
        reference=reference,
        tidy=layout.path("tables.tidy"),
        records=[layout.path("train.record", **network) for network in networks],
        histories=[layout.path("train.history", **network) for network in networks],
        samples=[reference] * len(runs),
        **outputs,
    )
