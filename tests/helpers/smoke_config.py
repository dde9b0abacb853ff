"""The smoke config, edited in one place, and the check that an experiment refuses it."""

import copy
from pathlib import Path

import pytest
import yaml

from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import OptionError

SMOKE = yaml.safe_load((Path(__file__).parents[2] / "config/smoke.yaml").read_text())


def edited(path, value):
    """Return the smoke config with the value at a path of keys set, or removed if it is `...`."""
    config = copy.deepcopy(SMOKE)
    *sections, key = path.split("/")
    section = config
    for name in sections:
        if section.get(name) is None:
            section[name] = {}
        section = section[name]
    if value is ...:
        del section[key]
    else:
        section[key] = value
    return config


def check_refused(config, place, word):
    """Check that a config is refused by one line that begins with the place and has the word."""
    with pytest.raises(OptionError) as caught:
        Experiment(config)
    text = str(caught.value)
    assert place in text.split(": ")[0]
    assert word in text
    assert "\n" not in text
