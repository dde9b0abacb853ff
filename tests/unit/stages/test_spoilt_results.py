"""Results that do not hold what their stage writes are refused by name, wherever they are read."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from ltdm.core.image_files import read_image_file
from ltdm.core.weights import add_prefix, read_key, read_weights
from ltdm.diffusion._model import Model
from ltdm.pipeline import snapshot, status
from ltdm.plumbing.errors import LtdmError
from ltdm.reporting.rows import SCORE_COLUMNS, read_classes, read_rows, write_rows
from ltdm.stages import manifest
from ltdm.stages.metrics import read_features
from tests.helpers.tidy_rows import tidy

IMAGES, LABELS = np.zeros((4, 1, 2, 2), "u1"), np.array([0, 1, 0, 1])
FEATURES = {"features": np.zeros((4, 3), "f4"), "labels": LABELS, "about": np.array("{}")}
GOOD = {"network": {"name": "unet"}, "process": {"name": "vp"}, "label": "input", "key": "k"}
GOOD |= {"channels": 1, "size": 8, "classes": 2, "augment_dim": 0, "points": False}


@pytest.mark.parametrize(
    "spoilt",
    [
        {"images": IMAGES[0]},
        {"images": IMAGES[:0], "labels": LABELS[:0]},
        {"images": np.full((4, 1, 2, 2), "x")},
        {"labels": LABELS[:3]},
        {"labels": LABELS / 2},
        {"labels": np.array(3)},
        {"labels": LABELS - 7},
        {"about": np.array("[]")},
        {"about": np.array("{")},
        {"index": np.array(0)},
    ],
)
def test_files_of_images(tmp_path, spoilt):
    np.savez(tmp_path / "s.npz", **{"images": IMAGES, "labels": LABELS, **spoilt})
    with pytest.raises(LtdmError, match=r"s\.npz is damaged.*run the same command again"):
        read_image_file(tmp_path / "s.npz")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"features": np.zeros(4)},
        {"features": np.zeros((3, 3))},
        {"features": np.zeros((4, 3), int)},
        {"labels": LABELS / 2},
        {"about": np.array("3")},
        {"probabilities": np.zeros((2, 3))},
    ],
)
def test_files_of_features(tmp_path, spoilt):
    np.savez(tmp_path / "f.npz", **{**FEATURES, **spoilt})
    with pytest.raises(LtdmError, match=r"f\.npz is damaged"):
        read_features(tmp_path / "f.npz")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows.drop(columns="metric"),
        lambda rows: rows.assign(value="x"),
        lambda rows: rows.assign(seed=0.5),
        lambda rows: rows.iloc[:0, :3],
    ],
)
def test_tables_of_rows(tmp_path, spoil):
    write_rows(spoil(tidy({"a": [1.0], "b": [2.0]})), tmp_path / "rows.csv")
    with pytest.raises(LtdmError, match=r"rows\.csv is damaged"):
        read_rows(tmp_path / "rows.csv", SCORE_COLUMNS)


@pytest.mark.parametrize("text", ["train\n", "train\n-1\n", "train\nx\n", "name\na\n", ""])
def test_tables_of_classes(tmp_path, text):
    (tmp_path / "counts.csv").write_text(text)
    with pytest.raises(LtdmError, match=r"counts\.csv is damaged"):
        read_classes(tmp_path / "counts.csv")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"network": None},
        {"network": {"name": "unet", "ch": -1}},
        {"classes": "x"},
        {"size": None},
        {"points": None},
    ],
)
def test_networks(tmp_path, spoilt):
    file = tmp_path / "m.safetensors"
    tensors = add_prefix("ema.", {"a": torch.zeros(1)})
    save_file(tensors, file, {"ltdm": json.dumps({**GOOD, **spoilt})})
    with pytest.raises(LtdmError, match=r"m\.safetensors is damaged"):
        Model.from_file(file, "ema", "fp32", torch.device("cpu"))


@pytest.mark.parametrize(
    ("text", "read"), [("{", read_weights), ("[]", read_weights), ("{}", read_key)]
)
def test_metadata_of_networks(tmp_path, text, read):
    file = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, file, {"ltdm": text})
    with pytest.raises(LtdmError, match=r"m\.safetensors (is damaged|was not written by ltdm)"):
        read(file)


@pytest.mark.parametrize("networks", [3, [[1]], [["d", "r", "x"]], None])
def test_snapshots_of_runs(tmp_path, networks):
    (tmp_path / "run-1.json").write_text(json.dumps({"networks": networks}))
    with pytest.raises(LtdmError, match=r"run-1\.json is damaged"):
        snapshot.newest(tmp_path)


@pytest.mark.parametrize("report", [{}, {"time": "x"}, {"time": float("nan")}])
def test_reports_of_trainings(tmp_path, report):
    state = tmp_path / "runs/d/r/seed-0/state/k"
    state.mkdir(parents=True)
    (state / "progress.json").write_text(json.dumps(report))
    with pytest.raises(LtdmError, match=r"progress\.json is damaged"):
        status.format_status(tmp_path)


@pytest.mark.parametrize("entry", [3, {}, {"sha256": "", "bytes": None, "from": []}])
def test_manifests(tmp_path, entry):
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"a": entry}}))
    with pytest.raises(LtdmError, match=r"manifest\.json lists no files"):
        manifest.verify(tmp_path / "manifest.json")


def test_a_copy_of_a_network_s_folder_is_no_network(tmp_path):
    for name in ("seed-0", "seed-0 (copy)", "seed-old"):
        (tmp_path / "runs/d/r" / name).mkdir(parents=True)
    assert [s.network for s in status.network_statuses(tmp_path)] == [("d", "r", 0)]


def test_good_files_are_read(tmp_path):
    np.savez(tmp_path / "s.npz", images=IMAGES, labels=LABELS)
    assert read_image_file(tmp_path / "s.npz").source_rows.tolist() == [0, 1, 2, 3]
    rows = tidy({"0.1": [1.0, 2.0], "null": [3.0]})
    write_rows(rows, tmp_path / "rows.csv")
    pd.testing.assert_frame_equal(
        read_rows(tmp_path / "rows.csv", SCORE_COLUMNS), rows, check_dtype=False
    )
