"""Long-tailed training set -> one network: trained, trained as an ensemble, or imported."""

import logging
from pathlib import Path

from ltdm.core.weights import read_key
from ltdm.plumbing.files import sha256
from ltdm.plumbing.request import Request, to_record
from ltdm.plumbing.stopping import catch_signals
from ltdm.stages import ensemble, released, single
from ltdm.training.setup import Recipe
from ltdm.training.state import Files

log = logging.getLogger("ltdm")


def run(
    request: Request, *, data: Path, init: Path | None, model: Path, history: Path, record: Path
) -> None:
    """Make one network, resuming from the saved state if there is one.

    `request` has `spec`; `seed`, which owns all draws; and `places`. The spec is `network`,
    `process`, `method` (one or a list) and `train` as in the config; or, to import a released
    checkpoint, the first two and the `content` of the file at `places.import_checkpoint`. `places`
    may also have the options of `train` that decide no result: `gpus`, `tensorboard`,
    `preview_every`.

    `data` is train.npz, `init` the network of the run that `train.init_from` names. `model` gets
    the weights, averaged ("ema.") and last ("last."), as safetensors; `history` the losses, a row
    every `train.log_every` steps; `record`, run.json, the request, the data and the code.

    Raises:
        LtdmError: Options or data are bad, training diverged, the state is another run's, the disk
            is full, another process trains the network, or the checkpoint is bad or was replaced.
        Interruption: The job must end before the training has; its state is saved.
    """
    spec, places = request["spec"], request["places"]
    files = Files(data, init, model, history, record)
    identity = {**to_record(request), "data": sha256(data)}
    if "content" in spec:
        released.import_checkpoint(identity, Path(places["import_checkpoint"]), files)
        return
    recipe = Recipe.from_spec(spec, places)
    if init:
        identity["init"] = read_key(init)
    train = ensemble.train if recipe.train.ensemble else single.train
    state = files.state(identity)
    with catch_signals() as stop, state.lock():
        if files.is_finished(state.key):
            log.info("another job has finished this network in the meantime")
        else:
            train(recipe, identity, files, stop)
        state.clear()
