"""Names that Snakemake, Slurm's executor or the file system cannot take are refused."""

import datetime
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.io import PeriodicityDetector

from ltdm.cli.external import score
from ltdm.config.artefacts import MAX_JOINED, as_list, jobs, outputs
from ltdm.config.experiment import Experiment
from ltdm.config.grid import OTHER_FOLDERS
from ltdm.plumbing.names import REPEATED_END
from ltdm.theory.names import FIGURES
from tests.helpers.smoke_config import SMOKE, check_refused, edited

ROOT = Path(__file__).parents[3]
KEYS = ("experiment", "datasets", "runs", "sample_sets", "theory", "extractors", "metrics")
CONFUSING = ("x", "x-ema", "x-ema-width", "x-v-curve", "theory-x", "probe", "seed-0", "x.", "x..y")


def named(key, name):
    """The smoke config with an entry of this name, and the place at which it is refused."""
    if key == "experiment":
        return edited(key, name), key
    if key in ("extractors", "metrics"):
        part = {"extractors": "pixels", "metrics": "kid"}[key]
        config = edited(f"evaluate/{key}", [{"name": part, "label": name}])
        return config, f"evaluate.{key}.0.label"
    return edited(f"{key}/{name}", {}), key


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("a" * 30, "Snakemake refuses"),
        ("ab" * 20, "Snakemake refuses"),
        ("run-" + "x-0-" * 20, "Snakemake refuses"),
        ("x" + "abcdefghij" * 10, "not longer than 100"),
    ],
)
def test_a_name_that_no_wildcard_or_no_file_can_have_is_refused(key, name, word):
    config, place = named(key, name)
    check_refused(config, place, word)


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(st.text("ab", max_size=4), st.text("ab", min_size=1, max_size=5), st.integers(18, 22))
def test_a_repeated_end_is_what_snakemake_calls_periodic(start, part, times):
    name = start + part * times
    assert bool(REPEATED_END.search(name)) == bool(PeriodicityDetector().is_periodic(name))


@pytest.mark.parametrize("key", [1e5, 10, True, datetime.date(2024, 1, 1)])
def test_a_name_that_yaml_reads_as_another_type_needs_quotes(key):
    for path, value in (("runs", {key: {}}), ("grid/run", [key]), ("experiment", key)):
        check_refused(edited(path, value), path.replace("/", "."), "put it in quotes")


def test_the_names_of_a_job_fit_the_folder_that_slurm_s_executor_makes_of_them(tmp_path):
    # The oldest dependencies are installed without the plug-in.
    slurm = pytest.importorskip("snakemake_executor_plugin_slurm.utils")
    run, dataset = ("".join(f"{letter}{n}" for n in range(10, 40)) for letter in "rd")
    config = edited("runs", {run: {}})
    config["datasets"][dataset] = config["datasets"]["digits-lt"]
    config["grid"] |= {"run": [run], "dataset": [dataset]}
    room = MAX_JOINED - len(f"{dataset}_{run}_0__precision-recall")
    config["sample_sets"] = {dataset[:room]: {}}
    for _, wildcards in jobs(Experiment(config).plan):
        part = SimpleNamespace(wildcards=[*map(str, wildcards.values()), "9999-of-9999"])
        (tmp_path / slurm.get_job_wildcards(part)).mkdir(exist_ok=True)
    config["sample_sets"] = {dataset[: room + 1]: {}}
    check_refused(config, "grid", "log folder on Slurm")


def test_an_experiment_is_not_called_as_another_folder_of_the_results():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    (cache,) = (p.default for p in score.params if p.name == "cache_dir")
    assert {profile["slurm-logdir"], cache} <= {f"results/{name}" for name in OTHER_FOLDERS}
    for name in OTHER_FOLDERS:
        check_refused(edited("experiment", name), "experiment", f"results/{name} is the folder of")


def test_no_two_jobs_write_one_file_whatever_the_names():
    data = SMOKE["datasets"]["digits-lt"]
    config = {
        **edited("defaults/train/posthoc_ema", {}),
        "datasets": {name: data for name in CONFUSING[:6]},
        "runs": {name: {} for name in CONFUSING[7:]},
        "sample_sets": {
            name: {"ema_sigma_rel": 0.05 + 0.01 * k} for k, name in enumerate(CONFUSING[5:])
        },
        "theory": {
            name: {"betas": [0, 1], "tails": [5, 9], "figures": [*FIGURES]} for name in CONFUSING
        },
        "grid": {"dataset": [*CONFUSING[:6]], "run": [*CONFUSING[7:]], "seed": [0]},
    }
    config["evaluate"] = {**config["evaluate"], "probe": {"layers": [4]}}
    experiment = Experiment(config)
    written = Counter(
        file
        for job in jobs(experiment.plan)
        for files in outputs(experiment.plan, *job).values()
        for file in as_list(files)
    )
    assert [file for file, times in written.items() if times > 1] == []
    folders = {folder for file in written for folder in file.parents}
    assert not folders & written.keys(), "no file has the name of a folder"
    assert max(len(f".{file.name}.tmp") for file in written) + 100 < 255
