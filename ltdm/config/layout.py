"""Every file of an experiment's results: which rule writes it, and what from.

This is the one place in Python that spells them. The rules spell them too, where users look; a
test holds that both say the same. Commands, records, lineage, status and manifest follow from it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltdm.config import steps
from ltdm.config.steps import NETWORK, SAMPLE_SET, Step, over, probed

DATA = "data/{dataset}"
RUN = "runs/{dataset}/{run}/seed-{seed}"
SAMPLES = RUN + "/{sample_set}"
MANIFEST = "manifest.json"
BOTH = ("png", "svg")
FIGURES = {"counts": BOTH, "per_class": BOTH, "training": BOTH, "samples": ("png",)}
"""The figures of a data set, and their forms: pictures of pixels have one."""


def below(folder: str, **files: str) -> dict[str, str]:
    """Return files by keyword with the folder that they lie in."""
    return {keyword: f"{folder}/{file}" for keyword, file in files.items()}


def pictures(name: str) -> dict[str, str]:
    """Return the two files of a figure."""
    return {form: f"figures/{name}.{form}" for form in BOTH}


STEPS = {
    "prepare": Step(
        over("dataset"),
        below(
            DATA,
            train="train.npz",
            reference="reference.npz",
            counts="counts.csv",
            record="data.json",
        ),
    ),
    "extractor": Step(
        over("dataset", "extractor"),
        below(f"{DATA}/extractors", weights="{extractor}.safetensors", record="{extractor}.json"),
        {"reference": "prepare.reference"},
    ),
    "reference_features": Step(
        over("dataset", "extractor"),
        {"features": DATA + "/features/{extractor}.npz"},
        {"images": "prepare.reference", "weights": "extractor.weights"},
        stage="features",
    ),
    "unseen_neighbours": Step(
        over("dataset", "search"),
        {"neighbours": DATA + "/neighbours/{metric}.npz"},
        {"train": "prepare.train", "images": "prepare.reference"},
        stage="neighbours",
    ),
    "train": Step(
        steps.networks,
        below(RUN, model="model.safetensors", history="history.csv", record="run.json"),
        {"data": "prepare.train", "init": steps.start},
    ),
    "ema": Step(
        steps.averages,
        below(f"{RUN}/ema", output="{sigma_rel}.safetensors", record="{sigma_rel}.json"),
        {"model": "train.model"},
    ),
    "sample": Step(
        over(*SAMPLE_SET),
        below(SAMPLES, samples="samples.npz", record="samples.json"),
        {"model": steps.sampled, "guide": steps.guiding},
    ),
    "sample_sheet": Step(
        over(*SAMPLE_SET),
        {"picture": SAMPLES + "/sample_sheet.png"},
        {"samples": "sample.samples"},
        draws=True,
    ),
    "features": Step(
        over(*SAMPLE_SET, "extractor"),
        {"features": SAMPLES + "/features/{extractor}.npz"},
        {"images": "sample.samples", "weights": "extractor.weights"},
    ),
    "neighbours": Step(
        over(*SAMPLE_SET, "search"),
        {"neighbours": SAMPLES + "/neighbours/{metric}.npz"},
        {"train": "prepare.train", "images": "sample.samples"},
    ),
    "copies_figure": Step(
        over(*SAMPLE_SET, "search"),
        {"picture": SAMPLES + "/neighbours/{metric}.png"},
        {
            "neighbours": "neighbours.neighbours",
            "samples": "sample.samples",
            "train": "prepare.train",
            "counts": "prepare.counts",
        },
        draws=True,
    ),
    "metrics": Step(
        over(*SAMPLE_SET, "metric"),
        below(f"{SAMPLES}/metrics", table="{metric}.csv", record="{metric}.json"),
        {
            "counts": "prepare.counts",
            "real": steps.scored("reference_features.features", "unseen_neighbours.neighbours"),
            "fake": steps.scored("features.features", "neighbours.neighbours"),
        },
    ),
    "tables": Step(
        over(),
        {
            "tidy": "tables/metrics.csv",
            "differences": "tables/differences.csv",
            "main": "tables/main.csv",
            "vs_baseline": "tables/vs_baseline.csv",
            "others": ("tables/{table}.{form}",),
            "record": "tables/tables.json",
        },
        {"metrics": "metrics.table"},
    ),
    "figures": Step(
        over("dataset"),
        {
            f"{figure}_{form}": f"figures/{{dataset}}-{figure.replace('_', '-')}.{form}"
            for figure, forms in FIGURES.items()
            for form in forms
        },
        {
            "counts": "prepare.counts",
            "reference": "prepare.reference",
            "tidy": "tables.tidy",
            "histories": "train.history",
            "samples": steps.shown_samples,
        },
        draws=True,
    ),
    "ema_width_figure": Step(
        steps.several_widths, pictures("{dataset}-ema-width"), {"tidy": "tables.tidy"}, draws=True
    ),
    "probe_split": Step(
        over("dataset", only=probed),
        below(DATA, test="probe_split.npz", record="probe_split.json"),
        {"reference": "prepare.reference"},
    ),
    "probe": Step(
        over(*NETWORK, only=probed),
        below(RUN, table="probe.csv", record="probe.json"),
        {
            "model": "train.model",
            "train": steps.probe_images,
            "test": "probe_split.test",
            "counts": "prepare.counts",
        },
    ),
    "probe_tables": Step(
        over(only=probed),
        {
            "tidy": "tables/probe-all.csv",
            "main": "tables/probe.csv",
            "others": ("tables/probe.{form}",),
        },
        {"probes": "probe.table"},
    ),
    "probe_figure": Step(
        over("dataset", only=probed),
        pictures("{dataset}-probe"),
        {"tidy": "probe_tables.tidy"},
        draws=True,
    ),
    "theory": Step(
        over("sweep"),
        below("theory", rows="{sweep}.csv", networks="{sweep}.npz", record="{sweep}.json"),
    ),
    "theory_tables": Step(
        over(only=steps.swept),
        {
            "findings": "tables/theory.csv",
            "tables": ("tables/theory-{sweep}.csv",),
            "others": ("tables/theory.{form}", "tables/theory-{sweep}.{form}"),
        },
        {"rows": "theory.rows"},
    ),
    "theory_figure": Step(
        steps.theory_figures,
        pictures("theory-{sweep}-{figure}"),
        {"rows": "theory.rows", "networks": "theory.networks"},
        draws=True,
    ),
}
"""All rules but `all`, the parts of a sample set, and the manifest, which lists what these make."""


@dataclass(frozen=True)
class Layout:
    """The files of one experiment's results, below `root`."""

    root: Path

    def path(self, artefact: str, **keys: Any) -> Path:
        """Return an artefact (`rule.keyword`) that is one file."""
        rule, keyword = artefact.split(".")
        pattern = STEPS[rule].outputs[keyword]
        assert isinstance(pattern, str)
        return self.root / pattern.format(**keys)

    @property
    def compiled(self) -> Path:
        """Return the folder of what the compiler keeps: no result, and may be deleted."""
        return self.root / ".compiled"


def name_of(artefact: str, **keys: Any) -> str:
    """Return where an artefact of a data set lies below the data set's folder."""
    path = Layout(Path()).path(artefact, dataset="of", **keys)
    return path.relative_to(DATA.format(dataset="of")).as_posix()


def names_beside_sample_sets() -> set[str]:
    """Return the names that lie in a run's folder, which no sample set may have."""
    patterns = (p for step in STEPS.values() for p in step.outputs.values() if isinstance(p, str))
    inside = (p.removeprefix(f"{RUN}/").split("/")[0] for p in patterns if p.startswith(RUN))
    return {"state", *inside} - {"{sample_set}"}
