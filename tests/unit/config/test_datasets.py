"""Data sets of a config: options that are refused, points, and sources whose files are gone."""

import pytest

from ltdm.config.experiment import Experiment
from ltdm.plumbing.errors import OptionError
from ltdm.plumbing.files import write_json
from tests.helpers.smoke_config import check_refused, edited


@pytest.mark.parametrize(
    ("key", "value", "place", "word"),
    [
        ("reference_split", "test", "digits-lt.reference_split", "has no split 'test'"),
        ("reference_split", [], "digits-lt.reference_split", "has no split []"),
        ("class_order", [0], "digits-lt.class_order", "lists 1 classes"),
        ("counts", [1], "digits-lt.counts", "goes with `profile: counts`"),
        ("source", "digit", "datasets.digits-lt.source", "'digits'"),
        ("imbalence", 0.1, "datasets.digits-lt.imbalence", "'imbalance'"),
        ("imbalance", 0.0, "datasets.digits-lt.imbalance", "above 0"),
        ("imbalance", 1.5, "datasets.digits-lt.imbalance", "at most 1"),
        ("imbalance", 0.001, "datasets.digits-lt.imbalance", "no image of"),
        ("subset_seed", 2**32, "datasets.digits-lt.subset_seed", "at most"),
    ],
)
def test_an_option_is_refused_by_place_and_fault(key, value, place, word):
    check_refused(edited(f"datasets/digits-lt/{key}", value), place, word)


@pytest.mark.parametrize(
    ("name", "value", "place", "word"),
    [
        ("digits-lt", {"source": "folder", "root": "/none"}, "digits-lt", "cannot read"),
        ("digits-lt", {"source": "npz"}, "digits-lt.path", "is missing"),
        ("a b", {"source": "digits"}, "datasets", "name 'a b'"),
    ],
)
def test_a_data_set_is_refused_by_place_and_fault(name, value, place, word):
    check_refused(edited(f"datasets/{name}", value), place, word)


def test_points_need_extractors_that_read_points():
    config = edited("datasets/digits-lt", {"source": "mixture", "network": {"ch_mult": [1]}})
    config["defaults"]["network"]["attn"] = []
    config["evaluate"]["table_columns"] = ["frechet"]
    with pytest.raises(OptionError, match=r"evaluate.extractors: classifier reads images"):
        Experiment(config)
    config["evaluate"]["extractors"] = ["pixels"]
    Experiment(config)


def test_points_have_no_pixels_to_clip_or_to_take_the_variance_of():
    config = edited("datasets/digits-lt", {"source": "mixture", "network": "mlp"})
    config["evaluate"] |= {"extractors": ["pixels"], "table_columns": ["frechet"]}
    Experiment(config)
    config["defaults"]["sample"]["sampler"]["clip_denoised"] = True
    with pytest.raises(OptionError, match=r"sampler.clip_denoised: .*\[-1, 1\].* points"):
        Experiment(config)
    config["defaults"]["sample"]["sampler"] = {"name": "timeshift", "steps": 4, "window": 4}
    with pytest.raises(OptionError, match=r"sampler.window: .* an image's pixels, .* points"):
        Experiment(config)


def test_prepared_data_replace_a_source_whose_files_are_gone(tmp_path):
    config = edited("datasets/digits-lt", {"source": "folder", "root": "/none", "resolution": 8})
    record = tmp_path / "smoke/data/digits-lt/data.json"
    census = {"names": ["a", "b"], "sizes": [900, 900], "channels": 3, "side": 8, "content": "x"}
    write_json(record, {"source": {"name": "folder", "resolution": 8}, "census": census})
    config["defaults"]["sample"]["num_images"] = 60
    config["evaluate"]["table_columns"] = ["frechet"]
    data = Experiment(config, tmp_path).datasets["digits-lt"]
    assert data.class_counts == [900, 9]
    assert data.info.digest == "x"
    config["datasets"]["digits-lt"]["resolution"] = 16
    with pytest.raises(OptionError, match="cannot read the folder /none"):
        Experiment(config, tmp_path)
