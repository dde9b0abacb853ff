"""The metric `memorization` in an experiment, its tables and figures, and in `ltdm score`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.metrics import memorization
from ltdm.pipeline import cost
from ltdm.pipeline.lineage import lineage
from ltdm.pipeline.records import expected_records
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.files import read_npz, write_npz
from ltdm.reporting import figures, style
from ltdm.reporting.frames import per_class_frame
from ltdm.stages import neighbours, tables
from tests.unit.cli.test_cli import ltdm
from tests.unit.metrics.test_memorization import find_neighbours, metric_table, prepare_folder
from tests.unit.metrics.test_nearest_train import GENERATED

ROOT = Path(__file__).parents[3]


def smoke(**evaluate):
    config = read_config([ROOT / "config/smoke.yaml"])
    config["evaluate"] |= {"metrics": ["frechet", "memorization"], **evaluate}
    return Experiment(config)


def test_lineage_and_jobs():
    experiment = smoke(table_columns=["memorized-0.40@tail", "frechet"])
    (metric,) = experiment.evaluate.neighbour_metrics
    assert experiment.evaluate.extractors_for(metric) == []
    assert experiment.evaluate.extractor_of_column("memorized-0.40@tail") == "pixels"
    parents = {str(k): list(map(str, v)) for k, v in lineage(experiment.plan).items()}
    at = "results/smoke/runs/digits-lt/cbdm/seed-0/main"
    data = "results/smoke/data/digits-lt"
    neighbours_file = f"{at}/neighbours/memorization.npz"
    assert parents[neighbours_file] == [f"{data}/train.npz", f"{at}/samples.npz"]
    real = f"{data}/neighbours/memorization.npz"
    assert parents[real] == [f"{data}/train.npz", f"{data}/reference.npz"]
    assert parents[f"{at}/metrics/memorization.csv"] == [
        f"{data}/counts.csv",
        real,
        neighbours_file,
    ]
    jobs = cost.job_counts(experiment)
    assert [jobs[r] for r in ("neighbours", "unseen_neighbours", "copies_figure", "metrics")] == [
        2,
        1,
        2,
        4,
    ]
    without = smoke(metrics=["frechet"], table_columns=["frechet"])
    assert not {"neighbours", "unseen_neighbours", "copies_figure"} & set(cost.job_counts(without))
    gigabytes = np.array(
        [cost.plan_table(e, {})["both", "GB"].iloc[[0, -1]] for e in (experiment, without)]
    )
    bytes_more = 1e9 * (gigabytes[0] - gigabytes[1])
    assert bytes_more == pytest.approx([60 * 50 * 13, (2 * 60 + 1797) * 50 * 13], rel=0.01)
    (record,) = [
        e
        for e in expected_records(experiment.plan)
        if e.record == Path(at) / "metrics/memorization.json"
    ]
    assert record.request["extractors"] == ["pixels"]


def test_options_that_do_not_change_the_search():
    def search(**options):
        return memorization.search(memorization.Options(**options))

    assert search(alpha=0.3) == search()
    assert search(flip=True) != search() != search(k=20)


def test_more_neighbours_than_training_images_are_refused():
    many = {"name": "memorization", "k": 729}
    message = r"evaluate.metrics.1.k: is 729, but digits-lt has 728 training images; lower it"
    with pytest.raises(OptionError, match=message):
        smoke(metrics=["frechet", many], table_columns=["frechet"])
    smoke(metrics=["frechet", {**many, "k": 728}], table_columns=["frechet"])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("memorized-40@tail", "'memorized-40@tail' is called 'memorized-0.40@tail' now"),
        ("unseen-15@tail", "called 'memorized-0.15@tail:baseline' now"),
        ("mq-15", "'mq-15' is called 'mq-0.15' now"),
        ("mirrored.mq-15", "nothing computes 'mirrored.mq-15'; "),
        ("frechet:baseline", "frechet has no baseline"),
        ("memorized-0.4", "did you mean 'memorized-0.40'"),
    ],
)
def test_columns_of_old_names_and_baselines_that_are_not_there(column, message):
    with pytest.raises(OptionError, match=rf"evaluate.table_columns: .*{message}"):
        smoke(table_columns=[column])


def test_tables_take_pixels_after_the_extractors(tmp_path):
    folder = prepare_folder(tmp_path)
    metric_table(folder, find_neighbours(folder))
    row = {"extractor": "classifier", "metric": "frechet", "value": 1.0}
    pd.read_csv(folder / "x.csv").head(1).assign(**row).to_csv(folder / "y.csv", index=False)
    columns = ["frechet", "memorized-0.40@tail"]
    request = {"columns": columns, "extractors": ["classifier"], "baseline": "x", "code": "this"}
    names = ("tidy", "differences", "main", "vs_baseline", "record")
    files = {name: folder / f"tables/{name}.csv" for name in names}
    metrics = [folder / "x.csv", folder / "y.csv"]
    tables.run(request, metrics=metrics, others=[], **files)
    main = (folder / "tables/main.md").read_text()
    assert "memorized-0.40 (tail) ↓" in main
    assert "Features: classifier, memorized-0.40 (tail) by pixels." in main


# Other people's images


def scored(folder, reference, *options, code=0):
    printed = ltdm(
        "score",
        folder / "theirs.npz",
        "--reference",
        reference,
        "--extractor",
        "pixels",
        "--cache-dir",
        folder / "work",
        *options,
        code=code,
    )
    return printed if code else pd.read_csv(printed.partition("All rows: ")[2].strip())


@pytest.fixture
def ours(tmp_path):
    """A prepared data folder, whose reference holds other images, and others' samples."""
    folder = prepare_folder(tmp_path)
    images, labels = read_npz(folder / "samples.npz", "images", "labels")
    np.savez(folder / "theirs.npz", images=images, labels=labels)
    about, labels = np.array("{}"), np.arange(40) % 3
    write_npz(folder / "reference.npz", images=255 - GENERATED, labels=labels, about=about)
    return folder


def test_others_images_are_compared_with_the_long_tailed_training_set(ours, monkeypatch):
    table = scored(ours, ours)
    assert "frechet" in set(table["metric"]), "with all that suit"
    tail = table[(table["metric"] == "memorized-0.40") & (table["group"] == "tail")].iloc[0]
    assert (tail["value"], tail["n_real"], tail["n_generated"]) == (1, 13, 10)
    monkeypatch.setattr(neighbours, "run", None)
    options = "--metric", "{name: memorization, alpha: 0.9}"
    assert len(scored(ours, ours, *options)), "the search is used again"


def test_another_reference_is_the_training_set_on_request(ours):
    assert not scored(ours, ours / "reference.npz")["metric"].str.startswith("mq").any()
    options = "--metric", "{name: memorization, k: 40}"
    table = scored(ours, ours / "reference.npz", *options)
    assert set(table["n_real"]) == {0}
    assert table["baseline"].isna().all(), "all of it is known"
    assert table.query("metric == 'mq-0.40' and group == 'all'")["value"].tolist() == [0]
    printed = scored(ours, ours / "reference.npz", "--metric", "memorization", code=1)
    assert "looks for the 50 nearest training images, but" in printed
    assert "holds 40; request fewer" in printed
    (ours / "counts.csv").write_text("class,name,train\n0,a,9\n1,b,8\n2,c,7\n")
    assert not scored(ours, ours)["metric"].str.startswith("mq").any(), "too few to be the default"


# In figures


def test_the_figure_by_class_shows_what_real_images_would_get():
    counts = pd.DataFrame({"class": [0, 1], "name": ["x", "y"], "train": [5, 9]})
    rows = pd.DataFrame(
        {
            "run": "a",
            "group": ["class-0", "class-1"],
            "value": [0.5, 0.1],
            "error": [0.01, 0.02],
            "baseline": [np.nan, 0.2],
        }
    )
    looks, frame = style.line_looks(["a"]), per_class_frame(rows, counts, "t")
    figure = figures.plot_per_class(frame, "d", looks)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].get_lines()}
    assert list(lines) == ["a", "unseen real images"]
    np.testing.assert_array_equal(lines["unseen real images"], [0.2, np.nan])
    alone = figures.plot_per_class(frame.assign(baseline=np.nan), "d", looks)
    assert [line.get_label() for line in alone.axes[0].get_lines()] == ["a"]
    plt.close("all")
