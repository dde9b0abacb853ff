"""What the page says of runs and the protocol."""

import json

from ltdm.page.asked import protocol_lines, read_options, run_lines, usual_options

OPTIONS = {
    "network": {"name": "unet", "ch": 24},
    "train": {"steps": 400, "augment": "none"},
    "method": {"name": "ddpm"},
}


def run_options(tmp_path, defaults=None, sample=None, **spec):
    """Read the options of a record with this spec over OPTIONS."""
    folder = tmp_path / str(len([*tmp_path.iterdir()]))
    folder.mkdir()
    record = {"spec": {**OPTIONS, **spec}, "defaults": defaults or {}}
    (folder / "run.json").write_text(json.dumps(record))
    if sample:
        record = {"spec": sample, "defaults": {"guidance": 0.0}}
        (folder / "samples.json").write_text(json.dumps(record))
    return read_options(folder / "run.json", folder / "samples.json")


def test_a_line_of_a_run_says_how_it_differs_from_most(tmp_path):
    defaults = {"network": {"dropout": 0.1}, "method": [{"tau": 1.0}]}
    small = {"network": {"name": "unet", "ch": 16, "dropout": 0.0}}
    runs = {
        "ddpm": {"d": run_options(tmp_path, defaults, {"num_images": 10})},
        "cbdm": {"d": run_options(tmp_path, defaults, {"num_images": 10}, method={"name": "cbdm"})},
        "small": {"d": run_options(tmp_path, {}, {"num_images": 10, "guidance": 1.5}, **small)},
    }
    usual = usual_options(runs)
    assert [tuple(line) for line in run_lines(runs, usual)] == [
        ("ddpm", "ddpm"),
        ("cbdm", "cbdm"),
        ("small", "ddpm; network: ch 16, dropout 0; sample: guidance 1.5"),
    ]
    assert [tuple(line) for line in protocol_lines(usual)] == [
        ("network", "unet, ch 24, dropout 0.1"),
        ("train", "augment none, steps 400"),
        ("sample", "guidance 0, num_images 10"),
    ]


def test_a_run_that_differs_between_data_sets_says_where(tmp_path):
    slow = run_options(tmp_path, train={"steps": 800, "augment": "none"})
    methods = run_options(tmp_path, method=[{"name": "cm"}, {"name": "oclt", "weight": 2}])
    runs = {"a": {"x": run_options(tmp_path), "y": slow}, "b": {"x": methods, "y": methods}}
    lines = [line.text for line in run_lines(runs, usual_options(runs))]
    assert lines == ["x: ddpm; y: ddpm; train: steps 800", "[cm, oclt (weight 2)]"]


def test_options_of_another_part_are_those_of_its_run_alone(tmp_path):
    unet = {"network": {"dropout": 0.1}}
    edm2 = {"network": {"name": "edm2", "channels": 64}}
    released = tmp_path / "run.json"
    spec = {"network": {"name": "unet", "ch": 128}, "content": "abab"}
    released.write_text(json.dumps({"spec": spec, "defaults": unet}))
    runs = {
        "a": {"d": run_options(tmp_path, unet)},
        "b": {"d": run_options(tmp_path, unet)},
        "c": {"d": run_options(tmp_path, {"network": {"blocks": 3}}, **edm2)},
        "d": {"d": read_options(released, tmp_path / "none.json")},
    }
    usual = usual_options(runs)
    assert [line.text for line in run_lines(runs, usual)] == [
        "ddpm",
        "ddpm",
        "ddpm; network: edm2, channels 64",
        "released checkpoint; network: ch 128",
    ]
    assert [tuple(line) for line in protocol_lines(usual)] == [
        ("network", "unet, ch 24"),
        ("train", "augment none, steps 400"),
    ]


def test_a_network_without_records_has_no_options(tmp_path):
    options = read_options(tmp_path / "none.json", tmp_path / "neither.json")
    assert (options.values, options.stated) == ({}, set())
