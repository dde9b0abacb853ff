"""Made-up rows of metrics and of linear probes, as metrics.csv and probe.csv have them."""

import numpy as np
import pandas as pd


def tidy(
    values, dataset="d", sample_set="main", guidance=0.5, note="", space="pixels", error=np.nan
):
    """Rows of two metrics: `values` by run, one list entry per seed."""
    rows = []
    for run, seeds in values.items():
        for seed, value in enumerate(seeds):
            for metric, group, v in (("frechet", "all", value), ("recall", "tail", value / 100)):
                rows.append(
                    {
                        "dataset": dataset,
                        "run": run,
                        "seed": seed,
                        "metric": metric,
                        "sample_set": sample_set,
                        "group": group,
                        "value": v,
                        "sampler": "ddim",
                        "guidance": guidance,
                        "weights": "ema",
                        "extractor": space,
                        "options": "",
                        "error": error,
                        "baseline": np.nan,
                        "note": note if metric == "recall" else "",
                    }
                )
    return pd.DataFrame(rows)


def probe_rows(runs=("ddpm", "cbdm")):
    """Rows of two seeds, two levels and two layers per run; level 3 and layer 6 are chosen."""
    table = []
    for base, run in enumerate(runs, 5):
        for seed in (0, 1):
            for level, sigma in ((3, 0.02), (4, 0.06)):
                for layer in (5, 6):
                    value = 0.1 * base + 0.1 * seed + 0.01 * level + 0.001 * layer
                    for group in ("all", "tail", "many-shot", "few-shot"):
                        table.append(
                            {
                                "dataset": "digits",
                                "run": run,
                                "seed": seed,
                                "level": level,
                                "sigma": sigma,
                                "layer": layer,
                                "width": 256,
                                "group": group,
                                "accuracy": value - 0.2 * (group == "few-shot"),
                                "error": 0.01,
                                "n_test": 50,
                                "validation": value,
                                "n_train": 90,
                                "chosen": (level, layer) == (3, 6),
                                "train_on": "balanced",
                                "test": "official",
                                "weights": "ema",
                            }
                        )
    return pd.DataFrame(table)
