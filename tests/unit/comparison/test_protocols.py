"""What sets the protocols of two results folders apart, part by part."""

from functools import partial

import pandas as pd
import pytest

from ltdm.comparison.folders import read_folders
from ltdm.comparison.protocols import label_datasets, protocol_differences, read_protocols
from ltdm.config.layout import Layout
from ltdm.plumbing.files import write_json, write_text
from ltdm.reporting.rows import read_rows
from tests.helpers.made_up_results import edit_records, rescore, write_tables

APART = ["digits-lt (protocol 1)", "digits-lt (protocol 2)"]
DATA = "data/digits-lt/data.json"
SAMPLES = "runs/digits-lt/{run}/seed-{seed}/main/samples.json"
METRIC = "runs/digits-lt/{run}/seed-{seed}/main/metrics/frechet.json"
EXTRACTOR = "data/digits-lt/extractors/pixels.json"
WEIGHTS = "data/digits-lt/extractors/pixels.safetensors"


def record(pattern, part, **values):
    """Return a function that sets values in a part of records; of an empty name, in all."""

    def change(fields):
        (fields[part] if part else fields).update(values)

    return partial(edit_records, pattern=pattern, change=change)


def write_weights(root, text="others"):
    write_text(root / WEIGHTS, text)


CHANGES = {
    "training set": record(DATA, "sha256", **{"train.npz": "other"}),
    "reference": record(DATA, "sha256", **{"reference.npz": "other"}),
    "generated images": partial(rescore, n_generated=500),
    "sampler": partial(rescore, sampler="ddim(steps=50)"),
    "sampling precision": record(SAMPLES, "spec", precision="bf16"),
    "extractor pixels: options": record(EXTRACTOR, "extractor", width=8),
    "extractor pixels: code": record(EXTRACTOR, "", code="extractor pixels: 1"),
    "extractor pixels: weights": write_weights,
    "metric frechet: options": record(METRIC, "metric", extrapolate="both"),
    "metric frechet: groups": record(METRIC, "groups", half="reporting"),
    "metric frechet: code": record(METRIC, "", code="metrics frechet: 1"),
}
"""A change of a results folder by the part of the protocol that it changes."""


def label(folders, across=False):
    """Return the labels of folders' data sets, and the keys that differ."""
    read = read_folders([*map(str, folders)])
    protocols = read_protocols(read)
    differing = protocol_differences(read, protocols)
    labels = label_datasets(read, protocols, across)
    return [*labels.by_folder.values()], [difference.key for difference in differing]


@pytest.mark.parametrize("key", CHANGES)
def test_each_part_of_a_protocol_sets_scores_apart_unless_asked(folders, key):
    CHANGES[key](folders[1])
    assert label(folders) == (APART, [f"digits-lt: {key}"])
    assert label(folders, across=True) == (["digits-lt"] * 2, [f"digits-lt: {key}"])


def test_equal_protocols_and_a_runs_own_guidance_share_a_label(folders):
    rescore(folders[1], guidance=3.0)
    assert label(folders) == (["digits-lt"] * 2, [])


def set_sampler(root, **samplers):
    """Write the rows of a folder again, with the samplers of some runs."""
    rows = read_rows(root / "tables/metrics.csv")
    rescore(root, sampler=rows["run"].map(samplers).fillna(rows["sampler"]))


@pytest.mark.parametrize("key", ["sampler", "generated images", "sampling precision"])
def test_values_that_swap_runs_set_scores_apart(folders, key):
    """Each folder has both values."""
    for folder, run in zip(folders, ("ddpm", "cbdm"), strict=True):
        rows = read_rows(folder / "tables/metrics.csv")
        changed = rows["run"] == run
        if key == "sampler":
            rescore(folder, sampler=rows["sampler"].mask(changed, "heun"))
        elif key == "generated images":
            rescore(folder, n_generated=rows["n_generated"].mask(changed, 500))
        else:
            record(SAMPLES.replace("{run}", run), "spec", precision="bf16")(folder)
    keys = [f"digits-lt: {key} of {run}/main" for run in ("ddpm", "cbdm")]
    assert label(folders) == (APART, keys)
    assert label(folders[::-1]) == (APART, keys)


def test_one_value_is_compared_with_that_of_each_sample_set(folders):
    set_sampler(folders[1], cbdm="heun")
    apart = (APART, ["digits-lt: sampler of cbdm/main"])
    assert label(folders) == label(folders[::-1]) == apart
    set_sampler(folders[1], cbdm="heun", ddpm="heun")
    assert label(folders) == (APART, ["digits-lt: sampler"])


def test_a_run_that_only_one_has_sets_nothing_apart(folders):
    rows = read_rows(folders[1] / "tables/metrics.csv")
    extra = rows[rows["run"] == "ddpm"].assign(run="fast", sampler="heun", n_generated=500)
    write_tables(Layout(folders[1]), pd.concat([rows, extra]), "ddpm")
    assert label(folders) == (["digits-lt"] * 2, [])


def test_runs_of_other_names_are_compared_by_the_value_that_all_of_them_have(folders):
    names = {"ddpm": "a", "cbdm": "b"}
    rows = read_rows(folders[1] / "tables/metrics.csv").replace({"run": names})
    write_tables(Layout(folders[1]), rows, "a")
    assert label(folders) == (["digits-lt"] * 2, [])
    write_tables(Layout(folders[1]), rows.assign(sampler="heun"), "a")
    assert label(folders) == (APART, ["digits-lt: sampler"])


def test_a_metric_or_a_group_that_only_one_has_sets_nothing_apart(folders):
    for file in folders[1].glob(METRIC.format(run="*", seed="*")):
        file.unlink()
    record("runs/*/*/*/main/metrics/*.json", "groups", kinds=["all", "worst"])(folders[1])
    assert label(folders) == (["digits-lt"] * 2, [])


def test_other_classes_are_other_data_sets_even_across_protocols(folders):
    counts = folders[1] / "data/digits-lt/counts.csv"
    write_text(counts, counts.read_text().replace("class 3", "three"))
    assert label(folders) == (APART, ["digits-lt: classes"])
    apart = ["digits-lt (classes 1)", "digits-lt (classes 2)"]
    assert label(folders, across=True) == (apart, ["digits-lt: classes"])


@pytest.mark.parametrize("accepting", [0, 1])
def test_code_that_either_folder_accepts_sets_nothing_apart(folders, accepting):
    for number in (1, 2):
        record(METRIC, "", code=f"metrics frechet: {number}")(folders[number - 1])
    pairs = [
        {"then": f"metrics frechet: {k}", "now": f"metrics frechet: {k + 1}"} for k in range(2)
    ]
    write_json(folders[accepting] / "accepted/0.json", {"codes": pairs[1:]})
    assert label(folders) == (["digits-lt"] * 2, [])
    write_json(folders[accepting] / "accepted/0.json", {"codes": pairs[:1]})
    assert label(folders) == (APART, ["digits-lt: metric frechet: code"])
