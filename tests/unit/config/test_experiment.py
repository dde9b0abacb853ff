import copy
import json
from pathlib import Path

import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.config.merge import merge, parse_cli_values, read_config
from ltdm.plumbing.errors import LtdmError, OptionError
from ltdm.plumbing.files import write_json

ROOT = Path(__file__).parents[3]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())


def edited(path, value):
    """The smoke config with one value set, or removed if it is `...`."""
    config = copy.deepcopy(SMOKE)
    *folders, last = path.split("/")
    place = config
    for key in folders:
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "where", "message"),
    [
        ("experimnt", "x", "experimnt", "did you mean 'experiment'?"),
        ("experiment", "../evil", "experiment", "name '../evil'"),
        ("experiment", ..., "experiment", "is missing"),
        (
            "datasets/digits-lt/reference_split",
            "test",
            "digits-lt.reference_split",
            "digits has no split 'test'",
        ),
        ("datasets/digits-lt/reference_split", [], "digits-lt.reference_split", "has no split []"),
        ("datasets/digits-lt/class_order", [0], "digits-lt.class_order", "lists 1 classes"),
        ("datasets/digits-lt/counts", [1], "digits-lt.counts", "goes with `profile: counts`"),
        ("datasets/digits-lt", {"source": "folder", "root": "/none"}, "digits-lt", "cannot read"),
        ("datasets/digits-lt", {"source": "npz"}, "digits-lt.path", "is missing"),
        ("defaults/train/class_sampling", "powr", "train.class_sampling", "must be natural"),
        ("defaults/train/class_sampling", {"pow": 1}, "train.class_sampling", "'power'"),
        ("defaults/train/class_sampling", {"brs": 0}, "class_sampling.brs", "above 0"),
        ("defaults/train/class_sampling", {"brs": "0.1"}, "class_sampling.brs", "a number"),
        ("defaults/train/class_sampling", {"power": 11}, "class_sampling.power", "between"),
        ("run", "cbmd", "run", "'cbmd' is not in the grid; did you mean 'cbdm'?"),
        ("run", None, "run", "must name some of the grid"),
        ("run", "", "run", "must name some of the grid"),
        ("seed", [], "seed", "must name some of the grid; known: 0"),
        ("seed", [7], "seed", "7 is not in the grid"),
        ("datasets/digits-lt/source", "digit", "datasets.digits-lt.source", "'digits'"),
        ("datasets/digits-lt/imbalence", 0.1, "datasets.digits-lt.imbalence", "'imbalance'"),
        ("datasets/digits-lt/imbalance", 0.0, "datasets.digits-lt.imbalance", "above 0"),
        ("datasets/digits-lt/imbalance", 1.5, "datasets.digits-lt.imbalance", "at most 1"),
        ("datasets/digits-lt/imbalance", 0.001, "datasets.digits-lt.imbalance", "no image of"),
        ("runs", {"../../x": {}}, "runs", "the name '../../x'"),
        ("sample_sets/..", {}, "sample_sets", "the name '..'"),
        ("datasets/a b", {"source": "digits"}, "datasets", "name 'a b'"),
        ("defaults/train/lr", "2e-4", "defaults.train.lr", "without quotes"),
        ("defaults/train/batch_size", 10_000, "defaults.train.batch_size", "has only"),
        ("defaults/train/lr", 10**400, "defaults.train.lr", "finite number"),
        ("defaults/train/lr", float("inf"), "defaults.train.lr", "finite number"),
        ("defaults/train/lr", "1e400", "defaults.train.lr", "must be a number, not '1e400'"),
        ("defaults/train/steps", -(10**400), "defaults.train.steps", "at least 1"),
        ("defaults/train", 3, "defaults.train", "must be a mapping"),
        ("datasets/digits-lt/subset_seed", 2**32, "datasets.digits-lt.subset_seed", "at most"),
        ("runs/cbdm/method", {"name": "cbmd"}, "runs.cbdm.method.name", "did you mean 'cbdm'?"),
        ("runs/cbdm/method", {"name": "cbdm", "tua": 1.0}, "runs.cbdm.method.tua", "'tau'"),
        (
            "runs/ddpm/method",
            {"tau": 1.0},
            "runs.ddpm.method.tau",
            "is an option of cbdm, not of ddpm, whose own are: none",
        ),
        ("runs/cbdm/train", {"label_dropout": 0}, "guidance", "needs a network"),
        ("runs/cbdm/method", "cbmd", "runs.cbdm.method.name", "did you mean 'cbdm'?"),
        ("runs/cbdm/method", None, "runs.cbdm.method", "is empty"),
        ("runs/cbdm/process", {"beta_1": 0.5, "beta_T": 0.9}, "runs.cbdm.process.beta_T", "drowns"),
        ("runs/cbdm/network", {"ch_mult": [1] * 6}, "runs.cbdm.network.ch_mult", "it is 8"),
        ("runs/cbdm/process", {"T": 2}, "sampler.steps", "has only 2 levels"),
        ("runs", {"ddpm": [1]}, "runs.ddpm", "must be a mapping"),
        (
            "sample_sets/main",
            {"num_images": 61},
            "sample_sets.main.num_images",
            "multiple of the 10",
        ),
        ("sample_sets/run.json", {}, "sample_sets.run.json", "run's own file"),
        (
            "runs/cbdm/sample",
            {"num_images": 61},
            "runs.cbdm.sample.num_images",
            "multiple of the 10",
        ),
        ("runs/cbdm/tau", 1.0, "runs.cbdm.tau", "unknown key"),
        ("runs/cbdm/network", {"ch": 6}, "runs.cbdm.network.ch", "multiple of norm_groups"),
        ("grid/run", ["ddpm", "cbmd"], "grid.run", "did you mean 'cbdm'?"),
        ("grid/run", [], "grid.run", "list with entries"),
        ("grid/run", [["ddpm"]], "grid.run", "['ddpm'] is not under `runs`"),
        ("grid/dataset", [{}], "grid.dataset", "{} is not under `datasets`"),
        ("grid/seed", [0, 0], "grid.seed", "twice"),
        ("grid/seed", ["0"], "grid.seed", "whole numbers"),
        ("grid/seeds", [0], "grid.seeds", "did you mean 'seed'?"),
        ("sample_sets/fast", {"stps": 1}, "sample_sets.fast.stps", "unknown key"),
        ("evaluate/metrics", ["frechet", "fid"], "evaluate.metrics.1.name", "no metric"),
        ("evaluate/metrics", ["frechet", "frechet"], "evaluate.metrics", "twice"),
        ("evaluate/table_columns", ["kid"], "evaluate.table_columns", "nothing computes 'kid'"),
        (
            "evaluate/table_columns",
            ["frechet@tial"],
            "evaluate.table_columns",
            "did you mean 'tail'?",
        ),
        (
            "evaluate/table_columns",
            ["frechet@class-99"],
            "evaluate.table_columns",
            "there is no group 'class-99'",
        ),
        ("evaluate/table_columns", [], "evaluate.table_columns", "at least one column"),
        ("evaluate/metrics", ["frechet", "frechet"], "evaluate.metrics", "apart by `label`"),
        (
            "evaluate/metrics",
            [{"name": "kid", "label": "frechet"}],
            "evaluate.metrics.0.label",
            "'frechet' is itself the name of a metric",
        ),
        (
            "evaluate/metrics",
            [{"name": "kid", "label": "K/"}],
            "evaluate.metrics.0.label",
            "must be small letters",
        ),
        (
            "evaluate/metrics",
            ["frechet", "inception-score"],
            "evaluate.metrics",
            "inception-score reads Inception's class probabilities (inception, random-inception)",
        ),
        ("evaluate/extractors", ["pixels", "pixels"], "evaluate.extractors", "twice"),
        (
            "evaluate/table_columns",
            ["pr5.recall"],
            "evaluate.table_columns",
            "nothing computes 'pr5.recall'",
        ),
        ("evaluate/shot_bounds", [20, 100], "evaluate.shot_bounds", "the larger one first"),
        ("evaluate/shot_bounds", [20], "evaluate.shot_bounds", "two numbers"),
        ("evaluate/baseline", "dpdm", "evaluate.baseline", "did you mean 'ddpm'?"),
        ("evaluate/extractors", ..., "evaluate.extractors", "is missing"),
    ],
)
def test_refuses_with_the_place_and_the_way_out(path, value, where, message):
    with pytest.raises(OptionError) as caught:
        Experiment(edited(path, value))
    text = str(caught.value)
    assert where in text.split(": ")[0]
    assert message in text
    assert "\n" not in text


def test_not_yaml_and_missing_file(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(LtdmError, match=r"bad.yaml is not YAML"):
        read_config([tmp_path / "bad.yaml"])
    with pytest.raises(LtdmError, match=r"cannot read the config .*none\.yaml"):
        read_config([tmp_path / "none.yaml"])


def test_merge_rules():
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


def test_null_turns_off_what_has_options_and_empties_no_section():
    base = {"defaults": {"train": {"lr": 1, "posthoc_ema": {"snapshots": 4}}},
            "evaluate": {"probe": {"lr": 2}}, "runs": {"probe": {"train": {"lr": 3}}}}  # fmt: skip
    off = merge([base, {"defaults": {"train": {"posthoc_ema": None}}, "evaluate": {"probe": None}}])
    assert off["defaults"] == {"train": {"lr": 1, "posthoc_ema": None}}
    assert off["evaluate"] == {"probe": None}
    empty = {"defaults": {"train": None}, "evaluate": None, "runs": {"probe": None}}
    assert merge([base, empty]) == base, "also where a run has an option's name"


def test_a_file_over_another_replaces_a_part_with_its_options(tmp_path):
    (tmp_path / "over.yaml").write_text("runs: {cbdm: {method: ddpm}}")
    config = edited("runs/cbdm/method", {"name": "cbdm", "tau": 0.5})
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(config))
    both = Experiment(read_config([tmp_path / "base.yaml", tmp_path / "over.yaml"]))
    assert both.runs["digits-lt", "cbdm"].methods[0].name == "ddpm"


def test_layers_win_in_order():
    config = edited("datasets/digits-lt/train", {"lr": 2.0e-3, "warmup_steps": 7})
    config["runs"]["cbdm"]["train"] = {"warmup_steps": 9}
    config["sample_sets"] = {"main": {}, "last": {"weights": "last", "sampler": "ancestral"}}
    experiment = Experiment(config)
    ddpm, cbdm = (experiment.runs["digits-lt", run] for run in ("ddpm", "cbdm"))
    assert (ddpm.train.lr, ddpm.train.warmup_steps, cbdm.train.warmup_steps) == (2e-3, 7, 9)
    assert ddpm.samples["main"].weights == "ema"
    assert ddpm.samples["last"].weights == "last"
    assert ddpm.samples["last"].sampler.name == "ancestral"
    assert ddpm.samples["last"].sampler.options.steps == 1000


def test_a_slice_does_not_see_order_or_spelled_out_defaults():
    one = Experiment(SMOKE).runs["digits-lt", "cbdm"].spec()
    config = edited("runs/cbdm/method", {"commitment_weight": 0.25, "tau": 1, "name": "cbdm"})
    config["defaults"] = dict(reversed(config["defaults"].items()))
    config["defaults"]["train"] = dict(reversed(config["defaults"]["train"].items()))
    assert repr(Experiment(config).runs["digits-lt", "cbdm"].spec()) == repr(one)


def test_an_empty_section_over_another_says_nothing():
    below = {"runs": {"cbdm": {"train": {"lr": 1.0}}}, "max_per_class": 1}
    over = {"runs": {"cbdm": None}, "max_per_class": None}
    assert merge([below, over]) == {**below, "max_per_class": None}
    assert merge([{"method": {"name": "cbdm"}}, {"method": None}]) == {"method": {"name": "cbdm"}}


@pytest.mark.parametrize("text", ["2e-4", "2E-4", "+2e-04", ".2e-3", "0.2e-3", "2.0e-4"])
def test_a_number_with_an_exponent_is_one(tmp_path, text):
    """In a file of YAML or JSON, and on a command line."""
    (tmp_path / "c.yaml").write_text(f"a: {text}")
    assert read_config([tmp_path / "c.yaml"]) == parse_cli_values({"a": text}) == {"a": 2e-4}
    (tmp_path / "c.json").write_text(json.dumps({"a": 2e-05}))
    assert read_config([tmp_path / "c.json"]) == {"a": 2e-05}


@pytest.mark.parametrize("text", ["010", "-07", "00", "1:30", "1:30.5", "0_1"])
def test_a_number_that_yaml_1_1_takes_for_another_is_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(f"a: 1\nb: [{text}]")
    with pytest.raises(LtdmError, match=rf"c.yaml is not YAML: {text} is .*line 2"):
        read_config([tmp_path / "c.yaml"])
    assert parse_cli_values({"a": text}) == {"a": text}, (
        "no number, so options refuse it at its place"
    )


def test_a_key_that_stands_twice(tmp_path):
    (tmp_path / "c.yaml").write_text("a: 1\nb: {c: 1, c: 2}")
    with pytest.raises(LtdmError, match=r"c.yaml is not YAML: the key 'c' stands twice.*line 2"):
        read_config([tmp_path / "c.yaml"])
    (tmp_path / "c.yaml").write_text("a: &x {c: 1}\nb: {<<: *x, c: 2}")
    assert read_config([tmp_path / "c.yaml"])["b"] == {"c": 2}
    nested = "a: &a {x: 1}\nk: {i: &b {<<: *a, x: 2}}\nl: {<<: *b}"
    (tmp_path / "c.yaml").write_text(nested)
    assert read_config([tmp_path / "c.yaml"])["l"] == {"x": 2}


def test_points_need_features_that_read_them():
    config = edited("datasets/digits-lt", {"source": "mixture", "network": {"ch_mult": [1]}})
    config["defaults"]["network"]["attn"] = []
    config["evaluate"]["table_columns"] = ["frechet"]
    with pytest.raises(OptionError, match=r"evaluate.extractors: classifier reads images"):
        Experiment(config)
    config["evaluate"]["extractors"] = ["pixels"]
    Experiment(config)


def test_points_are_not_kept_where_images_are():
    config = edited("datasets/digits-lt", {"source": "mixture", "network": "mlp"})
    config["evaluate"] |= {"extractors": ["pixels"], "table_columns": ["frechet"]}
    Experiment(config)
    config["defaults"]["sample"]["sampler"]["clip_denoised"] = True
    with pytest.raises(OptionError, match=r"sampler.clip_denoised: keeps images inside \[-1, 1\]"):
        Experiment(config)


def test_the_grid_narrowed():
    for only in (["cbdm"], "cbdm", "cbdm,cbdm"):
        assert Experiment({**SMOKE, "run": only}).grid["run"] == ["cbdm"]
    assert Experiment({**SMOKE, "run": "cbdm, ddpm"}).grid["run"] == ["ddpm", "cbdm"]
    assert Experiment({**SMOKE, "seed": 0}).grid["seed"] == [0]
    assert list(Experiment({**SMOKE, "run": "cbdm"}).runs) == [("digits-lt", "cbdm")]


def test_inherited_files_lie_below_and_relative_to_their_heir(tmp_path):
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
        ('inherits: "a\\0b"', "is not YAML: embedded null"),
        ("inherits: [1]", r"inherits: must be a list of files"),
    ],
)
def test_what_cannot_be_inherited(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(LtdmError, match=message):
        read_config([tmp_path / "c.yaml"])


def test_text_from_a_command_line_is_read_as_yaml():
    given = {"a": {"b": "300", "c": ["1.5", "yes", "x"]}, "d": 3, "e": "0,1", "f": "[1"}
    assert parse_cli_values(given) == {
        "a": {"b": 300, "c": [1.5, True, "x"]},
        "d": 3,
        "e": "0,1",
        "f": "[1",
    }


def test_prepared_data_stand_in_for_a_source_that_is_gone(tmp_path):
    config = edited("datasets/digits-lt", {"source": "folder", "root": "/none", "resolution": 8})
    record = tmp_path / "smoke/data/digits-lt/data.json"
    census = {"names": ["a", "b"], "sizes": [900, 900], "channels": 3, "side": 8, "content": "x"}
    write_json(record, {"source": {"name": "folder", "resolution": 8}, "census": census})
    config["defaults"]["sample"]["num_images"] = 60
    config["evaluate"]["table_columns"] = ["frechet"]
    data = Experiment(config, tmp_path).datasets["digits-lt"]
    assert data.class_counts == [900, 9]
    assert data.census.content == "x"
    config["datasets"]["digits-lt"]["resolution"] = 16
    with pytest.raises(OptionError, match="cannot read the folder /none"):
        Experiment(config, tmp_path)
