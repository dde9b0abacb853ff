"""Checks of the extractors in a config, before anything runs."""

from pathlib import Path

import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import OptionError

ROOT = Path(__file__).parents[3]


def smoke(**evaluate):
    """Return config/smoke.yaml with another evaluation."""
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    config["evaluate"] |= {"table_columns": ["frechet"], **evaluate}
    return config


def test_config_check_rejects_a_missing_path_that_is_needed(tmp_path):
    config = smoke(extractors=["pixels", {"name": "inception", "path": str(tmp_path / "none.pth")}])
    with pytest.raises(OptionError, match=r"evaluate.extractors.1.path: there is no file"):
        Experiment(config, tmp_path)
    prepared = tmp_path / "smoke/data/digits-lt/extractors/inception.safetensors"
    prepared.parent.mkdir(parents=True)
    prepared.touch()
    part = Experiment(config, tmp_path).evaluate.extractors[1]
    assert part.to_config() == {"name": "inception"}
    Experiment(smoke(extractors=["inception", "random-inception"]), tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["inception", "vgg16"])
def test_points_are_rejected_by_the_config_check(name):
    config = smoke(extractors=[name])
    network = {"ch_mult": [1], "attn": []}
    config["datasets"]["digits-lt"] = {"source": "mixture", "network": network}
    with pytest.raises(OptionError, match=f"{name} reads images, and digits-lt holds points"):
        Experiment(config)


def test_a_vgg16_of_one_s_own_needs_its_hash_and_its_file(tmp_path):
    own = {"name": "vgg16", "path": str(tmp_path / "none.pth")}
    with pytest.raises(OptionError, match=r"evaluate.extractors.0.sha256: is missing"):
        Experiment(smoke(extractors=[own]), tmp_path)
    with pytest.raises(OptionError, match=r"evaluate.extractors.0.path: there is no file"):
        Experiment(smoke(extractors=[{**own, "sha256": "0" * 64}]), tmp_path)
    Experiment(smoke(extractors=["vgg16", "random-vgg16"]), tmp_path)
