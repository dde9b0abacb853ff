"""What sets the protocols of two results folders apart, part by part."""

from functools import partial

import pytest

from ltdm.comparison.folders import read_folders
from ltdm.comparison.protocols import label_datasets, protocol_differences, read_protocols
from ltdm.plumbing.files import write_json, write_text
from tests.helpers.made_up_results import edit_records, rescore

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
