"""Long-tailed training set -> one network: trained by itself, as an ensemble, or a released one."""

import logging
from pathlib import Path

from ltdm.core.weights import read_metadata
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
    """Make one network, going on from the saved state where there is one.

    `request` has `spec`; `seed`, the owner of all draws; and `places`. The spec is `network`,
    `process`, `method` (one or a list) and `train` as in the config; or the first two and the
    `content` of the released checkpoint that lies at `places.checkpoint`. `places.gpus` says how
    many processes train together, each on a GPU where there is one.

    `data` is train.npz, `init` the network of the run that `train.init_from` names. `model` gets
    the weights, averaged ("ema.") and last ("last."), safetensors; `history` the losses, a row
    every `train.log_every` updates; `record`, run.json, what was run, on what, by what.

    Raises:
        LtdmError: Bad options or data, divergence, a state of another run, a full disk, another
            process that trains it, a checkpoint that is bad or was replaced.
        Interruption: The job must end before the training has; its state is saved.
    """
    spec, places = request["spec"], request["places"]
    files = Files(data, init, model, history, record)
    who = {**to_record(request), "data": sha256(data)}
    if "content" in spec:
        released.take(who, Path(places["checkpoint"]), files)
        return
    recipe = Recipe.of(spec, places.get("gpus", 1))
    if init:
        who["init"] = read_metadata(init)["key"]
    make = ensemble.train if recipe.train.ensemble else single.train
    state = files.state(who)
    with catch_signals() as stop, state.alone():
        if files.made(state.key):
            log.info("another job has finished this network in the meantime")
        else:
            make(recipe, who, files, stop)
        state.clear()
