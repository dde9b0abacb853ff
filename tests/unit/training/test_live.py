"""Event files and sample sheets of a training: what they hold, and that results stay the same."""

import logging

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from ltdm.config.experiment import Experiment
from ltdm.config.requests import request
from ltdm.plumbing.errors import LtdmError
from ltdm.training import live, options
from ltdm.training.live import LiveView
from ltdm.training.state import State
from tests.helpers.live import LIVE, images, results, train_in
from tests.helpers.smoke_config import SMOKE, check_refused, edited
from tests.helpers.training import SPEC, NoWaiting, spec_of, trainer

__all__ = ["images"]
pytestmark = pytest.mark.slow


def read_events(folder):
    """Return what TensorBoard shows of a folder: scalars by tag and step, and the pictures' steps.

    A step that it would show twice is an error.
    """
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = {}
    for tag in events.Tags()["scalars"]:
        points = [(event.step, event.value) for event in events.Scalars(tag)]
        scalars[tag] = dict(points)
        assert len(points) == len(scalars[tag])
    tags = events.Tags()["images"]
    return scalars, [event.step for tag in tags for event in events.Images(tag)]


def check_events(scalars, history):
    """Check the scalars by tag against the columns of a history, whose empty cells have none."""
    for name in history.columns.drop(["step", "images", "shard"], errors="ignore"):
        points = history.set_index("step")[name].dropna()
        assert [*scalars[name]] == points.index.tolist(), name
        assert [*scalars[name].values()] == pytest.approx(points.tolist(), rel=1e-6), name


@pytest.mark.parametrize("name", ["ddpm", "separate", "edm2", "cm"])
def test_results_are_the_same_bytes_with_and_without(name, images, tmp_path):
    """With dropout, and where the training is killed and resumes."""
    spec = spec_of(name, steps=6, log_every=3, augment="ada")
    spec["network"] = {**spec["network"], "dropout": 0.2}
    plain = results(train_in(tmp_path / "plain", images, spec, {}))
    for kill_at in (None, 5):
        folder = train_in(tmp_path / f"live-{kill_at}", images, spec, kill_at=kill_at)
        assert results(folder) == plain
        assert len([*(folder / "previews").iterdir()]) == 3
        assert read_events(folder / "tensorboard")[1] == [2, 4, 6]


@pytest.mark.parametrize("kill_at", [None, 5, 8])
def test_event_files_have_the_history_without_gaps_or_repeats(kill_at, images, tmp_path):
    """Killed at 8: the row of step 6 is written, and its state is saved."""
    spec = {**SPEC, "train": {**SPEC["train"], "steps": 9}}
    folder = train_in(tmp_path, images, spec, kill_at=kill_at)
    scalars, pictures = read_events(folder / "tensorboard")
    assert pictures == [2, 4, 6, 8]
    speeds = scalars["images_per_second"]
    assert [*speeds] == [3, 6, 9] and all(speed > 0 for speed in speeds.values())
    check_events(scalars, pd.read_csv(folder / "history.csv"))
    assert {"lr", "loss", "denoise", "balance@tail", "grad_norm"} <= scalars.keys()


def test_rows_after_the_last_saved_state_are_replaced(images, tmp_path, monkeypatch):
    """The state of step 3 is the last one, and the row of step 6 is written twice."""
    spec = {**SPEC, "train": {**SPEC["train"], "steps": 9}}
    save, steps = State.save, []

    def save_at_first(state, content):
        steps.append(content["step"])
        if len(steps) == 1:
            save(state, content)

    monkeypatch.setattr(State, "save", save_at_first)
    folder = train_in(tmp_path, images, spec, kill_at=7)
    assert steps == [3, 6, 6]
    assert len([*(folder / "tensorboard").iterdir()]) == 2
    scalars, pictures = read_events(folder / "tensorboard")
    check_events(scalars, pd.read_csv(folder / "history.csv"))
    assert pictures == [2, 4, 6, 8]


def test_a_training_that_begins_to_write_events_later_has_all_rows(images, tmp_path):
    spec = {**SPEC, "train": {**SPEC["train"], "steps": 9}}
    folder = train_in(tmp_path, images, spec, kill_at=7, places_before={})
    check_events(read_events(folder / "tensorboard")[0], pd.read_csv(folder / "history.csv"))


def test_another_training_leaves_nothing_of_the_one_before(images, tmp_path):
    train_in(tmp_path, images, {**SPEC, "train": {**SPEC["train"], "steps": 12}})
    folder = train_in(tmp_path, images, {**SPEC, "train": {**SPEC["train"], "steps": 6}})
    scalars, pictures = read_events(folder / "tensorboard")
    assert [*scalars["loss"]] == [3, 6] and pictures == [2, 4, 6]
    assert sorted(file.name for file in (folder / "previews").iterdir()) == [
        f"step-000000{step}.png" for step in (2, 4, 6)
    ]


@pytest.mark.parametrize("shards", [None, 2])
@pytest.mark.parametrize("kill_at", [None, 4])
def test_another_training_without_the_options_leaves_nothing_either(
    shards, kill_at, images, tmp_path
):
    ensemble = {"ensemble": {"shards": 2, "rounds": 1}} if shards else {}
    before = {**SPEC["train"], "steps": 12, **ensemble}
    train_in(tmp_path, images, {**SPEC, "method": "ddpm", "train": before})
    assert [*tmp_path.rglob("step-*")] and [*tmp_path.rglob("events*")]
    train_in(tmp_path, images, SPEC, {}, kill_at)
    assert not [*tmp_path.rglob("step-*"), *tmp_path.rglob("events*")]


def test_a_training_that_resumes_without_the_options_keeps_what_it_wrote(images, tmp_path):
    folder = train_in(tmp_path, images, SPEC, {}, kill_at=4, places_before=LIVE)
    scalars, pictures = read_events(folder / "tensorboard")
    assert [*scalars["loss"]] == [3] and pictures == [2, 4]
    assert len([*(folder / "previews").iterdir()]) == 2


def test_each_shard_of_an_ensemble_has_its_own(images, tmp_path):
    spec = {**SPEC, "method": "ddpm"}
    shards = {"steps": 12, "log_every": 1, "ensemble": {"shards": 2, "rounds": 3}}
    spec["train"] = {**SPEC["train"], **shards}
    plain = results(train_in(tmp_path / "plain", images, spec, {}))
    folder = train_in(tmp_path / "live", images, spec, kill_at=3)
    assert results(folder) == plain
    history = pd.read_csv(folder / "history.csv")
    for shard in (0, 1):
        scalars, pictures = read_events(folder / f"tensorboard/shard-{shard}")
        check_events(scalars, history[history["shard"] == shard])
        assert [*scalars["images_per_second"]] == [2, 4, 6, 8, 10, 12]
        assert pictures == [4, 8, 12]
        assert (folder / f"previews/shard-{shard}/step-0000012.png").exists()


def test_writing_a_row_does_not_wait_for_the_device(tmp_path):
    learner = trainer(method="ddpm", tensorboard=True)
    view = LiveView(tmp_path, "key", learner, {}, 0)
    learner.history.append({"step": 3, "images": 24, "loss": 1.0})
    with NoWaiting():
        view.after_step(True)
    assert read_events(tmp_path / "tensorboard")[0]["loss"] == {3: 1.0}


@pytest.mark.parametrize("broken", ["previews", "tensorboard"])
def test_an_error_is_logged_once_and_the_training_goes_on(broken, images, tmp_path, caplog):
    plain = results(train_in(tmp_path / "plain", images, SPEC, {}))
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / broken).write_text("a file in the place of the folder")
    with caplog.at_level(logging.WARNING, "ltdm"):
        folder = train_in(tmp_path / "live", images, SPEC)
    assert results(folder) == plain
    (warning,) = caplog.messages
    assert warning.startswith(f"the training goes on without its {broken}: ")


def test_a_sheet_that_cannot_be_laid_out_does_not_end_the_training(
    images, tmp_path, caplog, monkeypatch
):
    def fail(*arguments):
        raise ValueError("no rows")

    monkeypatch.setattr(live, "Previewer", fail)
    folder = train_in(tmp_path, images, SPEC)
    assert caplog.messages == ["the training goes on without its previews: no rows"]
    assert read_events(folder / "tensorboard")[1] == []
    assert (folder / "model.safetensors").exists()


def test_a_disk_that_fills_up_ends_the_event_file_alone(images, tmp_path, caplog, monkeypatch):
    write, events = RecordWriter.write, []

    def write_until_full(writer, event):
        events.append(event)
        if len(events) > 4:
            raise OSError(28, "No space left on device")
        write(writer, event)

    monkeypatch.setattr(RecordWriter, "write", write_until_full)
    folder = train_in(tmp_path, images, SPEC)
    (warning,) = caplog.messages
    assert warning.endswith("its tensorboard: [Errno 28] No space left on device")
    assert len([*(folder / "previews").iterdir()]) == 6


def test_without_the_package_a_config_is_refused(monkeypatch):
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    check_refused(edited("defaults/train/tensorboard", True), "tensorboard", "pip install")
    with pytest.raises(LtdmError, match=r"train\.tensorboard: needs the package"):
        trainer(tensorboard=True)


def test_neither_option_is_part_of_the_request():
    keys = {"dataset": "digits-lt", "run": "ddpm", "seed": "0"}
    plain = request(Experiment(SMOKE), "train", keys)
    live = edited("defaults/train/tensorboard", True)
    live["defaults"]["train"]["preview_every"] = 100
    shown = request(Experiment(live), "train", keys)
    assert repr(shown) == repr(plain)
    assert shown["places"] == {"preview_every": 100, "tensorboard": True}
    check_refused(edited("defaults/train/preview_every", 0), "preview_every", "at least 1")
