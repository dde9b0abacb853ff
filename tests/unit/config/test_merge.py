"""Merging of config files and layers: the rules, inheritance, and what the YAML loader refuses."""

import json

import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, parse_cli_config, read_config
from ltdm.plumbing.errors import LtdmError, OptionError
from tests.helpers.smoke_config import SMOKE, edited


def test_mappings_are_merged_lists_replaced_and_renamed_parts_replaced():
    base = {"name": "ddim", "steps": 3, "nested": {"a": 1, "b": [1, 2]}}
    over = {"steps": 5, "nested": {"b": [3]}}
    assert merge([base, over]) == {"name": "ddim", "steps": 5, "nested": {"a": 1, "b": [3]}}
    base = {"sampler": {"name": "ddim", "steps": 3}}
    for other in ("ancestral", {"name": "ancestral"}):
        assert merge([base, {"sampler": other}]) == {"sampler": {"name": "ancestral"}}
    more = merge([base, {"sampler": {"eta": 1.0}}])
    assert more == {"sampler": {"name": "ddim", "steps": 3, "eta": 1.0}}
    assert merge([more, {"sampler": "ddim"}]) == more
    assert merge([{"method": "cbdm"}, {"method": {"tau": 0.5}}]) == {
        "method": {"name": "cbdm", "tau": 0.5}
    }


def test_an_option_that_is_one_of_several_mappings_is_replaced():
    config = edited("defaults/train/class_sampling", {"power": 0.5})
    config["defaults"]["sample"]["guidance_schedule"] = {"gamma": 2}
    config["runs"]["cbdm"]["train"] = {"class_sampling": {"brs": 0.1, "released": True}}
    config["sample_sets"] = {"main": {}, "some": {"guidance_schedule": {"interval": [0.1, 3]}}}
    run = Experiment(config).runs["digits-lt", "cbdm"]
    assert run.train.class_sampling.to_config() == {"brs": 0.1, "released": True}
    assert [str(s.guidance_schedule) for s in run.samples.values()] == ["gamma 2", "interval 0.1 3"]


def test_null_turns_off_a_set_of_options_and_leaves_other_sections():
    train = {"lr": 1, "posthoc_ema": {"snapshots": 4}}
    base = {
        "defaults": {"train": train},
        "evaluate": {"probe": {"lr": 2}},
        "runs": {"probe": {"train": {"lr": 3}}},
    }
    off = merge([base, {"defaults": {"train": {"posthoc_ema": None}}, "evaluate": {"probe": None}}])
    assert off["defaults"] == {"train": {"lr": 1, "posthoc_ema": None}}
    assert off["evaluate"] == {"probe": None}
    empty = {"defaults": {"train": None}, "evaluate": None, "runs": {"probe": None}}
    assert merge([base, empty]) == base, "also where a run has an option's name"


def test_an_empty_section_changes_nothing():
    base = {"runs": {"cbdm": {"train": {"lr": 1.0}}}, "max_per_class": 1}
    over = {"runs": {"cbdm": None}, "max_per_class": None}
    assert merge([base, over]) == {**base, "max_per_class": None}
    assert merge([{"method": {"name": "cbdm"}}, {"method": None}]) == {"method": {"name": "cbdm"}}


def test_a_file_over_another_replaces_a_part_with_its_options(tmp_path):
    (tmp_path / "over.yaml").write_text("runs: {cbdm: {method: ddpm}}")
    config = edited("runs/cbdm/method", {"name": "cbdm", "tau": 0.5})
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(config))
    merged = Experiment(read_config([tmp_path / "base.yaml", tmp_path / "over.yaml"]))
    assert merged.runs["digits-lt", "cbdm"].methods[0].name == "ddpm"


def test_inherited_files_are_merged_below_and_found_relative_to_the_file(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/a.yaml").write_text("x: {a: 1, b: 1}\nl: [1, 2]")
    (tmp_path / "shared/b.yaml").write_text("inherits: a.yaml\nx: {b: 2}")
    (tmp_path / "c.yaml").write_text("inherits: [shared/a.yaml, shared/b.yaml]\nx: {c: 3}\nl: [3]")
    assert read_config([tmp_path / "c.yaml"]) == {"x": {"a": 1, "b": 2, "c": 3}, "l": [3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inherits: c.yaml", "c.yaml inherits itself"),
        ("inherits: none.yaml", r"cannot read the config .*none.yaml, which .*c.yaml inherits"),
        ("inherits: {a: 1}", r"inherits: must be a list of files"),
        ('inherits: "a\\0b"', "cannot read the config .*: no file has such a name"),
        ("inherits: [1]", r"inherits: must be a list of files"),
    ],
)
def test_inheritance_that_is_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(LtdmError, match=message):
        read_config([tmp_path / "c.yaml"])


def test_a_file_that_is_not_yaml_or_missing_is_refused(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(LtdmError, match=r"bad.yaml, line \d+: is not YAML: "):
        read_config([tmp_path / "bad.yaml"])
    with pytest.raises(LtdmError, match=r"cannot read the config .*none\.yaml"):
        read_config([tmp_path / "none.yaml"])


@pytest.mark.parametrize("text", ["2e-4", "2E-4", "+2e-04", ".2e-3", "0.2e-3", "2.0e-4"])
def test_a_number_with_an_exponent_is_a_number(tmp_path, text):
    """In a file of YAML or JSON, and on a command line."""
    (tmp_path / "c.yaml").write_text(f"a: {text}")
    assert read_config([tmp_path / "c.yaml"]) == parse_cli_config([f"a={text}"]) == {"a": 2e-4}
    (tmp_path / "c.json").write_text(json.dumps({"a": 2e-05}))
    assert read_config([tmp_path / "c.json"]) == {"a": 2e-05}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("010", 'octal; write 10 or "010"'),
        ("-07", 'octal; write -7 or "-07"'),
        ("00", 'octal; write 0 or "00"'),
        ("0_1", 'octal; write 1 or "0_1"'),
        ("1:30", 'base 60; write "1:30" in quotes'),
        ("1:30.5", 'base 60; write "1:30.5" in quotes'),
    ],
)
def test_a_number_that_yaml_1_1_reads_as_another_is_refused(tmp_path, text, fault):
    (tmp_path / "c.yaml").write_text(f"a: 1\nb: [{text}]")
    with pytest.raises(LtdmError, match=rf"c.yaml, line 2: {text} is a number .* {fault}$"):
        read_config([tmp_path / "c.yaml"])
    with pytest.raises(LtdmError, match=rf"--config a, line 1: {text} is a number .* {fault}$"):
        parse_cli_config([f"a={{b: {text}}}"])


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("a: 1\nb: {c: 1, c: 2}")
    with pytest.raises(LtdmError, match=r"c.yaml, line 2: the key 'c' is there twice"):
        read_config([tmp_path / "c.yaml"])
    (tmp_path / "c.yaml").write_text("a: &x {c: 1}\nb: {<<: *x, c: 2}")
    assert read_config([tmp_path / "c.yaml"])["b"] == {"c": 2}
    nested = "a: &a {x: 1}\nk: {i: &b {<<: *a, x: 2}}\nl: {<<: *b}"
    (tmp_path / "c.yaml").write_text(nested)
    assert read_config([tmp_path / "c.yaml"])["l"] == {"x": 2}
    (tmp_path / "c.yaml").write_text("a: &a {steps: 1}\nb: &b {steps: 2}\nl: {<<: [*a, *b]}")
    assert read_config([tmp_path / "c.yaml"])["l"] == {"steps": 1}, "the first holds"


def test_values_of_a_command_line_are_read_as_yaml_and_merged():
    entries = ["a={b: 300, c: [1.5, yes, x]}", "d=3", "e=0,1", "g=", "a={c: '7'}"]
    parsed = {"a": {"b": 300, "c": "7"}, "d": 3, "e": "0,1", "g": None}
    assert parse_cli_config(entries) == parsed
    with pytest.raises(LtdmError, match=r"^--config f, line 1: is not YAML: [^\n]*$"):
        parse_cli_config(["f=[1"])


@pytest.mark.parametrize("name", ["no", "on", "null", "~", "1e1", "010", "1:30", "1", "2024-01-01"])
def test_names_on_a_command_line_are_text_as_written(name):
    assert parse_cli_config([f"run={name}"]) == {"run": name}
    assert parse_cli_config([f"run=[a, {name}]"]) == {"run": ["a", name]}
    config = {**SMOKE, "runs": {name: {}}, "grid": {**SMOKE["grid"], "run": [name]}}
    if name[0].isalnum() and ":" not in name:
        selected = Experiment({**config, **parse_cli_config([f"run={name}", "seed=0"])})
        assert selected.grid["run"] == [name]
    other = parse_cli_config([f"run={name}x", f"experiment={name}"])
    with pytest.raises(OptionError, match=r"^run: .* is not in the grid; "):
        Experiment({**SMOKE, "run": other["run"]})
    assert other["experiment"] == name
