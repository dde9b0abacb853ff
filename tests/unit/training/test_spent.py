"""What a training cost, from its record and history, and that it is what the plan says."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.methods._objective import evaluations
from ltdm.networks._size import NetworkSize
from ltdm.pipeline.cost import network_cost
from ltdm.plumbing.errors import LtdmError
from ltdm.training import sizes
from ltdm.training.spent import read_training_cost
from tests.helpers.figure_files import RECORD, write_network

SHAPE = 1, 8, 8
ROOT = Path(__file__).parents[3]


def test_forward_equivalents_and_hours_by_hand(tmp_path):
    cost = read_training_cost(*write_network(tmp_path), SHAPE, 3)
    assert cost.flops == 10 * 8 * (2 + 2 * 1) * cost.pass_flops
    assert (cost.hours, cost.device) == (0.5, "cpu, 1 threads, fp32")


def test_a_network_of_seeds_is_measured_once(tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(
        sizes, "measure_network", lambda *_: measured.append(1) or NetworkSize(1, 7.0, 1.0)
    )
    sizes._measure.cache_clear()
    files = [write_network(tmp_path / str(seed)) for seed in range(3)]
    assert {read_training_cost(*each, SHAPE, 3).pass_flops for each in files} == {7.0}
    assert len(measured) == 1
    sizes._measure.cache_clear()


def test_a_network_of_another_version_has_hours_alone(tmp_path, caplog):
    spec = {**RECORD["spec"], "network": {"name": "unet", "of_another_version": 1}}
    files = write_network(tmp_path, spec=spec)
    cost = read_training_cost(*files, SHAPE, 3)
    assert np.isnan([cost.flops, cost.pass_flops]).all() and cost.hours == 0.5
    assert str(files[0]) in caplog.text and "of_another_version" in caplog.text


def test_hours_of_several_gpus_and_of_a_resumed_training(tmp_path):
    gpus = ["4 x NVIDIA H100, bf16"]
    cost = read_training_cost(*write_network(tmp_path, where=gpus), SHAPE, 3)
    assert (cost.hours, cost.device) == (2, "4 x NVIDIA H100, bf16")
    processes = write_network(tmp_path, where=["4 x cpu, 1 threads, fp32"])
    assert read_training_cost(*processes, SHAPE, 3).hours == 0.5, "of one machine"
    resumed = write_network(tmp_path, where=["cpu, 2 threads", *gpus], resumed_at=5)
    cost = read_training_cost(*resumed, SHAPE, 3)
    assert (cost.hours, cost.device) == (4, "cpu, 2 threads; 4 x NVIDIA H100, bf16")
    only_written = write_network(tmp_path, resumed_at=10)
    assert np.isnan(read_training_cost(*only_written, SHAPE, 3).hours)


CHANGES = {
    "ccua": {"runs": {"cbdm": {"method": {"name": "ccua", "al": 0}}}},
    "cm": {
        "runs": {
            "cbdm": {"method": {"name": "cm", "masks": "shared"}, "network": {"reserve": 0.25}}
        }
    },
    "unconditional": {"runs": {"ddpm": {"train": {"label_dropout": 1}, "sample": {"guidance": 0}}}},
    "ada": {"defaults": {"train": {"augment": "ada"}}},
    "ensemble": {"defaults": {"train": {"ensemble": {"shards": 2, "rounds": 2}}}},
    "points": {
        "datasets": {"digits-lt": {"source": "mixture", "network": "mlp"}},
        "evaluate": {"extractors": ["pixels"], "table_columns": ["frechet"]},
    },
}


@pytest.mark.parametrize("name", ["demo", "edm2-demo", *CHANGES])
def test_operations_equal_those_of_the_plan(name, tmp_path):
    """Of networks of all kinds, and of passes through the encoder or the decoder alone."""
    changes = tmp_path / "changes.yaml"
    changes.write_text(yaml.safe_dump(CHANGES.get(name, {})))
    file = ROOT / "config" / f"{'smoke' if name in CHANGES else name}.yaml"
    experiment = Experiment(read_config([file, changes]))
    for (dataset, run_name), run in experiment.runs.items():
        data = experiment.datasets[dataset]
        planned = network_cost(data, run, [])
        classes = len(data.class_counts)
        shape = data.info.channels, data.info.resolution, data.info.resolution
        calls = asdict(evaluations(run.methods, classes))
        steps = planned.train_images / 8  # in histories made up, a batch has eight images
        record = {"spec": run.spec(), "evaluations_per_image": calls, "steps": steps}
        cost = read_training_cost(*write_network(tmp_path / run_name, **record), shape, classes)
        assert cost.flops == pytest.approx(planned.train_flops)
        assert cost.pass_flops == planned.flops > 0


@pytest.mark.parametrize("key", ["evaluations_per_image", "steps", "where", "seconds"])
def test_a_record_that_lacks_a_key_is_named(key, tmp_path):
    record, history = write_network(tmp_path)
    fields = json.loads(record.read_text())
    del fields[key]
    record.write_text(json.dumps(fields))
    with pytest.raises(LtdmError, match=r"run.json is damaged.*; delete it"):
        read_training_cost(record, history, SHAPE, 3)


def test_a_history_without_rows_is_named(tmp_path):
    record, history = write_network(tmp_path)
    history.write_text("step,images,denoise\n")
    with pytest.raises(LtdmError, match=r"history.csv is damaged"):
        read_training_cost(record, history, SHAPE, 3)
