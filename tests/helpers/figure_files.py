"""Made-up results of one data set, and the stage that draws its figures from them."""

import json

import numpy as np
import pandas as pd

from ltdm.config.layout import FIGURES
from ltdm.plumbing.files import write_npz
from ltdm.stages import figures
from ltdm.stages.released import HISTORY

COUNTS = {"class": [0, 1, 2], "name": [*"abc"], "available": [9, 9, 9], "train": [3, 9, 1]}
RECORD = {
    "spec": {
        "network": {"name": "unet", "ch": 8, "norm_groups": 8, "ch_mult": [1], "attn": [0]},
        "process": "vp",
        "method": "ddpm",
        "train": {},
    },
    "evaluations_per_image": {"forward": 2.0, "backward": 1.0, "encoder": 0, "decoder": 0},
    "steps": 10,
    "seconds": 1800.0,
    "resumed_at": 0,
    "where": ["cpu, 1 threads, fp32"],
}
"""A record of ten steps; with a batch of eight, as in HISTORY_ROWS, of 10 * 8 * (2 + 2) passes."""
HISTORY_ROWS = {"step": [5, 10], "images": [40, 80], "denoise": [1.0, 0.5]}
IMPORTED = dict.fromkeys(RECORD["evaluations_per_image"], 0)


def write_network(folder, imported=False, **changes):
    """Write the record and the history of a network; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {**RECORD, **({"evaluations_per_image": IMPORTED} if imported else {}), **changes}
    history = pd.DataFrame(columns=HISTORY) if imported else pd.DataFrame(HISTORY_ROWS)
    (folder / "run.json").write_text(json.dumps(record))
    history.to_csv(folder / "history.csv", index=False)
    return folder / "run.json", folder / "history.csv"


def draw(folder, rows, runs, seeds=(0,), imported=(), tables=None, **changes):
    """Run the stage on tidy rows; return its files by keyword, as `counts_png`.

    `tables`, by path, replace those that it reads.
    """
    folder.mkdir(exist_ok=True)
    pd.DataFrame(COUNTS).to_csv(folder / "counts.csv", index=False)
    rows.to_csv(folder / "metrics.csv", index=False)
    images = folder / "images.npz"
    write_npz(images, images=np.zeros((3, 1, 8, 8), np.uint8), labels=np.arange(3))
    networks = [
        write_network(folder / f"{run}-{seed}", run in imported) for run in runs for seed in seeds
    ]
    for path, table in (tables or {}).items():
        table.to_csv(path, index=False)
    files = {
        f"{figure}_{form}": folder / f"{figure}.{form}"
        for figure, forms in FIGURES.items()
        for form in forms
    }
    request = {"metric": "frechet", "extractor": "pixels", "sample_set": "main", "code": "this"}
    request |= {"columns": ["frechet", "recall@tail"], "extractors": ["pixels"]}
    request |= {"baseline": runs[0], "runs": list(runs), "seeds": list(seeds), **changes}
    figures.run(
        {**request, "where": {"dataset": "d"}},
        counts=folder / "counts.csv",
        reference=images,
        tidy=folder / "metrics.csv",
        records=[record for record, _ in networks],
        histories=[history for _, history in networks],
        samples=[images] * len(runs),
        **files,
    )
    return files
