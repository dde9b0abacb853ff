"""An error names the option, the file that sets it and the run that it concerns."""

import pytest

from ltdm.config.experiment import Experiment
from ltdm.config.places import place_of
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.options import LARGEST_INTEGER
from tests.helpers.smoke_config import check_refused, edited
from tests.unit.cli.test_cli import SMOKE, ltdm


def test_the_file_that_sets_an_option_is_named(tmp_path):
    (tmp_path / "base.yaml").write_text("defaults: {train: {updates: 3}}\nruns: {a: {method: x}}")
    (tmp_path / "top.yaml").write_text(f"inherits: [{SMOKE}, base.yaml]\nruns: {{a: {{}}}}")
    (tmp_path / "over.yaml").write_text("experiment: other")
    files = [tmp_path / "top.yaml", tmp_path / "over.yaml"]
    printed = ltdm("check", *files, code=1)
    assert printed.startswith(f"ltdm: {tmp_path / 'base.yaml'}: defaults.train.updates: ")
    assert printed.count("base.yaml") == 1
    for path, name in {
        ("runs", "a", "method", "name"): "base.yaml",
        ("runs", "a", "train", "steps"): "top.yaml",
        ("defaults", "train", "lr"): "smoke.yaml",
        ("experiment",): "over.yaml",
        ("unknown",): "over.yaml",
    }.items():
        assert place_of(path, files).endswith(name)
    overlay = {"defaults": {"train": {"lr": 1}}}
    assert place_of(("defaults", "train", "lr"), files, overlay) == "--config"
    assert place_of(("experiment",), files, overlay).endswith("over.yaml")


def test_an_option_of_the_command_line_is_named():
    assert ltdm("check", SMOKE, "--run", "cbmd", code=1).startswith("ltdm: --run: 'cbmd' is not in")
    assert ltdm("check", SMOKE, "--seed", "7", code=1).startswith(
        "ltdm: --seed: 7 is not in the grid"
    )


def test_the_word_inherits_is_known_and_works_only_in_files(tmp_path):
    (tmp_path / "a.yaml").write_text(f"inherit: {SMOKE}")
    assert "inherit: unknown key; did you mean 'inherits'?" in ltdm(
        "check", SMOKE, tmp_path / "a.yaml", code=1
    )
    check_refused(edited("inherits", ["a.yaml"]), "inherits", "only in a config file")


def test_an_error_of_a_guide_is_named_where_it_is():
    config = edited("runs/weak", {"network": {"ch": 7}})
    config["defaults"]["sample"]["guide_run"] = "weak"
    check_refused(config, "runs.weak.network.ch", "multiple of norm_groups")
    with pytest.raises(OptionError, match=r"^runs\.weak\.network\.ch: "):
        Experiment(config)


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("defaults/sample/num_images", 61, "(run ddpm on digits-lt)"),
        ("defaults/train/batch_size", 729, "(run ddpm on digits-lt)"),
        ("datasets/digits-lt/train", {"batch_size": 729}, "(run ddpm on digits-lt)"),
    ],
)
def test_an_error_in_shared_options_names_the_run(path, value, word):
    check_refused(edited(path, value), path.replace("/", "."), word)


@pytest.mark.parametrize(
    ("path", "value", "unlabelled", "place", "words"),
    [
        ("defaults/train/steps", 40, {}, "sample_sets.x.label", "set guidance to 0 beside it"),
        (
            "defaults/sample/guidance_schedule",
            "linear",
            {"guidance": 0},
            "defaults.sample.guidance_schedule",
            "or this to constant (run ddpm on digits-lt, sample set x)",
        ),
        (
            "runs/ddpm/sample/guide_run",
            "cbdm",
            {"guidance": 0},
            "runs.ddpm.sample.guide_run",
            "or this to null (sample set x)",
        ),
    ],
)
def test_an_error_in_one_of_several_sample_sets_names_it(path, value, unlabelled, place, words):
    config = {**edited(path, value), "sample_sets": {"main": {}, "x": {"label": "none"}}}
    config["sample_sets"]["x"] |= unlabelled
    check_refused(config, place, words)
    overridden = {"guidance": 0, "guidance_schedule": "constant", "guide_run": None}
    config["sample_sets"]["x"] |= overridden
    assert Experiment(config).runs["digits-lt", "ddpm"].samples["x"].label == "none"


def test_the_run_that_makes_shards_too_small_is_named():
    config = edited("runs/cbdm/train", {"ensemble": {"shards": 60, "rounds": 1}})
    config["defaults"]["train"]["steps"] = 60
    with pytest.raises(OptionError, match=r"^defaults.*smallest shard.*\(run cbdm on digits-lt\)$"):
        Experiment(config)


def test_all_unknown_keys_of_a_section_are_named_at_once():
    config = edited("defaults/train", {"updates": 3, "batch": 2, "grahp": "none"})
    check_refused(config, "defaults.train.updates", "'steps' now; batch: unknown key; it is called")
    check_refused(config, "defaults.train.updates", "did you mean 'graph'?")


@pytest.mark.parametrize(
    ("path", "value", "place", "word"),
    [
        ("runs/cbdm/method", {"name": "igd", "thin": 2}, "method.thin", "was removed: every row"),
        (
            "defaults/train/ensemble",
            {"parallel": 2},
            "ensemble.parallel",
            "was removed: an ensemble",
        ),
        ("evaluate/groups", ["class"], "table_columns", "there is no group 'all'"),
        ("evaluate/table_columns", ["memorized-25"], "table_columns", "did you mean 'memorized-0."),
        (
            "evaluate/table_columns",
            ["memorized-0.40:baseline@tail"],
            "table_columns",
            "write 'memorized-0.40@tail:baseline'",
        ),
    ],
)
def test_a_hint_names_what_exists(path, value, place, word):
    check_refused(edited(path, value), place, word)


@pytest.mark.parametrize("value", [2**40, 2**63, 2**64, 10**400])
@pytest.mark.parametrize(
    "path",
    [
        "defaults/network/ch",
        "defaults/network/num_res_blocks",
        "defaults/process/logvar_channels",
        "evaluate/extractors",
        "defaults/train/steps",
    ],
)
def test_a_huge_number_is_refused_or_fine(path, value):
    if path == "evaluate/extractors":
        config = edited(path, [{"name": "classifier", "width": value}, "pixels"])
    else:
        config = edited(path, value)
    if "process" in path:
        config["defaults"]["process"]["name"] = "edm"
    if path == "defaults/train/steps" and value < LARGEST_INTEGER:
        assert Experiment(config).runs["digits-lt", "ddpm"].train.steps == value
    else:
        check_refused(config, path.split("/")[1], "")


def test_a_network_conditioned_on_timesteps_does_not_go_with_edm(monkeypatch):
    monkeypatch.setattr("ltdm.networks.unet.NOISE_CONDITIONING", "timestep", raising=False)
    check_refused(edited("runs/ddpm/process", "edm"), "runs.ddpm.process", "choose another process")
    config = edited("runs/ddpm/process", {"name": "vp", "noise_conditioning": "log_sigma"})
    check_refused(config, "runs.ddpm.process.noise_conditioning", "set that, or")
