"""Sample sets of several EMA widths or guidance weights: jobs, records, disk use, figures."""

import numpy as np
import pandas as pd
import pytest

from ltdm.config.experiment import Experiment
from ltdm.pipeline import cost as plan
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import Link, expected_records
from ltdm.plumbing.errors import OptionError
from ltdm.reporting import style
from ltdm.reporting.sweep_plot import plot_sweep
from ltdm.reporting.sweeps import COLUMNS, guidance_frame, width_frame
from ltdm.stages import ema_width_figure, guidance_figure
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
    run, made = experiment.layout.root / "runs/digits-lt/ddpm/seed-0", lineage(experiment.plan)
    assert made[run / "posthoc_ema/0.1.safetensors"] == [run / "model.safetensors"]
    assert made[run / "a/samples.npz"] == [run / "posthoc_ema/0.1.safetensors"]
    assert made[run / "plain/samples.npz"] == [run / "model.safetensors"]
    links = {one.record: one.links for one in expected_records(experiment.plan)}
    assert links[run / "posthoc_ema/0.1.json"]["model"].record == run / "run.json"
    assert links[run / "a/samples.json"]["model"].record == run / "posthoc_ema/0.1.json"
    assert links[run / "plain/samples.json"]["model"] == Link(run / "run.json", "model.safetensors")
    one = swept({"a": {"ema_sigma_rel": 0.1}, "b": {"ema_sigma_rel": 0.1, "guidance": 1.0}})
    counted = plan.job_counts(one)
    assert (counted["ema"], counted["ema_width_figure"]) == (2, 0), "a width is made once"
    assert counted["guidance_figure"] == 1


def test_jobs_of_a_guidance_sweep_and_of_a_choice():
    sets = {"paper": {}, "none": {"guidance": 0}, "more": {"guidance": 1}}
    counted = plan.job_counts(swept(sets))
    assert (counted["guidance_figure"], counted["tuning_metrics"], counted["tuned_tables"]) == (
        1,
        0,
        0,
    )
    config = edited("evaluate/tuning_half", True)
    config["sample_sets"] = sets
    config["runs"]["cbdm"]["omit_sample_sets"] = ["none", "more"]
    experiment = Experiment(config)
    counted = plan.job_counts(experiment)
    assert (counted["tuning_metrics"], counted["tuned_tables"], counted["sample"]) == (4, 1, 4)
    root, made = experiment.layout.root, lineage(experiment.plan)
    folder = root / "runs/digits-lt/ddpm/seed-0/more"
    assert made[folder / "tuning.csv"] == [
        root / "data/digits-lt/counts.csv",
        root / "data/digits-lt/features/classifier.npz",
        folder / "features/classifier.npz",
    ]
    assert {*made[root / "tables/tuning.csv"]} == {
        root / "tables/metrics.csv",
        *(root / f"runs/digits-lt/ddpm/seed-0/{name}/tuning.csv" for name in sets),
        root / "runs/digits-lt/cbdm/seed-0/paper/tuning.csv",
    }


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


def test_a_row_per_point_of_each_line_and_group():
    frame = width_frame(sweep_rows(), "FID")
    assert list(frame) == COLUMNS
    assert frame["group"].tolist() == ["all"] * 8 + ["tail"] * 8
    assert frame["line"].tolist() == (["a"] * 4 + ["b"] * 4) * 2
    assert frame["x"].fillna(-1).tolist() == [0.05, 0.1, 0.2, -1] * 4, "its own average last"
    assert frame["value"].tolist() == [1.5] * 4 + [4.0] * 4 + [1.5] * 4 + [4.0] * 4
    assert frame["low"][4] == pytest.approx(4 - 2**0.5)
    assert not frame["chosen"].any()
    assert {*frame["metric"], *frame["x_label"]} == {"FID", "width of the average"}


def test_a_panel_per_group_and_a_line_per_run():
    figure = plot_sweep(width_frame(sweep_rows(), "FID"), "digits")
    assert [axes.get_title() for axes in figure.axes] == ["digits: all", "digits: tail"]
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
    none = rows[rows["run"] == "a"].assign(guidance=np.nan)
    lines = width_frame(pd.concat([rows, more, none]), "FID")["line"].unique().tolist()
    assert lines == ["a, guidance 0.5", "b", "a, guidance 2.0", "a, guidance nan"]


def test_the_stage_plots_one_data_set(tmp_path):
    rows, drawn = sweep_rows(), []
    for name, table in (("one", rows), ("two", pd.concat([rows, rows.assign(dataset="e")]))):
        table.to_csv(tmp_path / "metrics.csv", index=False)
        files = {ending: tmp_path / f"{name}.{ending}" for ending in ("pdf", "png", "csv")}
        where = {"dataset": rows["dataset"].iloc[0]}
        request = {"metric": "frechet", "extractor": "pixels", "code": "this", "where": where}
        ema_width_figure.run(request, tidy=tmp_path / "metrics.csv", **files)
        drawn.append([file.read_bytes() for file in files.values()])
    assert drawn[0] == drawn[1]


def guided_rows():
    """Rows of two runs by guidance weight; the second set of weight 1 is better."""
    frames = [
        tidy({"a": [1.0 + w, 2.0 + w], "b": [3.0, 5.0]}, sample_set=name, guidance=w)
        for name, w in {"own": 1.0, "w0": 0.0, "w2": 2.0}.items()
    ]
    again = tidy({"a": [0.5, 0.5]}, sample_set="w1", guidance=1.0)
    return pd.concat([*frames, again]).query("metric == 'frechet'")


def test_a_line_by_guidance_and_a_star_at_the_chosen_set():
    chosen = pd.DataFrame({"run": ["a", "a"], "sample_set": ["w2", "w2"]})
    frame = guidance_frame(guided_rows(), chosen, "FID")
    assert frame.loc[frame["chosen"], ["run", "x", "value"]].to_numpy().tolist() == [["a", 2, 3.5]]
    figure = plot_sweep(frame, "digits")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "weight of guidance"
    a, star, b, _ = axes.get_lines()
    assert a.get_xdata().tolist() == [0.0, 1.0, 1.0, 2.0], "two sets of one weight, two points"
    assert a.get_ydata().tolist() == [1.5, 2.5, 0.5, 3.5]
    assert (star.get_marker(), star.get_xydata().tolist()) == ("*", [[2.0, 3.5]])
    assert star.get_color() == a.get_color()
    assert b.get_ydata().tolist() == [4.0] * 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "chosen"]
    unmarked = plot_sweep(guidance_frame(guided_rows(), None, "FID"), "digits")
    assert len(unmarked.axes[0].get_lines()) == 2


def test_a_long_label_is_wrapped_in_the_legend():
    """A run that is sampled in two ways has their names in the legend."""
    shifted = guided_rows().assign(
        sampler="timeshift(steps=10, window=40, carry=False, cutoff=300), guidance power 0.5"
    )
    style.use()
    frame = guidance_frame(pd.concat([guided_rows(), shifted]), None, "FID")
    figure = plot_sweep(frame, "digits")
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    extent = legend.get_window_extent()
    assert "\n" in legend.get_texts()[-1].get_text()
    assert extent.x0 >= 0
    assert extent.x1 <= figure.bbox.x1
    assert axes.get_window_extent().width > 600, "two inches"


def test_the_stage_marks_the_choices_of_its_data_set(tmp_path):
    rows = pd.concat([guided_rows(), guided_rows().assign(dataset="e")])
    rows.to_csv(tmp_path / "metrics.csv", index=False)
    marked = (rows["dataset"] == "d") & (rows["sample_set"] == "w0")
    marked |= (rows["dataset"] == "e") & (rows["sample_set"] == "w2")
    rows.assign(chosen=marked).to_csv(tmp_path / "tuning.csv", index=False)
    where = {"dataset": "d"}
    request = {"metric": "frechet", "extractor": "pixels", "code": "this", "where": where}
    files = {ending: tmp_path / f"x.{ending}" for ending in ("pdf", "png", "csv")}
    files["tidy"] = tmp_path / "metrics.csv"
    guidance_figure.run(request, scores=tmp_path / "tuning.csv", **files)
    frame = pd.read_csv(files["csv"])
    points = frame.loc[frame["chosen"], ["run", "x", "value"]].to_numpy().tolist()
    assert points == [["a", 0, 1.5], ["b", 0, 4]]
    guidance_figure.run(request, scores=None, **files)
    assert not pd.read_csv(files["csv"])["chosen"].any()


def test_a_sweep_without_values_says_so():
    empty = guided_rows().assign(value=np.nan)
    figure = plot_sweep(guidance_frame(empty, None, "FID"), "d")
    assert [text.get_text() for text in figure.axes[0].texts] == ["there are no values"]
    assert width_frame(empty, "FID").empty
