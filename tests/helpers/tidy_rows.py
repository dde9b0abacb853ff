"""Made-up rows of metrics, in the form of metrics.csv."""

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
                        "error": error,
                        "baseline": np.nan,
                        "note": note if metric == "recall" else "",
                    }
                )
    return pd.DataFrame(rows)
