"""Which records already say what a config asks for."""

import json

import pytest

from ltdm.config.artefacts import outputs
from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge
from ltdm.pipeline import code_pairs, records
from ltdm.plumbing.files import read_json, write_json
from ltdm.plumbing.request import Request, recorded
from tests.unit.config.test_config import SMOKE

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
    """An experiment whose records all say what is asked for."""
    made = Experiment(merge([SMOKE, OVER]), tmp_path)
    for one in records.expected_records(made):
        links = {}
        for name, link in one.links.items():
            source = read_json(link.record)
            links[name] = source.get("key") or source["sha256"][link.file]
        data = one.record.name == "data.json"
        own = {"sha256": dict.fromkeys(NAMES, "this")} if data else {"key": "this"}
        write_json(one.record, {**recorded(one.request), **own, **links})
    for file in outputs(made, "sample", SET).values():
        file.touch()
    return made


def finished(experiment):
    return records.is_finished(experiment, "sample", SET)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        *[(f"{RUNS}/cbdm/seed-0/wide/samples.json", key)
          for key in ("spec", "code", "seed", "model", "guide")],
        *[(f"{RUNS}/cbdm/seed-0/ema/0.1.json", key) for key in ("model", "key", "code")],
        *[(f"{RUNS}/cbdm/seed-0/run.json", key) for key in ("spec", "code", "key", "data")],
        *[(f"{RUNS}/ddpm/seed-0/run.json", key) for key in ("spec", "code", "key")],
        *[("data/digits-lt/data.json", key) for key in ("code", "sha256")],
    ],
)  # fmt: skip
def test_a_sample_set_is_finished_until_one_record_behind_it_differs(experiment, file, key):
    assert finished(experiment)
    record = experiment.layout.root / file
    whole = read_json(record)
    write_json(record, {**whole, key: {"train.npz": "another"}})
    assert not finished(experiment)
    write_json(record, {**whole, "where": ["another machine"]})
    assert finished(experiment)
    record.write_text(json.dumps(whole)[:-9])
    assert not finished(experiment)
    record.unlink()
    assert not finished(experiment)


def test_images_that_are_gone_are_not_finished(experiment):
    experiment.layout.path("sample.samples", **SET).unlink()
    assert not finished(experiment)


def test_what_a_record_does_not_say_is_no_difference():
    """An option that was added since has its default there; one that was set is compared."""
    made = {"spec": {"lr": 1}, "defaults": {"grad_clip": 1.0}, "code": "a"}
    asked = {
        "spec": {"lr": 1},
        "defaults": {"grad_clip": 1.0, "novel": 3},
        "grid": [1],
        "code": "a",
    }
    assert records.differences(made, asked, frozenset()) == []
    asked["defaults"]["grad_clip"] = 2.0
    assert records.differences(made, asked, frozenset()) == ["defaults.grad_clip was 1.0, now 2.0"]
    asked["defaults"]["grad_clip"], asked["spec"]["novel"] = 1.0, 4
    assert records.differences(made, asked, frozenset()) == ["spec.novel was unset, now 4"]


def test_code_may_be_accepted_in_place_of_other_code():
    made, asked = {"code": "train: 1"}, {"code": "train: 2"}
    assert records.differences(made, asked, frozenset({("train: 1", "train: 2")})) == []
    for pair in (("train: 2", "train: 1"), ("train: 1", "train: 3")):
        assert records.differences(made, asked, frozenset({pair})) != []
    assert records.differences({}, asked, frozenset()) != [], "a record without code is none"


def test_a_probe_names_the_network_alone(tmp_path):
    """Its record's `test` says what kind of split it was tested on, which is no file."""
    over = {"evaluate": {"probe": {"layers": [1]}}}
    made = Experiment(merge([SMOKE, over]), tmp_path)
    links = {one.record.stem: one.links for one in records.expected_records(made)}
    assert list(links["probe"]) == ["model"]
    assert list(links["run"]) == ["data"]


def test_a_default_that_is_a_list_is_compared_whole():
    made, code = {"defaults": {"attn": [1], "samplers": [{"steps": 5}]}, "code": "a"}, {"code": "a"}
    for attn in ([1, 0], [], [0]):
        asked = {"defaults": {"attn": attn}, **code}
        assert records.differences(made, asked, frozenset()), attn
    asked = {"defaults": {"attn": [1], "samplers": [{"steps": 5, "novel": 1}]}, **code}
    assert records.differences(made, asked, frozenset()) == []


def test_a_job_is_asked_in_today_s_words_though_the_text_is_the_old_one():
    before, now = {"spec": 1, "code": "a: 1"}, Request(spec=1, code="a: 2", places={})
    text = repr(Request(before))
    kept = records.keep_recorded_text(now, before, frozenset({("a: 1", "a: 2")}))
    assert (repr(kept), kept["code"]) == (text, "a: 2")


def test_accepted_twice_is_accepted_through(tmp_path):
    code_pairs.write_pairs(tmp_path, frozenset({("a", "b")}), "moved")
    code_pairs.write_pairs(tmp_path, frozenset({("b", "c")}), "moved again")
    assert ("a", "c") in code_pairs.load_pairs(tmp_path)
