"""Records compared with the config."""

import json

import pytest

from ltdm.config.artefacts import outputs
from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge
from ltdm.pipeline import code_pairs, records, saved_plan
from ltdm.plumbing.files import read_json, write_json
from ltdm.plumbing.request import Request, to_record
from tests.helpers.smoke_config import SMOKE

OVER = {
    "grid": {"run": ["cbdm"], "sample_set": ["wide"]},
    "defaults": {"train": {"posthoc_ema": {"snapshots": 8}}},
    "sample_sets": {"wide": {"ema_sigma_rel": 0.1, "guide_run": "ddpm"}},
}
RUNS = "runs/digits-lt"
NAMES = ("train.npz", "reference.npz", "counts.csv")
SET = {"dataset": "digits-lt", "run": "cbdm", "seed": 0, "sample_set": "wide"}


@pytest.fixture
def experiment(tmp_path):
    """An experiment whose records all match its config."""
    experiment = Experiment(merge([SMOKE, OVER]), tmp_path)
    for expected in records.expected_records(experiment.plan):
        links = {}
        for name, link in expected.links.items():
            source = read_json(link.record)
            links[name] = source.get("key") or source["sha256"][link.file]
        data = expected.record.name == "data.json"
        own = {"sha256": dict.fromkeys(NAMES, "this")} if data else {"key": "this"}
        write_json(expected.record, {**to_record(expected.request), **own, **links})
    for file in outputs(experiment.plan, "sample", SET).values():
        file.touch()
    return experiment


def is_finished(experiment):
    saved_plan.save(experiment, file := experiment.plan.root / "plan.json")
    return records.is_finished(saved_plan.load(file, lambda: experiment), "sample", SET)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        *[
            (f"{RUNS}/cbdm/seed-0/wide/samples.json", key)
            for key in ("spec", "code", "seed", "model", "guide")
        ],
        *[(f"{RUNS}/cbdm/seed-0/posthoc_ema/0.1.json", key) for key in ("model", "key", "code")],
        *[(f"{RUNS}/cbdm/seed-0/run.json", key) for key in ("spec", "code", "key", "data")],
        *[(f"{RUNS}/ddpm/seed-0/run.json", key) for key in ("spec", "code", "key")],
        *[("data/digits-lt/data.json", key) for key in ("code", "sha256")],
    ],
)
def test_sample_set_is_finished_until_a_record_behind_it_differs(experiment, file, key):
    assert is_finished(experiment)
    record = experiment.layout.root / file
    whole = read_json(record)
    write_json(record, {**whole, key: {"train.npz": "another"}})
    assert not is_finished(experiment)
    write_json(record, {**whole, "where": ["another machine"]})
    assert is_finished(experiment)
    record.write_text(json.dumps(whole)[:-9])
    assert not is_finished(experiment)
    record.unlink()
    assert not is_finished(experiment)


def test_sample_set_without_images_is_not_finished(experiment):
    experiment.layout.path("sample.samples", **SET).unlink()
    assert not is_finished(experiment)


def test_unrecorded_option_is_no_difference():
    """A new option had its default; an option that is set is compared."""
    record = {"spec": {"lr": 1}, "defaults": {"grad_clip": 1.0}, "code": "a"}
    request = {
        "spec": {"lr": 1},
        "defaults": {"grad_clip": 1.0, "novel": 3},
        "grid": [1],
        "code": "a",
    }
    assert records.differences(record, request, frozenset()) == []
    request["defaults"]["grad_clip"] = 2.0
    assert records.differences(record, request, frozenset()) == [
        "defaults.grad_clip was 1.0, now 2.0"
    ]
    request["defaults"]["grad_clip"], request["spec"]["novel"] = 1.0, 4
    assert records.differences(record, request, frozenset()) == ["spec.novel was unset, now 4"]


def test_accepted_code_is_no_difference():
    record, request = {"code": "train: 1"}, {"code": "train: 2"}
    assert records.differences(record, request, frozenset({("train: 1", "train: 2")})) == []
    for pair in (("train: 2", "train: 1"), ("train: 1", "train: 3")):
        assert records.differences(record, request, frozenset({pair})) != []
    assert records.differences({}, request, frozenset()) != [], "a record without code is foreign"


def test_probe_record_links_the_network_alone(tmp_path):
    """The record's `test` is the kind of test split, not a file."""
    over = {"evaluate": {"probe": {"layers": [1]}}}
    experiment = Experiment(merge([SMOKE, over]), tmp_path)
    links = {e.record.stem: e.links for e in records.expected_records(experiment.plan)}
    assert list(links["probe"]) == ["model"]
    assert list(links["run"]) == ["data"]


def test_default_that_is_a_list_is_compared_by_length_too():
    record, code = (
        {"defaults": {"attn": [1], "samplers": [{"steps": 5}]}, "code": "a"},
        {"code": "a"},
    )
    for attn in ([1, 0], [], [0]):
        request = {"defaults": {"attn": attn}, **code}
        assert records.differences(record, request, frozenset()), attn
    request = {"defaults": {"attn": [1], "samplers": [{"steps": 5, "novel": 1}]}, **code}
    assert records.differences(record, request, frozenset()) == []


def test_request_has_todays_values_with_the_recorded_text():
    before, now = {"spec": 1, "code": "a: 1"}, Request(spec=1, code="a: 2", places={})
    text = repr(Request(before))
    kept = records.keep_recorded_text(now, text, frozenset({("a: 1", "a: 2")}))
    assert (repr(kept), kept["code"]) == (text, "a: 2")


def test_acceptance_is_transitive(tmp_path):
    code_pairs.write_pairs(tmp_path, frozenset({("a", "b")}), "moved")
    code_pairs.write_pairs(tmp_path, frozenset({("b", "c")}), "moved again")
    assert ("a", "c") in code_pairs.load_pairs(tmp_path)
