"""Small trainings with event files and sample sheets, which may be killed."""

import json

import pytest

from ltdm.plumbing.files import write_npz
from ltdm.stages import train
from ltdm.training import loop
from tests.helpers.stages import make_request, network_files
from tests.helpers.training import data

LIVE = {"tensorboard": True, "preview_every": 2}
TIMES = ("seconds", "resumed_at")
RESULTS = ("model.safetensors", "history.csv")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A file of images; states are saved at every row of the history."""
    monkeypatch.setenv("LTDM_SAVE_SECONDS", "0")
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    pixels, labels = data()
    write_npz(tmp_path / "train.npz", images=pixels, labels=labels)
    return tmp_path / "train.npz"


class Killed(Exception):
    """Simulates a kill by the operating system."""


def train_in(folder, images, spec, places=LIVE, kill_at=None, places_before=None):
    """Train in a folder, or be killed before one of its steps, with other places, and resume."""
    step = loop.Trainer.step

    def mortal(trainer):
        if trainer.step_count == kill_at:
            raise Killed
        step(trainer)

    def run(places):
        files = network_files(folder)
        train.run(make_request(spec, 5, places=places), data=images, init=None, **files)

    if kill_at:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(loop.Trainer, "step", mortal)
            run(places if places_before is None else places_before)
    run(places)
    return folder


def results(folder):
    """Return the bytes of a training's results, and its record without times."""
    record = json.loads((folder / "run.json").read_text())
    return [(folder / name).read_bytes() for name in RESULTS], {
        key: value for key, value in record.items() if key not in TIMES
    }
