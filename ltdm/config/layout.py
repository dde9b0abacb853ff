"""The table of rules: every file of an experiment's results, its rule, and that rule's inputs.

No other Python file spells these names. The files in `rules/` spell them too, for their readers; a
test compares both. Commands, records, lineage, status and manifest follow from the table.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltdm.config import rules
from ltdm.config.rules import NETWORK, SAMPLE_SET, Rule, figure_files, in_folder, jobs_per

DATA = "data/{dataset}"
RUN = "runs/{dataset}/{run}/seed-{seed}"
SAMPLES = RUN + "/{sample_set}"
MANIFEST = "manifest.json"
PAGE = "index.html"
COMPARISON = "comparison.json"  # what `ltdm compare` compared; no other folder has one
PLOTS = ("counts", "per_class", "training", "intervals", "cost")
FIGURES = {**dict.fromkeys(PLOTS, rules.FIGURE_FORMATS), "samples": ("png",)}
"""The figures of a data set and their file formats: pictures of pixels are PNG alone."""


RULES = {
    "prepare": Rule(
        jobs_per("dataset"),
        in_folder(
            DATA,
            train="train.npz",
            reference="reference.npz",
            counts="counts.csv",
            record="data.json",
        ),
    ),
    "extractor": Rule(
        jobs_per("dataset", "extractor"),
        in_folder(
            f"{DATA}/extractors", weights="{extractor}.safetensors", record="{extractor}.json"
        ),
        {"reference": "prepare.reference"},
    ),
    "reference_features": Rule(
        jobs_per("dataset", "extractor"),
        {"features": DATA + "/features/{extractor}.npz"},
        {"images": "prepare.reference", "weights": "extractor.weights"},
        stage="features",
    ),
    "unseen_neighbours": Rule(
        jobs_per("dataset", "search"),
        {"neighbours": DATA + "/neighbours/{metric}.npz"},
        {"train": "prepare.train", "images": "prepare.reference"},
        stage="neighbours",
    ),
    "train": Rule(
        rules.list_networks,
        in_folder(RUN, model="model.safetensors", history="history.csv", record="run.json"),
        {"data": "prepare.train", "init": rules.initial_network},
    ),
    "ema": Rule(
        rules.list_ema_widths,
        in_folder(
            f"{RUN}/posthoc_ema", output="{sigma_rel}.safetensors", record="{sigma_rel}.json"
        ),
        {"model": "train.model"},
    ),
    "sample": Rule(
        jobs_per(*SAMPLE_SET),
        in_folder(SAMPLES, samples="samples.npz", record="samples.json"),
        {"model": rules.sampled_network, "guide": rules.guide_network},
    ),
    "sample_sheet": Rule(
        jobs_per(*SAMPLE_SET),
        {"picture": SAMPLES + "/sample_sheet.png"},
        {"images": "sample.samples", "counts": "prepare.counts"},
        pictures_only=True,
    ),
    "reference_sheet": Rule(
        jobs_per("dataset"),
        {"picture": DATA + "/sample_sheet.png"},
        {"images": "prepare.reference", "counts": "prepare.counts"},
        stage="sample_sheet",
        pictures_only=True,
    ),
    "features": Rule(
        jobs_per(*SAMPLE_SET, "extractor"),
        {"features": SAMPLES + "/features/{extractor}.npz"},
        {"images": "sample.samples", "weights": "extractor.weights"},
    ),
    "neighbours": Rule(
        jobs_per(*SAMPLE_SET, "search"),
        {"neighbours": SAMPLES + "/neighbours/{metric}.npz"},
        {"train": "prepare.train", "images": "sample.samples"},
    ),
    "copies_figure": Rule(
        jobs_per(*SAMPLE_SET, "search"),
        {"picture": SAMPLES + "/neighbours/{metric}.png"},
        {
            "neighbours": "neighbours.neighbours",
            "samples": "sample.samples",
            "train": "prepare.train",
            "counts": "prepare.counts",
        },
        pictures_only=True,
    ),
    "metrics": Rule(
        jobs_per(*SAMPLE_SET, "metric"),
        in_folder(f"{SAMPLES}/metrics", table="{metric}.csv", record="{metric}.json"),
        {
            "counts": "prepare.counts",
            "real": rules.metric_inputs(
                "reference_features.features", "unseen_neighbours.neighbours"
            ),
            "fake": rules.metric_inputs("features.features", "neighbours.neighbours"),
        },
    ),
    "tuning_metrics": Rule(
        jobs_per(*SAMPLE_SET, only=rules.has_tuning),
        in_folder(SAMPLES, table="tuning.csv", record="tuning.json"),
        {
            "counts": "prepare.counts",
            "real": rules.tuning_features("reference_features.features"),
            "fake": rules.tuning_features("features.features"),
        },
        stage="metrics",
    ),
    "tables": Rule(
        jobs_per(),
        {
            "tidy": "tables/metrics.csv",
            "differences": "tables/differences.csv",
            "main": "tables/main.html",
            "vs_baseline": "tables/vs_baseline.html",
            "others": ("tables/{table}.{form}",),
            "record": "tables/tables.json",
        },
        {"metrics": "metrics.table"},
    ),
    "tuned_tables": Rule(
        jobs_per(only=rules.has_tuning),
        {
            "scores": "tables/tuning.csv",
            "main": "tables/tuned.html",
            "others": ("tables/tuned.{form}",),
        },
        {"tidy": "tables.tidy", "tuning": "tuning_metrics.table"},
    ),
    "figures": Rule(
        jobs_per("dataset"),
        {
            f"{figure}_{form}": f"figures/{{dataset}}-{figure.replace('_', '-')}.{form}"
            for figure, forms in FIGURES.items()
            for form in forms
        },
        {
            "counts": "prepare.counts",
            "reference": "prepare.reference",
            "tidy": "tables.tidy",
            "records": "train.record",
            "histories": "train.history",
            "samples": rules.first_samples,
        },
        pictures_only=True,
    ),
    "ema_width_figure": Rule(
        rules.list_ema_sweeps,
        figure_files("{dataset}-ema-width"),
        {"tidy": "tables.tidy"},
        pictures_only=True,
    ),
    "guidance_figure": Rule(
        rules.list_guidance_sweeps,
        figure_files("{dataset}-guidance"),
        {"tidy": "tables.tidy", "scores": rules.tuning_scores},
        pictures_only=True,
    ),
    "probe_split": Rule(
        jobs_per("dataset", only=rules.has_probe),
        in_folder(DATA, test="probe_split.npz", record="probe_split.json"),
        {"reference": "prepare.reference"},
    ),
    "probe": Rule(
        jobs_per(*NETWORK, only=rules.has_probe),
        in_folder(RUN, table="probe.csv", record="probe.json"),
        {
            "model": "train.model",
            "train": rules.probe_training_images,
            "test": "probe_split.test",
            "counts": "prepare.counts",
        },
    ),
    "probe_tables": Rule(
        jobs_per(only=rules.has_probe),
        {
            "tidy": "tables/probe-all.csv",
            "main": "tables/probe.html",
            "others": ("tables/probe.{form}",),
        },
        {"probes": "probe.table"},
    ),
    "probe_figure": Rule(
        jobs_per("dataset", only=rules.has_probe),
        figure_files("{dataset}-probe"),
        {"tidy": "probe_tables.tidy"},
        pictures_only=True,
    ),
    "theory": Rule(
        jobs_per("sweep"),
        in_folder("theory", rows="{sweep}.csv", networks="{sweep}.npz", record="{sweep}.json"),
    ),
    "theory_tables": Rule(
        jobs_per(only=rules.has_theory),
        {
            "findings": "tables/theory.html",
            "tables": ("tables/theory-{sweep}.html",),
            "others": ("tables/theory.{form}", "tables/theory-{sweep}.{form}"),
        },
        {"rows": "theory.rows"},
    ),
    "theory_figure": Rule(
        rules.list_theory_figures,
        figure_files("theory-{sweep}-{figure}"),
        {"rows": "theory.rows", "networks": "theory.networks"},
        pictures_only=True,
    ),
}
"""All rules except `all`, `sample_shard`, `manifest` and `page`, which need the files of these."""


@dataclass(frozen=True)
class Layout:
    """The files of one experiment's results, below the folder `root`."""

    root: Path

    def path(self, artefact: str, **wildcards: Any) -> Path:
        """Return the path of an artefact (`rule.keyword`) that is one file."""
        rule, keyword = artefact.split(".")
        return self.root / str(RULES[rule].outputs[keyword]).format(**wildcards)

    @property
    def compile_cache(self) -> Path:
        """The folder of compiled kernels: no results, safe to delete."""
        return self.root / ".compiled"


def path_in_dataset(artefact: str, **wildcards: Any) -> str:
    """Return the path of a data set's artefact below the data set's folder, `data/<dataset>/`."""
    path = Layout(Path()).path(artefact, dataset="any", **wildcards)
    return path.relative_to(DATA.format(dataset="any")).as_posix()
