"""Fuzzing: 300 mutated configs, each refused in one sentence that names the key, or dry-run."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.plumbing.errors import LtdmError, OptionError
from tests.helpers.dry_runs import dry_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
BASE = {
    **yaml.safe_load((ROOT / "config/smoke.yaml").read_text()),
    "datasets": {
        "digits-lt": {
            "source": "digits", "profile": "exp", "imbalance": 0.1, "subset_seed": 0,
            "max_per_class": 150, "min_per_class": 3, "reference_split": "train",
            "class_order": [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
            "train": {"augment": "ada"},
        },
        "toy": {
            "source": "mixture", "points_per_class": 100, "profile": "counts", "counts": [90, 20],
            "classes": [
                {"wide": [{"mean": [-2, 0], "weight": 2}, {"mean": [2, 0], "std": [1, 2]}]},
                {"round": [{"mean": [0, 0], "std": 2}]},
            ],
            "network": {"ch_mult": [1], "attn": []},
        },
    },
    "grid": {"dataset": ["digits-lt", "toy"], "run": ["ddpm", "cbdm", "mix", "game"], "seed": [0]},
    "evaluate": {
        "extractors": ["pixels"], "groups": ["all", "worst"],
        "metrics": ["frechet", {"name": "kid", "subsets": 3}],
        "table_columns": ["frechet", "kid@worst"],
    },
    "runs": {
        "ddpm": {"train": {"class_sampling": {"brs": 0.1}}},
        "cbdm": {"method": {"name": "cbdm", "label_distribution": "power", "power": 0.5}},
        "mix": {
            "method": [{"name": "oclt", "tr_tau": 0.5}, {"name": "agc", "bins": 9}],
            "train": {"init_from": "ddpm", "label_dropout_per": "batch"},
        },
        "game": {
            "method": {"name": "igd", "mode": "separate", "beta": 0.1, "peers": {"sample": 1}},
            "train": {"label_dropout": 0, "class_sampling": "balanced"}, "sample": {"guidance": 0},
        },
    },
    "sample_sets": {"main": {}, "last": {"weights": "last", "sampler": "ancestral"}},
    "run": ["mix", "cbdm", "game"],
}  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([
        None, True, False, 0, 1, -1, 2, 10, 10**9, 10**400, 0.5, -0.5, 1e-9, 1e300, float("nan"),
        float("inf"), "", "2e-4", "no", "../x", "a/b", "ddpm", "cbdm", "digits", "toy", "ada",
        "balanced", "ancestral", [], {}, [1], [[]], [None], {"name": "ddim"}, {"name": None},
        {"name": "cbdm", "tau": 0.5}, ["cbdm", "oclt"], "igd", {"sample": 2},
        {1: 2}, {True: 1}, {"power": 0.5}, {"brs": 0}, [0, 1, 0],
        ["toy"], "ddpm,cbdm", {"": {}}, {"x" * 300: {}},
    ]),
    st.text(max_size=4), st.integers(), st.floats(), st.lists(st.integers(0, 12), max_size=12),
)  # fmt: skip


def paths(node, path=()):
    """Yield the path to each value of a nested config."""
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


def mutate(config, draw):
    """Change, remove, rename or add one value of the config."""
    path = draw(st.sampled_from(list(paths(config))))
    node = config
    for key in path[:-1]:
        node = node[key]
    change = draw(st.sampled_from([*["nudge"] * 5, "value", "remove", "rename", "add"]))
    old = node[path[-1]]
    if change == "nudge" and isinstance(old, bool | int | float):
        node[path[-1]] = not old if isinstance(old, bool) else old * draw(st.sampled_from([2, 3]))
    elif change in ("value", "nudge"):
        node[path[-1]] = draw(VALUES)
    elif change == "add" and isinstance(node, dict):
        node[draw(st.sampled_from(["train", "name", "lr", "source", "x", "../y", 3]))] = draw(
            VALUES
        )
    elif change == "add":
        node.append(draw(VALUES))
    elif change == "rename" and isinstance(node, dict):
        node[f"{path[-1]}s"] = node.pop(path[-1])
    else:
        node.pop(path[-1])


@pytest.fixture(scope="module")
def outcomes():
    """The numbers of configs that were refused and that dry-ran."""
    numbers = {"refused": 0, "run": 0}
    yield numbers
    print(numbers)
    assert min(numbers.values()) > 20, "the mutations test one outcome only"


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_mutated_config_is_refused_in_one_sentence_or_runs(data, outcomes, tmp_path_factory):
    config = copy.deepcopy(BASE)
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(config, data.draw)
    folder = tmp_path_factory.mktemp("mutated")
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    try:
        Experiment(read_config([file]), folder)
    except LtdmError as error:
        outcomes["refused"] += 1
        assert isinstance(error, OptionError)
        assert error.path, str(error)
        assert len(str(error).splitlines()) == 1, str(error)
        return
    outcomes["run"] += 1
    dry_run(file, folder)


def test_the_config_before_mutation_runs(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(BASE))
    Experiment(read_config([tmp_path / "config.yaml"]))
    dry_run(tmp_path / "config.yaml", tmp_path)
