"""Sample sets with post-hoc EMAs of several widths: jobs, records, disk use and the figure."""

import numpy as np
import pandas as pd
import pytest

from ltdm.config.experiment import Experiment
from ltdm.pipeline import cost as plan
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import Link, expected_records
from ltdm.plumbing.errors import OptionError
from ltdm.reporting.sweeps import plot_by_width
from ltdm.stages import ema_width_figure
from tests.helpers.smoke_config import edited
from tests.helpers.tidy_rows import tidy


def swept(sets=None, **changes):
    config = edited("defaults/train/posthoc_ema", {"snapshots": 4})
    config["sample_sets"] = sets or {
        "plain": {},
        "a": {"ema_sigma_rel": 0.1},
        "b": {"ema_sigma_rel": 0.2},
    }
    for path, value in changes.items():
        place = config["defaults"][path]
        place.update(value)
    return Experiment(config)


def test_jobs_and_records_of_a_sweep():
    experiment = swept()
    assert experiment.runs["digits-lt", "ddpm"].ema_widths == [0.1, 0.2]
    counted = plan.job_counts(experiment)
    assert (counted["ema"], counted["ema_width_figure"], counted["sample"]) == (4, 1, 6)
    run, made = experiment.layout.root / "runs/digits-lt/ddpm/seed-0", lineage(experiment)
    assert made[run / "posthoc_ema/0.1.safetensors"] == [run / "model.safetensors"]
    assert made[run / "a/samples.npz"] == [run / "posthoc_ema/0.1.safetensors"]
    assert made[run / "plain/samples.npz"] == [run / "model.safetensors"]
    links = {one.record: one.links for one in expected_records(experiment)}
    assert links[run / "posthoc_ema/0.1.json"]["model"].record == run / "run.json"
    assert links[run / "a/samples.json"]["model"].record == run / "posthoc_ema/0.1.json"
    assert links[run / "plain/samples.json"]["model"] == Link(run / "run.json", "model.safetensors")
    one = swept({"a": {"ema_sigma_rel": 0.1}, "b": {"ema_sigma_rel": 0.1, "guidance": 1.0}})
    counted = plan.job_counts(one)
    assert (counted["ema"], counted["ema_width_figure"]) == (2, 0), "a width is made once"


def test_disk_space_of_averages():
    lone, both = swept({"main": {}}), swept({"main": {"ema_sigma_rel": 0.1}})
    none = Experiment(edited("sample_sets", {"main": {}}))
    sizes = []
    for one in (none, lone, both):
        cost = plan.network_cost(one.datasets["digits-lt"], one.runs["digits-lt", "ddpm"], [])
        sizes.append(cost.disk / cost.parameters)
    assert np.diff(sizes).tolist() == pytest.approx([2 * 4 * 2, 4])


@pytest.mark.parametrize(
    ("sets", "changes", "where", "message"),
    [
        (
            {"a": {"ema_sigma_rel": 0.1}},
            {"train": {"posthoc_ema": None}},
            "sample_sets.a.ema_sigma_rel",
            "this run saves none; set train.posthoc_ema",
        ),
        (
            {"a": {"ema_sigma_rel": 0.1, "weights": "last"}},
            {},
            "sample_sets.a.ema_sigma_rel",
            "is for averaged weights, and weights is last; leave one out",
        ),
        (
            {"a": {"ema_sigma_rel": 0.005}},
            {},
            "sample_sets.a.ema_sigma_rel",
            "must be at least 0.01",
        ),
        ({"a": {"ema_sigma_rel": 0.3}}, {}, "sample_sets.a.ema_sigma_rel", "must be at most 0.28"),
        ({"posthoc_ema": {}}, {}, "sample_sets.posthoc_ema", "is the name of a run's own file"),
    ],
)
def test_rejected_sample_sets_are_named(sets, changes, where, message):
    with pytest.raises(OptionError) as caught:
        swept(sets, **changes)
    place, _, said = str(caught.value).partition(": ")
    assert place == where
    assert message in said


# The figure


def sweep_rows():
    frames = [
        tidy({"a": [1.0, 2.0], "b": [3.0, 5.0]}).assign(
            weights=weights, sample_set=weights, group=group
        )
        for weights in ("ema", "posthoc-0.05", "posthoc-0.1", "posthoc-0.2", "last")
        for group in ("all", "tail", "class-1")
    ]
    return pd.concat(frames).query("metric == 'frechet'")


def test_a_panel_per_group_and_a_line_per_run():
    figure = plot_by_width(sweep_rows(), "FID", "digits")
    assert [axes.get_title() for axes in figure.axes] == ["digits, all", "digits, tail"]
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert {"a", "b", "its own average"} <= lines.keys()
    assert lines["a"].get_xdata().tolist() == [0.05, 0.1, 0.2]
    assert lines["b"].get_ydata().tolist() == [4.0] * 3
    dashed = [line for line in figure.axes[1].get_lines() if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [1.5, 4.0], "the runs' own averages"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["a", "b", "its own average"]


def test_labels_have_the_guidance_if_a_run_has_several():
    rows = sweep_rows()
    more = rows[rows["run"] == "a"].assign(guidance=2.0)
    figure = plot_by_width(pd.concat([rows, more]), "FID", "digits")
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[-1] == "its own average"
    assert {"b", "a, guidance 2.0"} < {*texts}


def test_the_stage_plots_one_data_set(tmp_path):
    rows, drawn = sweep_rows(), []
    for name, table in (("one", rows), ("two", pd.concat([rows, rows.assign(dataset="e")]))):
        table.to_csv(tmp_path / "metrics.csv", index=False)
        pictures = {ending: tmp_path / f"{name}.{ending}" for ending in ("png", "svg")}
        where = {"dataset": rows["dataset"].iloc[0]}
        request = {"metric": "frechet", "extractor": "pixels", "code": "this", "where": where}
        ema_width_figure.run(request, tidy=tmp_path / "metrics.csv", **pictures)
        drawn.append([picture.read_bytes() for picture in pictures.values()])
    assert drawn[0] == drawn[1]
